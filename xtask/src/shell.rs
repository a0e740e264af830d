//! Other programs, run as a person would run them: what they print is seen, and that they fail is an error.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

static STEP: Mutex<String> = Mutex::new(String::new());

/// Says what comes next.
pub(crate) fn step(what: &str) {
    println!("\n── {what}");
    what.clone_into(&mut STEP.lock().unwrap_or_else(PoisonError::into_inner));
}

/// What was said last to come next.
pub(crate) fn last_step() -> String {
    STEP.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Runs a command, its output passed through; an error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("{name} can't be started"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// Runs a command and returns what it prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{name} can't be started"))?;
    if !out.status.success() {
        bail!("{name} failed ({})", out.status);
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Whether a command succeeds; its output is kept quiet.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// `cargo …`, with the cargo that runs us.
pub(crate) fn cargo_command(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

pub(crate) fn cargo(args: &[&str]) -> Result<()> {
    run(&mut cargo_command(args))
}

/// Where built things lie.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

/// A program of that name and version from crates.io, built once below `target/`.
pub(crate) fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let root = target().join("tools");
    let binary = root.join("bin").join(name);
    let installed = output(Command::new(&binary).arg("--version"));
    if !installed.unwrap_or_default().trim_end().ends_with(version) {
        let version = format!("--version={version}");
        let install = ["install", name, "--locked", "--debug", "--quiet", &version];
        let build = root.join(format!("build-{name}"));
        run(cargo_command(&install).arg("--root").arg(&root).arg("--target-dir").arg(&build))?;
        std::fs::remove_dir_all(build)?;
    }
    Ok(binary)
}

/// A Python below `target/` that has what a file of requirements asks for.
pub(crate) fn python(name: &str, requirements: &str) -> Result<PathBuf> {
    let venv = target().join(name);
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let python = venv.join("bin").join("python");
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(Command::new(&python).args(install).args(["--requirement", requirements]))?;
    Ok(python)
}

/// A folder below `target/` with the scripts of a folder, and what its lock file names.
pub(crate) fn node(name: &str, scripts: &str) -> Result<PathBuf> {
    let folder = target().join(name);
    std::fs::create_dir_all(&folder)?;
    for entry in std::fs::read_dir(scripts)? {
        let entry = entry?;
        std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
    }
    let install = ["ci", "--loglevel=error", "--no-audit", "--no-fund"];
    run(Command::new("npm").args(install).current_dir(&folder))?;
    Ok(folder)
}
