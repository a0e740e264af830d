//! Form: what a reviewer should not have to look for.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::generate;
use crate::shell::{self, cargo, cargo_command, cargo_tool, output, step, succeeds};

/// Builds in under a minute; a newer one may be set here at any time.
const CARGO_DENY: &str = "0.20.2";

/// What the core must do without, because browsers have no place for it.
const NATIVE_ONLY: [&str; 3] = ["tokio", "reqwest", "moka"];

pub(crate) fn run() -> Result<()> {
    step("rustfmt");
    cargo(&["fmt", "--all", "--check"])?;

    step("clippy");
    let clippy = |which: &[&str]| {
        cargo(&[&["clippy", "--locked", "--quiet"], which, &["--", "--deny=warnings"]].concat())
    };
    clippy(&["--workspace", "--all-targets"])?;
    let core = ["--package=cloudnestle-marketplace", "--no-default-features"];
    for features in ["", "prose", "files", "backend", "backend,prose"] {
        clippy(&[&core[..], &["--features", features]].concat())?;
    }
    clippy(&["--package=cloudnestle-marketplace", "--features=sim"])?;
    clippy(&["--package=cloudnestle-marketplace", "--lib", "--tests", "--features=small"])?;
    clippy(&["--package=cloudnestle-mock-server", "--no-default-features"])?;
    clippy(&["--package=cloudnestle-marketplace-wasm", "--no-default-features", "--all-targets"])?;
    clippy(&["--package=cloudnestle-marketplace", "--lib", "--tests", "--features=shuttle"])?;
    clippy(&["--package=cloudnestle-fuzz", "--features=libfuzzer"])?;
    clippy(&["--package=cloudnestle-sim", "--features=planted", "--all-targets"])?;

    step("generated files");
    generate::check()?;

    step("rustdoc");
    let doc = |which: &[&str]| {
        let arguments = [&["doc", "--no-deps", "--locked", "--quiet"], which].concat();
        shell::run(cargo_command(&arguments).env("RUSTDOCFLAGS", "--deny=warnings"))
    };
    doc(&["--workspace"])?;
    doc(&["--package=cloudnestle-marketplace", "--no-default-features", "--features=backend"])?;

    step("the core without its native host");
    core_is_portable()?;

    step("licences, bans and sources");
    let deny = cargo_tool("cargo-deny", CARGO_DENY)?;
    shell::run(Command::new(&deny).args([
        "--log-level=error",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))?;
    advisories(&deny)
}

fn core_is_portable() -> Result<()> {
    let tree = output(&mut cargo_command(&[
        "tree",
        "--package=cloudnestle-marketplace",
        "--no-default-features",
        "--edges=normal",
        "--prefix=none",
        "--locked",
    ]))?;
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    if let Some(name) = NATIVE_ONLY.into_iter().find(|name| names.contains(name)) {
        bail!("the core depends on {name} even without the feature `native`:\n{tree}");
    }
    println!("{} crates, none of them {}", names.len(), NATIVE_ONLY.join(", "));
    Ok(())
}

/// Checked only where the database can be had, and said so either way.
fn advisories(deny: &PathBuf) -> Result<()> {
    step("advisories");
    if !succeeds(Command::new(deny).args(["fetch", "db"])) {
        println!("NOT CHECKED: the advisory database can't be reached from here");
        return Ok(());
    }
    shell::run(Command::new(deny).args(["--log-level=error", "check", "advisories"]))?;
    println!("checked against the advisory database");
    Ok(())
}
