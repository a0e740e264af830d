//! Projects that have installed the npm package from its tarball: Node, TypeScript, bundlers, test runners,
//! frameworks (`sdk-wasm/tests/projects`). Their tools are installed once below `target/npm/projects`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::npm::{Tarballs, copy};
use crate::shell::{self, step, target};

const SOURCES: &str = "sdk-wasm/tests/projects";

/// What says which tools there are.
const TOOLS: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// Runs the projects, against that server.
pub(crate) fn test(tarballs: &Tarballs, server: &Path) -> Result<()> {
    step("the npm package, in projects of other tools");
    let folder = target().join("npm").join("projects");
    install_tools(&folder)?;
    for entry in fs::read_dir(SOURCES)? {
        let name = entry?.file_name();
        copy(&Path::new(SOURCES).join(&name), &folder.join(&name))?;
    }
    // Of the tarballs as they are now, whatever an earlier run has installed.
    let ours = folder.join("node_modules/@cloudnestle");
    if ours.exists() {
        fs::remove_dir_all(ours)?;
    }
    let install =
        ["install", "--no-save", "--no-package-lock", "--offline", "--ignore-scripts", "--silent"];
    shell::run(
        Command::new("npm")
            .args(install)
            .args(["--no-audit", "--no-fund"])
            .args([&tarballs.package, &tarballs.launcher])
            .current_dir(&folder),
    )?;
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

/// Installs the tools, unless they are there. Not by `npm ci`: it insists on packages for other platforms,
/// which not every registry has.
fn install_tools(folder: &Path) -> Result<()> {
    let lock = |folder: &Path| fs::read(folder.join("package-lock.json"));
    let installed = folder.join("node_modules/.package-lock.json");
    if installed.exists() && lock(folder).ok() == Some(lock(Path::new(SOURCES))?) {
        return Ok(());
    }
    step("the tools of the projects");
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for file in TOOLS {
        copy(&Path::new(SOURCES).join(file), &folder.join(file))?;
    }
    let install = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"];
    shell::run(Command::new("npm").args(install).current_dir(folder))
}
