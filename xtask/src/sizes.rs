//! What a browser fetches of the npm package, as it is sent: `bench/budgets.toml` says what may not be exceeded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bench::budgets;
use crate::shell::{run, step};

/// Holds a package that is built to its budgets.
pub(crate) fn check(package: &Path) -> Result<()> {
    step("the sizes of the npm package");
    let budgets = budgets()?;
    let module = |name: &str| gzipped(&package.join("wasm").join(name).join("core_bg.wasm"));
    let measured = [
        ("a client's module", module("client")?, budgets.client_wasm_gzip_bytes),
        ("a backend's module", module("backend")?, budgets.backend_wasm_gzip_bytes),
        ("a client's JavaScript", gzipped(&face(package)?)?, budgets.client_face_gzip_bytes),
    ];
    for (what, bytes, budget) in measured {
        println!("{what:<24} {bytes:>8} bytes gzipped, budget {budget}");
    }
    let over = measured.iter().filter(|(_, bytes, budget)| bytes > budget);
    let over: Vec<&str> = over.map(|(what, ..)| *what).collect();
    ensure!(over.is_empty(), "over budget: {}", over.join(", "));
    Ok(())
}

/// A page's share of the JavaScript, as a bundler makes it: all but the module.
fn face(package: &Path) -> Result<PathBuf> {
    let bundle = ["ts/client.ts", "--bundle", "--minify", "--format=esm", "--platform=browser"];
    let beside =
        ["--target=es2022", "--define:import.meta.url=undefined", "--external:*/packed.js"];
    let mut esbuild = Command::new(fs::canonicalize(package.join("node_modules/.bin/esbuild"))?);
    let quiet = ["--log-level=warning", "--outfile=face.js"];
    run(esbuild.args(bundle).args(beside).args(quiet).current_dir(package))?;
    Ok(package.join("face.js"))
}

fn gzipped(file: &Path) -> Result<u64> {
    run(Command::new("gzip").args(["-9", "--keep", "--force"]).arg(file))?;
    let packed = format!("{}.gz", file.display());
    Ok(Path::new(&packed).metadata().context("gzip has made no file")?.len())
}
