//! Other people's JWT libraries against the server's keys and tokens.

use std::process::Command;

use anyhow::Result;

use crate::server::{SOLUTION, Server};
use crate::shell::{self, cargo, step, target};

const SCRIPTS: &str = "conformance/interop";

pub(crate) fn run() -> Result<()> {
    step("other people's JWT libraries");
    cargo(&["build", "--locked", "--package=cloudnestle-mock-server"])?;
    let server = Server::start("debug")?;
    let environment = server.ready.environment(SOLUTION)?;

    let python = shell::python("interop-python", &format!("{SCRIPTS}/requirements.txt"))?;
    shell::run(
        Command::new(&python).arg(format!("{SCRIPTS}/verify.py")).envs(environment.clone()),
    )?;

    let node = target().join("interop-node");
    std::fs::create_dir_all(&node)?;
    for file in ["package.json", "package-lock.json", ".npmrc", "verify.mjs"] {
        std::fs::copy(format!("{SCRIPTS}/{file}"), node.join(file))?;
    }
    shell::run(
        Command::new("npm")
            .args(["ci", "--loglevel=error", "--no-audit", "--no-fund"])
            .current_dir(&node),
    )?;
    shell::run(Command::new("node").arg(node.join("verify.mjs")).envs(environment))
}
