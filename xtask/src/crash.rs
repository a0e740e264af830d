//! Campaigns of processes that die, and their totals as data.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use cloudnestle_marketplace::model::Timestamp;
use serde_json::{Value, json};

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
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let line = json!({
        "at": Timestamp::from_secs(now.as_secs() as i64),
        "commit": commit()?,
        "campaign": campaign,
        "totals": totals,
    });
    println!("{line:#}");
    std::fs::create_dir_all("docs/evidence")?;
    let mut evidence = OpenOptions::new().append(true).create(true).open(EVIDENCE)?;
    writeln!(evidence, "{line}")?;
    println!("noted in {EVIDENCE}");
    Ok(())
}

/// What was tested: a commit, and whether anything but the evidence was changed since.
fn commit() -> Result<String> {
    let head = output(Command::new("git").args(["rev-parse", "--short", "HEAD"]))?;
    let beside = format!(":!{EVIDENCE}");
    let changed = output(Command::new("git").args(["status", "--porcelain", "--", ".", &beside]))?;
    let mark = if changed.is_empty() { "" } else { "-dirty" };
    Ok(format!("{}{mark}", head.trim()))
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
