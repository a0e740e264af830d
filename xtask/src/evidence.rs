//! The totals of campaigns, kept as data: a line for each.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use cloudnestle_marketplace::model::Timestamp;
use serde_json::{Value, json};

use crate::shell::output;

/// Notes in `file` what came of a campaign, when, and of which commit.
pub(crate) fn note(file: &str, campaign: &[String], totals: Value) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let line = json!({
        "at": Timestamp::from_secs(now.as_secs() as i64),
        "commit": commit()?,
        "campaign": campaign,
        "totals": totals,
    });
    println!("{line:#}");
    std::fs::create_dir_all("docs/evidence")?;
    let mut evidence = OpenOptions::new().append(true).create(true).open(file)?;
    writeln!(evidence, "{line}")?;
    println!("noted in {file}");
    Ok(())
}

/// What was tested: a commit, and whether anything but the evidence was changed since.
fn commit() -> Result<String> {
    let head = output(Command::new("git").args(["rev-parse", "--short", "HEAD"]))?;
    let beside = ":!docs/evidence";
    let changed = output(Command::new("git").args(["status", "--porcelain", "--", ".", beside]))?;
    let mark = if changed.is_empty() { "" } else { "-dirty" };
    Ok(format!("{}{mark}", head.trim()))
}
