// A marketplace for a test: starts the binary, and learns from its ready file where and who it is.
"use strict";

const { spawn } = require("node:child_process");
const { mkdtemp, readFile, rm } = require("node:fs/promises");
const { tmpdir } = require("node:os");
const path = require("node:path");
const { setTimeout: sleep } = require("node:timers/promises");
const { binaryPath } = require("./binary.js");

/** How much is kept of what a server says that does not come up. */
const MOST_WORDS = 4_000;

exports.binaryPath = binaryPath;

exports.start = async function start(options = {}) {
  const binary = binaryPath();
  const folder = await mkdtemp(path.join(tmpdir(), "cloudnestle-mock-server-"));
  const readyFile = path.join(folder, "ready.json");
  const args = ["--port", String(options.port ?? 0), "--ready-file", readyFile];
  args.push(...(options.db === undefined ? ["--memory"] : ["--db", options.db]));
  if (options.seed !== undefined) args.push("--seed", options.seed);
  const server = spawn(binary, [...args, ...(options.args ?? [])], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise((resolve) => {
    server.once("error", resolve);
    server.once("exit", (code, signal) => resolve(new Error(`it ended with ${code ?? signal}`)));
  });
  const kill = () => server.kill("SIGKILL");
  process.once("exit", kill);
  const stop = async () => {
    server.ref();
    server.kill("SIGTERM");
    await ended;
    process.off("exit", kill);
  };
  let words = "";
  server.stderr.setEncoding("utf8").on("data", (more) => {
    words = (words + more).slice(-MOST_WORDS);
  });
  try {
    const ready = await untilReady(readyFile, ended, options.timeoutMs ?? 10_000);
    // From here on the program decides how long it runs, and is not kept from its end by the server.
    server.unref();
    server.stderr.unref();
    return new MockServer(ready, stop);
  } catch (error) {
    await stop();
    throw new Error(`${binary} did not come up: ${error.message}\n${words}`.trim(), { cause: error });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** What the server says of itself, which appears complete or not at all. */
async function untilReady(file, ended, timeoutMs) {
  const giveUp = performance.now() + timeoutMs;
  for (;;) {
    try {
      return JSON.parse(await readFile(file, "utf8"));
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
    const failure = await Promise.race([ended, sleep(2)]);
    if (failure) throw failure;
    if (performance.now() > giveUp) throw new Error(`it was not ready within ${timeoutMs} ms`);
  }
}

class MockServer {
  #stop;

  constructor(ready, stop) {
    this.url = ready.url;
    this.customers = ready.customers;
    // With secrets, so not shown where the object is printed.
    Object.defineProperty(this, "solutions", { value: ready.solutions });
    Object.defineProperty(this, "controlToken", { value: ready.control_token });
    Object.defineProperty(this, "adminKey", { value: ready.admin_key });
    this.#stop = stop;
  }

  environment(solutionId = this.solutions[0].id) {
    const solution = this.solutions.find((it) => it.id === solutionId);
    if (!solution) {
      const known = this.solutions.map((it) => it.id).join(", ");
      throw new Error(`This world has no solution ${solutionId}, but ${known}.`);
    }
    return {
      CLOUDNESTLE_URL: this.url,
      CLOUDNESTLE_SOLUTION: solution.id,
      CLOUDNESTLE_SECRET_KEY: solution.secret_key,
      CLOUDNESTLE_PUBLISHABLE_KEY: solution.publishable_key,
    };
  }

  stop() {
    return this.#stop();
  }

  [Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]() {
    return this.#stop();
  }
}
