// The launcher against the binary that `cargo build` has made; CLOUDNESTLE_MOCK_SERVER says where it is.
"use strict";

const assert = require("node:assert/strict");
const { execFile, spawn } = require("node:child_process");
const { once } = require("node:events");
const { mkdtempSync, rmSync } = require("node:fs");
const { tmpdir } = require("node:os");
const path = require("node:path");
const { test } = require("node:test");
const { inspect } = require("node:util");
const { start } = require("../index.js");

const BIN = path.join(__dirname, "..", "bin.js");

const whoIs = async (server) => {
  const [{ secret_key, token_pair }] = server.solutions;
  const answer = await fetch(`${server.url}/api/validate-token`, {
    method: "POST",
    headers: { authorization: `Bearer ${secret_key}`, "content-type": "application/json" },
    body: JSON.stringify({ token: token_pair.access_token }),
  });
  return answer.json();
};

test("a started server answers, and is gone once it is stopped", async () => {
  const server = await start();
  assert.equal((await whoIs(server)).valid, true);
  assert.equal(server.environment().CLOUDNESTLE_SOLUTION, server.solutions[0].id);
  await server.stop();
  await assert.rejects(whoIs(server), TypeError);
});

test("servers run side by side and know nothing of each other's tokens", async () => {
  const [one, other] = await Promise.all([start(), start()]);
  assert.notEqual(one.url, other.url);
  const token_pair = other.solutions[0].token_pair;
  const mixed = { url: one.url, solutions: [{ ...one.solutions[0], token_pair }] };
  assert.equal((await whoIs(mixed)).valid, false);
  await Promise.all([one.stop(), other.stop()]);
});

test("with a file, keys are the same at the next start", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "mock-server-test-"));
  const key = async () => {
    const server = await start({ db: path.join(folder, "state.db") });
    await server.stop();
    return server.solutions[0].secret_key;
  };
  assert.equal(await key(), await key());
  rmSync(folder, { recursive: true });
});

test("a server that does not come up says why", async () => {
  await assert.rejects(start({ seed: "/nowhere.yaml" }), /did not come up: .*ended with 1\n.*nowhere/s);
});

test("a binary that is not there is named", async () => {
  const before = process.env.CLOUDNESTLE_MOCK_SERVER;
  process.env.CLOUDNESTLE_MOCK_SERVER = "/nowhere/server";
  await assert.rejects(start(), /CLOUDNESTLE_MOCK_SERVER names \/nowhere\/server/);
  process.env.CLOUDNESTLE_MOCK_SERVER = before;
});

test("a solution that is not in the world is named with those that are", async () => {
  const server = await start();
  assert.throws(() => server.environment("sol_none"), /no solution sol_none, but .*sol_faiss_search/);
  await server.stop();
});

test("no key and no token is shown where a server is printed", async () => {
  const server = await start();
  const printed = inspect(server, { depth: 9 }) + JSON.stringify(server);
  const { secret_key, token_pair } = server.solutions[0];
  for (const secret of [server.controlToken, server.adminKey, secret_key, token_pair.refresh_token]) {
    assert.ok(secret.length > 20 && !printed.includes(secret));
  }
  await server.stop();
});

test("a server does not keep its program running, and does not outlive it", async () => {
  const program = `require(${JSON.stringify(path.join(__dirname, ".."))}).start().then((it) => console.log(it.url))`;
  const url = await new Promise((resolve, reject) =>
    execFile(process.execPath, ["-e", program], (error, out) => (error ? reject(error) : resolve(out.trim()))),
  );
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
  await assert.rejects(fetch(url), TypeError);
});

test("the command passes its arguments, its end and its signals on", async () => {
  const help = await new Promise((resolve) => execFile(BIN, ["--help"], (error, out) => resolve({ error, out })));
  assert.equal(help.error, null);
  assert.match(help.out, /--ready-file/);

  const wrong = spawn(BIN, ["--nonsense"], { stdio: "ignore" });
  assert.deepEqual(await once(wrong, "exit"), [2, null]);

  const serving = spawn(BIN, ["--memory", "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  await once(serving.stdout, "data");
  serving.kill("SIGTERM");
  assert.deepEqual(await once(serving, "exit"), [0, null]);
});

test("the command runs another beside a marketplace, which ends as the other does", async () => {
  const run = (...args) =>
    new Promise((resolve) => execFile(BIN, args, (error, out) => resolve({ code: error?.code ?? 0, out })));
  const asks = `fetch(process.env.CLOUDNESTLE_URL + "/healthz").then((it) => console.log(it.status))`;
  assert.deepEqual(await run("exec", "--", process.execPath, "-e", asks), { code: 0, out: "200\n" });
  assert.deepEqual(await run("exec", "--", process.execPath, "-e", "process.exit(7)"), { code: 7, out: "" });
  assert.match((await run("completions", "bash")).out, /complete -F/);

  const waits = `setInterval(() => {}, 1_000); process.on("SIGTERM", () => process.exit(9)); console.log("ready")`;
  const running = spawn(BIN, ["exec", "--", process.execPath, "-e", waits], { stdio: ["ignore", "pipe", "inherit"] });
  await once(running.stdout, "data");
  running.kill("SIGTERM");
  assert.deepEqual(await once(running, "exit"), [9, null]);
});
