//! Campaigns on simulated machines, and their totals as data.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;

use crate::evidence;
use crate::shell::{self, cargo_command, step, target};

const EVIDENCE: &str = "docs/evidence/sim.jsonl";

/// The campaign of `conformance/sim`: SDKs and the server in one world.
const WORLD: &str = "world";

/// All campaigns of the spool alone, but for the one that needs a build of its own.
const SPOOL: &str = "spool";

/// The campaign of the spool between threads, which shuttle runs.
const THREADS: &str = "threads";

/// Which stories, and how many.
#[derive(Args)]
pub(crate) struct Campaign {
    /// `world`: SDKs and the server. Of the spool alone: `power`, `flips`, `model`, `fuzz`, `handover`,
    /// `outage`, `storm`, or `spool` for all of these; `threads`, of which another may go on at any moment
    #[arg(default_value = WORLD)]
    which: String,
    /// How many of each kind
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first seed, of the world
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Tells one story of the world, line by line
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Plants bugs, one after the other, and tells how many stories of the world it takes to find each
    #[arg(long, conflicts_with_all = ["seeds", "from", "seed"])]
    planted: bool,
}

/// Tells stories. One that breaks a promise is an error, and names its seed.
pub(crate) fn run(campaign: &Campaign) -> Result<()> {
    match campaign.which.as_str() {
        WORLD => world(campaign),
        SPOOL => spool(campaign.seeds, ""),
        which => spool(campaign.seeds, which),
    }
}

/// Has the tests see that each bug is found which is planted.
pub(crate) fn find_planted() -> Result<()> {
    step("bugs on purpose, which the simulated world has to find");
    let planted = ["--package=cloudnestle-sim", "--features=planted", "--test=planted"];
    shell::cargo(&[&["test", "--locked"], &planted[..]].concat())
}

fn world(campaign: &Campaign) -> Result<()> {
    let Campaign { seeds, from, seed, planted, .. } = campaign;
    let sim = |arguments: &[String]| {
        let features = if *planted { "--features=planted" } else { "--features=" };
        let run = ["run", "--profile=sim", "--locked", "--package=cloudnestle-sim", features, "--"];
        shell::run(cargo_command(&run).args(arguments))
    };
    if let Some(seed) = seed {
        return sim(&[format!("--seed={seed}")]);
    }
    if *planted {
        step("bugs that were planted");
        return sim(&["--planted".to_owned()]);
    }
    step("SDKs and the server, in worlds in which everything fails");
    let totals = fresh_file("world-totals.json")?;
    let arguments = [format!("--seeds={seeds}"), format!("--from={from}")];
    let told = sim(&[&arguments[..], &[format!("--totals={}", totals.display())]].concat());
    let noted = fs::read_to_string(&totals)?;
    if !noted.is_empty() {
        let [seeds, from] = arguments;
        evidence::note(EVIDENCE, &[WORLD.to_owned(), seeds, from], serde_json::from_str(&noted)?)?;
    }
    told
}

/// Tells so many stories of each kind that `which` names; all of them, if it is empty.
fn spool(seeds: u64, which: &str) -> Result<()> {
    step("the promises of the spool, on a simulated machine");
    let totals = fresh_file("sim-totals.jsonl")?;
    let tests = format!("usage::proof::{which}");
    let test = ["test", "--release", "--locked", "--package=cloudnestle-marketplace", "--lib"];
    let features = if which == THREADS { "--features=shuttle" } else { "--features=" };
    shell::run(
        cargo_command(&test)
            .arg(features)
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

/// An empty file for totals.
fn fresh_file(name: &str) -> Result<PathBuf> {
    let file = std::path::absolute(target().join(name))?;
    fs::create_dir_all(target())?;
    fs::write(&file, "")?;
    Ok(file)
}
