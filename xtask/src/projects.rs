//! Folders that have installed the npm package from its tarball: projects of Node, TypeScript, bundlers, test runners and
//! frameworks (`sdk-wasm/tests/projects`), and its benchmark (`bench/node`). What they ask for is installed once below
//! `target/npm`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::npm::{Tarballs, copy};
use crate::shell::{self, step, target};

const SOURCES: &str = "sdk-wasm/tests/projects";

/// The examples that are run with them.
const EXAMPLES: [&str; 2] = ["node-express", "vite-page"];

/// What says which tools there are.
const TOOLS: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// Runs the projects, against that server.
pub(crate) fn test(tarballs: &Tarballs, server: &Path) -> Result<()> {
    step("the npm package, in projects of other tools");
    let folder = prepare(Path::new(SOURCES), "projects", tarballs)?;
    for example in EXAMPLES {
        copy(&Path::new("examples").join(example), &folder.join("examples").join(example))?;
    }
    let out = target().join("npm").join("out");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    shell::run(
        Command::new("node")
            .args(["--test", "projects.test.mjs"])
            .current_dir(&folder)
            .env("CLOUDNESTLE_MOCK_SERVER", server)
            .env("CLOUDNESTLE_TARBALL", &tarballs.package)
            .env("CLOUDNESTLE_OUT", fs::canonicalize(out)?),
    )
}

/// A folder below `target/npm` of that name, with what is in `sources`, what its `package.json` asks for, and the
/// tarballs.
pub(crate) fn prepare(sources: &Path, name: &str, tarballs: &Tarballs) -> Result<PathBuf> {
    let folder = target().join("npm").join(name);
    install_tools(sources, &folder)?;
    for entry in fs::read_dir(sources)? {
        let name = entry?.file_name();
        copy(&sources.join(&name), &folder.join(&name))?;
    }
    // Of the tarballs as they are now, whatever an earlier run has installed.
    let ours = folder.join("node_modules/@cloudnestle");
    if ours.exists() {
        fs::remove_dir_all(ours)?;
    }
    let install = ["install", "--no-save", "--offline", "--ignore-scripts", "--loglevel=error"];
    shell::run(
        Command::new("npm")
            .args(install)
            .args(["--no-audit", "--no-fund"])
            .args([&tarballs.package, &tarballs.launcher])
            .current_dir(&folder),
    )?;
    Ok(folder)
}

/// Installs the tools, unless they are there. Not by `npm ci`: it insists on packages for other platforms,
/// which not every registry has.
fn install_tools(sources: &Path, folder: &Path) -> Result<()> {
    let lock = |folder: &Path| fs::read(folder.join("package-lock.json"));
    let installed = folder.join("node_modules/.package-lock.json");
    if installed.exists() && lock(folder).ok() == Some(lock(sources)?) {
        return Ok(());
    }
    step(&format!("what {} asks for", sources.display()));
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for file in TOOLS {
        copy(&sources.join(file), &folder.join(file))?;
    }
    let install = ["install", "--loglevel=error", "--no-audit", "--no-fund", "--ignore-scripts"];
    shell::run(Command::new("npm").args(install).current_dir(folder))
}
