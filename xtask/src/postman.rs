//! The Postman collection against the server, by newman.

use std::process::Command;

use anyhow::Result;

use crate::shell::{self, cargo, step, target};

const SCRIPTS: &str = "conformance/postman";
const COLLECTION: &str = "docs/postman.json";

pub(crate) fn run() -> Result<()> {
    step("the Postman collection");
    cargo(&["build", "--locked", "--package=cloudnestle-mock-server"])?;
    let newman = shell::node("postman", SCRIPTS)?;
    let binary = target().join("debug/cloudnestle-mock-server");
    shell::run(
        Command::new(binary)
            .args(["exec", "--", "node"])
            .arg(newman.join("run.mjs"))
            .arg(COLLECTION),
    )
}
