//! Other people's JWT libraries against the server's keys and tokens.

use std::process::Command;

use anyhow::Result;

use crate::server::{SOLUTION, Server};
use crate::shell::{self, cargo, step};

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

    let node = shell::node("interop-node", SCRIPTS)?;
    shell::run(Command::new("node").arg(node.join("verify.mjs")).envs(environment))
}
