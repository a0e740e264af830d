//! Campaigns of processes that die, and their totals as data.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::evidence;
use crate::shell::{self, cargo, output, step, succeeds, target};

/// A line for each campaign.
const EVIDENCE: &str = "docs/evidence/crash.jsonl";

/// Runs a campaign of `conformance/crash`, and notes what came of it. One whose count does not come
/// out even is an error, and says where the remains lie.
pub(crate) fn run(campaign: &[String]) -> Result<()> {
    strace()?;
    step("building what dies");
    cargo(&["build", "--locked", "--package=cloudnestle-crash"])?;
    step("the campaign");
    let totals = output(Command::new(target().join("debug").join("crash")).args(campaign))?;
    let totals: Value = serde_json::from_str(&totals)?;
    evidence::note(EVIDENCE, campaign, totals)
}

/// Installs strace where system calls are tampered with, and it is missing.
pub(crate) fn strace() -> Result<()> {
    if !cfg!(target_os = "linux") || succeeds(Command::new("strace").arg("--version")) {
        return Ok(());
    }
    step("installing strace");
    shell::run(Command::new("apt-get").args(["install", "--yes", "--quiet", "strace"]))
        .context("strace is missing; Debian's package has that name")
}
