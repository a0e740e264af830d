//! The server against the OpenAPI document it gives out.

use std::process::Command;

use anyhow::Result;

use crate::server::{SOLUTION, Server};
use crate::shell::{self, cargo, step};

const FOLDER: &str = "conformance/openapi";

/// For about so many seconds.
pub(crate) fn run(seconds: u32) -> Result<()> {
    step("the server against its OpenAPI document");
    cargo(&["build", "--locked", "--package=cloudnestle-mock-server"])?;
    let server = Server::start("debug")?;
    let python = shell::python("fuzz-python", &format!("{FOLDER}/requirements.txt"))?;
    let script = format!("{FOLDER}/fuzz.py");
    let environment = server.ready.environment(SOLUTION)?;
    shell::run(Command::new(python).arg(script).arg(seconds.to_string()).envs(environment))
}
