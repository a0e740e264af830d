//! Measures: sizes, start and memory of the server, instructions of the hot paths, and, without
//! `--check`, times.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::server::Server;
use crate::shell::{cargo, output, run as run_command, step, target};
use crate::{npm, projects, pypi};

/// `bench/budgets.toml`: what may not be exceeded. No times: machines differ.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budgets {
    server_binary_bytes: u64,
    server_idle_rss_bytes: u64,
    validate_user_warm_instructions: u64,
    validate_user_cold_percent_of_ring: u64,
    track_usage_instructions: u64,
    consume_instructions: u64,
    consume_bounded_instructions: u64,
    pub(crate) client_wasm_gzip_bytes: u64,
    pub(crate) backend_wasm_gzip_bytes: u64,
    pub(crate) client_face_gzip_bytes: u64,
    pub(crate) wheel_bytes: u64,
}

pub(crate) fn budgets() -> Result<Budgets> {
    let budgets = std::fs::read_to_string("bench/budgets.toml")?;
    toml::from_str(&budgets).context("bench/budgets.toml")
}

pub(crate) fn run(check: bool) -> Result<()> {
    let budgets = budgets()?;
    step("building for release");
    cargo(&["build", "--release", "--locked", "--package=cloudnestle-mock-server"])?;
    cargo(&["build", "--profile=bench", "--locked", "--package=cloudnestle-bench"])?;

    step("the server");
    let binary = target().join("release").join("cloudnestle-mock-server");
    let mut over = Vec::new();
    let mut keep = |what: &str, measured: u64, budget: u64, unit: &str| {
        println!("{what:<40} {measured:>12} {unit:<13} budget {budget}");
        if measured > budget {
            over.push(what.to_owned());
        }
    };
    keep("binary", binary.metadata()?.len(), budgets.server_binary_bytes, "bytes");
    let starts: Vec<Server> = (0..11).map(|_| Server::start("release")).collect::<Result<_>>()?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let rss = starts.first().map(|server| resident_bytes(server.id())).context("a server")??;
    keep("resident when idle", rss, budgets.server_idle_rss_bytes, "bytes");
    let mut times: Vec<_> = starts.iter().map(|server| server.started_in).collect();
    times.sort_unstable();
    println!(
        "start to ready, median of {} (with a fresh file): {:.1?}",
        times.len(),
        times[times.len() / 2]
    );
    drop(starts);

    step("instructions of the hot paths");
    keep(
        "validate_user warm",
        instructions("warm")?,
        budgets.validate_user_warm_instructions,
        "instructions",
    );
    let (cold, ring) = (instructions("cold")?, instructions("ring")?);
    println!("validate_user cold, local {cold} instructions; one signature by ring {ring}");
    let percent = cold * 100 / ring;
    keep("validate_user cold", percent, budgets.validate_user_cold_percent_of_ring, "% of ring");
    keep("track_usage", instructions("track")?, budgets.track_usage_instructions, "instructions");
    keep("consume", instructions("consume")?, budgets.consume_instructions, "instructions");
    keep(
        "consume, of a hard limit",
        instructions("bounded")?,
        budgets.consume_bounded_instructions,
        "instructions",
    );

    if !check {
        step("times of the hot paths");
        cargo(&["bench", "--locked", "--package=cloudnestle-bench", "--bench=sdk"])?;
    }
    if !over.is_empty() {
        bail!("over budget: {}", over.join(", "));
    }
    Ok(())
}

/// The JavaScript SDK beside its peers; `quick` is for trying the measurements themselves.
pub(crate) fn node(quick: bool) -> Result<()> {
    step("building the server for release");
    cargo(&["build", "--release", "--locked", "--package=cloudnestle-mock-server"])?;
    let tarballs = npm::packed()?;
    let folder = projects::prepare(Path::new("bench/node"), "bench", &tarballs)?;
    step("the JavaScript SDK beside its peers");
    let server = std::path::absolute(target().join("release").join("cloudnestle-mock-server"))?;
    let mut measure = Command::new("node");
    measure.arg("main.mjs").args(quick.then_some("--quick"));
    run_command(measure.current_dir(folder).env("CLOUDNESTLE_MOCK_SERVER", server))
}

/// The Python SDK beside its peers; `quick` is for trying the measurements themselves.
pub(crate) fn python(quick: bool) -> Result<()> {
    step("building the server for release");
    cargo(&["build", "--release", "--locked", "--package=cloudnestle-mock-server"])?;
    step("the Python package, beside its peers");
    let python = pypi::beside("bench/python/requirements.txt")?;
    let server = std::path::absolute(target().join("release").join("cloudnestle-mock-server"))?;
    let mut measure = Command::new(python);
    measure.arg("bench/python/main.py").args(quick.then_some("--quick"));
    run_command(measure.env("CLOUDNESTLE_MOCK_SERVER", server).env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// The server under load, as users run it.
pub(crate) fn load() -> Result<()> {
    step("building for release");
    cargo(&["build", "--release", "--locked", "--package=cloudnestle-mock-server"])?;
    cargo(&["build", "--release", "--locked", "--package=cloudnestle-bench", "--bin=load"])?;
    step("the server under load");
    let built = target().join("release");
    run_command(Command::new(built.join("load")).arg(built.join("cloudnestle-mock-server")))
}

/// One of the programs that measure a part alone.
pub(crate) fn campaign(part: &str) -> Result<()> {
    step("building for release");
    let bin = format!("--bin={part}");
    cargo(&["build", "--release", "--locked", "--package=cloudnestle-bench", &bin])?;
    step(part);
    run_command(&mut Command::new(target().join("release").join(part)))
}

fn resident_bytes(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}

/// How many instructions one more call costs, as callgrind counts them. What starts and ends the
/// program cancels out between two runs of different length.
fn instructions(path: &str) -> Result<u64> {
    const CALLS: u64 = 2_000;
    let counted = |calls: u64| -> Result<u64> {
        let report = target().join(format!("callgrind-{path}-{calls}.out"));
        output(
            Command::new("valgrind")
                .args([
                    "--tool=callgrind",
                    "--quiet",
                    "--toggle-collect=hot_path::measured_validations",
                    "--toggle-collect=hot_path::measured_tracking",
                    "--toggle-collect=hot_path::measured_consuming",
                    "--toggle-collect=hot_path::measured_signatures",
                ])
                .arg(format!("--callgrind-out-file={}", report.display()))
                .arg(target().join("release").join("hot-path"))
                .args([path, &calls.to_string()]),
        )
        .context("valgrind counts the instructions; Debian's package has that name")?;
        let report = std::fs::read_to_string(&report)?;
        let total = report.lines().find_map(|line| line.strip_prefix("totals: "));
        Ok(total.context("callgrind wrote no totals")?.trim().parse()?)
    };
    let (few, many) = (counted(CALLS)?, counted(3 * CALLS)?);
    let each = many.saturating_sub(few) / (2 * CALLS);
    ensure!(each > 0, "{few} instructions for {CALLS} calls and {many} for {}", 3 * CALLS);
    Ok(each)
}
