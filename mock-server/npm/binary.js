// Where the server's binary is: in the package of this platform, which npm installs beside this one.
"use strict";

const { existsSync } = require("node:fs");
const path = require("node:path");
const platforms = require("./platforms.json");

/** The name of the binary in its package. */
function binaryName(platform) {
  return platform.startsWith("win32-") ? "cloudnestle-mock-server.exe" : "cloudnestle-mock-server";
}

/** The path of the binary for this machine, or of the one that CLOUDNESTLE_MOCK_SERVER names. */
function binaryPath() {
  const named = process.env.CLOUDNESTLE_MOCK_SERVER;
  if (named) {
    if (!existsSync(named)) {
      throw new Error(`CLOUDNESTLE_MOCK_SERVER names ${named}, and there is nothing.`);
    }
    return named;
  }
  const platform = `${process.platform}-${process.arch}`;
  if (!(platform in platforms)) {
    throw new Error(
      `@cloudnestle/mock-server has no binary for ${platform}, but for ` +
        `${Object.keys(platforms).join(", ")}. Build it with cargo (crate cloudnestle-mock-server), ` +
        "and set CLOUDNESTLE_MOCK_SERVER to its path.",
    );
  }
  const home = `@cloudnestle/mock-server-${platform}`;
  try {
    return path.join(path.dirname(require.resolve(`${home}/package.json`)), binaryName(platform));
  } catch (cause) {
    throw new Error(
      `${home}, which has the binary, is not installed. Was it left out (--omit=optional, or a lock ` +
        `file of another platform)? Run: npm install --no-save ${home}`,
      { cause },
    );
  }
}

module.exports = { binaryName, binaryPath };
