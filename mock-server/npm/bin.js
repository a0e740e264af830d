#!/usr/bin/env node
// `cloudnestle-mock-server`: the binary, with this process's arguments, terminal and end.
"use strict";

const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const { binaryPath } = require("./binary.js");

let path;
try {
  path = binaryPath();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exit(1);
}
const server = spawn(path, process.argv.slice(2), { stdio: "inherit" });
server.on("error", (error) => {
  console.error(`error: ${path} can't be started: ${error.message}`);
  process.exit(1);
});
// A terminal tells both; a supervisor tells this process alone.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => server.kill(signal));
}
server.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
