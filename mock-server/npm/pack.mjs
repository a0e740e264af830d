// Makes the packages: `node pack.mjs BINARY OUT [PLATFORM]` puts the launcher and the package with the binary
// for one platform (this one, unless named) into OUT, as npm would publish them.

import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const { binaryName } = createRequire(import.meta.url)("./binary.js");
const readJson = (name) => JSON.parse(readFileSync(path.join(here, name), "utf8"));

const [binary, out, platform = `${process.platform}-${process.arch}`] = process.argv.slice(2);
if (!out) throw new Error("usage: node pack.mjs BINARY OUT [PLATFORM]");
const about = readJson("platforms.json")[platform];
if (!about) throw new Error(`${platform} is not in platforms.json`);

const launcher = readJson("package.json");
const name = `${launcher.name}-${platform}`;
if (launcher.optionalDependencies[name] !== launcher.version) {
  throw new Error(`package.json must depend on ${name} ${launcher.version}`);
}

const [os, cpu] = platform.split("-");
const folder = mkdtempSync(path.join(tmpdir(), "cloudnestle-pack-"));
try {
  copyFileSync(binary, path.join(folder, binaryName(platform)));
  chmodSync(path.join(folder, binaryName(platform)), 0o755);
  writeFileSync(
    path.join(folder, "package.json"),
    JSON.stringify({
      name,
      version: launcher.version,
      description: `The binary of ${launcher.name} for ${about.target}.`,
      license: launcher.license,
      os: [os],
      cpu: [cpu],
      ...(about.libc && { libc: [about.libc] }),
      files: [binaryName(platform)],
      preferUnplugged: true,
    }),
  );
  mkdirSync(out, { recursive: true });
  for (const from of [here, folder]) {
    execFileSync("npm", ["pack", "--silent", "--pack-destination", path.resolve(out)], { cwd: from, stdio: "inherit" });
  }
} finally {
  rmSync(folder, { recursive: true });
}
