//! Campaigns on a simulated machine, and their totals as data.

use std::fs;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::evidence;
use crate::shell::{self, cargo_command, step, target};

const EVIDENCE: &str = "docs/evidence/sim.jsonl";

/// Tells so many stories of each kind that `which` names; all of them, if it is empty. One that breaks
/// a promise is an error, and names its seed.
pub(crate) fn run(seeds: u64, which: &str) -> Result<()> {
    step("the promises of the spool, on a simulated machine");
    let totals = std::path::absolute(target().join("sim-totals.jsonl"))?;
    fs::create_dir_all(target())?;
    fs::write(&totals, "")?;
    let tests = format!("usage::proof::{which}");
    let test = ["test", "--release", "--locked", "--package=cloudnestle-marketplace", "--lib"];
    shell::run(
        cargo_command(&test)
            .args(["--", &tests, "--nocapture"])
            .env("SIM_SEEDS", seeds.to_string())
            .env("SIM_TOTALS", &totals),
    )?;
    let noted = fs::read_to_string(&totals)?;
    if noted.is_empty() {
        bail!("there is no campaign of the name {which}");
    }
    for line in noted.lines() {
        let mut campaign: Value = serde_json::from_str(line)?;
        let name = campaign["campaign"].as_str().unwrap_or_default().to_owned();
        let arguments = [name, format!("--seeds={seeds}")];
        evidence::note(EVIDENCE, &arguments, campaign["totals"].take())?;
    }
    Ok(())
}
