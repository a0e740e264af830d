//! The npm packages that carry the server: the launcher against a built binary, then both as a newcomer
//! installs them.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::shell::{self, cargo, step, target};

const FOLDER: &str = "mock-server/npm";

/// What a newcomer's first program says of the server.
const FIRST_PROGRAM: &str = "
import { start } from '@cloudnestle/mock-server';
const server = await start();
const { status } = await fetch(server.url + '/.well-known/jwks.json');
await server.stop();
if (status !== 200) throw new Error(`the keys are answered with ${status}`);
";

pub(crate) fn test() -> Result<()> {
    step("the server's npm packages");
    cargo(&["build", "--locked", "--package=cloudnestle-mock-server"])?;
    let binary = std::path::absolute(target().join("debug/cloudnestle-mock-server"))?;
    shell::run(
        Command::new("node")
            .args(["--test", "test/"])
            .current_dir(FOLDER)
            .env("CLOUDNESTLE_MOCK_SERVER", &binary),
    )?;

    let project = tempfile::tempdir()?;
    let packages = project.path().join("packages");
    let pack = format!("{FOLDER}/pack.mjs");
    shell::output(Command::new("node").arg(pack).arg(&binary).arg(&packages))?;
    let launcher = format!("cloudnestle-mock-server-{}.tgz", env!("CARGO_PKG_VERSION"));
    ensure!(packages.join(&launcher).exists(), "{FOLDER}/package.json is of another version");
    install(project.path(), &packages)?;
    let program = ["--input-type=module", "--eval", FIRST_PROGRAM];
    shell::run(Command::new("node").args(program).current_dir(&project))?;
    let version = ["--no-install", "cloudnestle-mock-server", "--version"];
    shell::run(Command::new("npx").args(version).current_dir(&project))
}

/// Installs the tarballs, and nothing from elsewhere.
fn install(project: &Path, packages: &Path) -> Result<()> {
    let files = std::fs::read_dir(packages)?;
    let tarballs = files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    let quiet = ["--loglevel=error", "--no-audit", "--no-fund", "--offline"];
    std::fs::write(project.join("package.json"), r#"{ "private": true }"#)?;
    shell::run(Command::new("npm").arg("install").args(quiet).args(tarballs).current_dir(project))
}
