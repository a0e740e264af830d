//! Bytes that are made up by what they reach in the code. What breaks a promise becomes a seed, and a test, in
//! the folder `fuzz`.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::evidence;
use crate::shell::{self, cargo_tool, step, target};

const EVIDENCE: &str = "docs/evidence/fuzz.jsonl";

/// Builds in a minute; a newer one may be set here at any time.
const CARGO_FUZZ: &str = "0.13.2";

/// What `fuzz/src/lib.rs` names.
const TARGETS: [&str; 6] = ["answer", "folder", "frames", "range", "token", "wire"];

/// What libFuzzer may take for one input, in seconds, and in all, in megabytes.
const LIMITS: [&str; 2] = ["-timeout=20", "-rss_limit_mb=3000"];

/// What is fuzzed, and for how long.
#[derive(Args)]
pub(crate) struct Campaign {
    /// A target of `fuzz/src/lib.rs`; all of them, one after the other, if none is named
    which: Option<String>,
    /// For how many seconds each
    #[arg(long, default_value_t = 600)]
    seconds: u32,
}

/// Fuzzes, and notes the totals. Needs a nightly Rust and a C++ compiler.
pub(crate) fn run(Campaign { which, seconds }: &Campaign) -> Result<()> {
    let cargo_fuzz = std::path::absolute(cargo_tool("cargo-fuzz", CARGO_FUZZ)?)?;
    step("building for libFuzzer, with its sanitizer of addresses");
    let build = ["fuzz", "build", "--fuzz-dir=fuzz", "--features=libfuzzer"];
    shell::run(
        Command::new(cargo_fuzz)
            .args(build)
            .env_remove("CARGO") // it would be of the toolchain that runs us
            .env("RUSTUP_TOOLCHAIN", "nightly")
            .env("CARGO_PROFILE_RELEASE_LTO", "false")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_STRIP", "none"),
    )
    .context("fuzzing needs a nightly Rust: `rustup toolchain install nightly`")?;
    for name in TARGETS {
        if which.as_ref().is_none_or(|which| which == name) {
            step(name);
            let totals = fuzz(name, *seconds)?;
            evidence::note(EVIDENCE, &[name.to_owned(), format!("--seconds={seconds}")], totals)?;
        }
    }
    Ok(())
}

fn fuzz(name: &str, seconds: u32) -> Result<Value> {
    let corpus = target().join("fuzz").join(name);
    fs::create_dir_all(&corpus)?;
    let found = target().join("fuzz").join(format!("found-{name}-"));
    let output = Command::new(binary(name)?)
        .args(LIMITS)
        .args([format!("-max_total_time={seconds}"), "-print_final_stats=1".to_owned()])
        .arg(format!("-artifact_prefix={}", found.display()))
        .arg(&corpus)
        .arg(format!("fuzz/seeds/{name}"))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let from = said.find("panicked at").unwrap_or(said.len().saturating_sub(4_000));
        bail!("{name} breaks a promise; its bytes are in {}…\n{}", found.display(), &said[from..]);
    }
    let number = |before: &str| -> Option<u64> {
        said.rsplit_once(before)?.1.split_whitespace().next()?.parse().ok()
    };
    let executed = number("stat::number_of_executed_units:").context("no totals")?;
    Ok(json!({
        "executed": executed,
        "edges_reached": number(" cov: "),
        "corpus": fs::read_dir(&corpus)?.count(),
        "most_resident_mb": number("stat::peak_rss_mb:"),
        "broken": 0,
    }))
}

fn binary(name: &str) -> Result<std::path::PathBuf> {
    let version = shell::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(target().join(host.context("rustc names no host")?).join("release").join(name))
}
