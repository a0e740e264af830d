//! The marketplace and the SDK at work, before your eyes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::server::{SOLUTION, Server};
use crate::{npm, pypi, shell};

pub(crate) fn run(keep: bool, node: bool, python: bool) -> Result<()> {
    shell::step("building the server and the quickstart");
    shell::cargo(&[
        "build",
        "--locked",
        "--package=cloudnestle-mock-server",
        "--package=quickstart-rust",
    ])?;

    shell::step("starting the marketplace on its embedded store");
    let mut server = Server::start("debug")?;
    println!("ready in {:.0?} at {}", server.started_in, server.ready.url);

    shell::step("running examples/quickstart-rust against it");
    play(&mut server)?;

    let spool = tempfile::tempdir()?;
    let mut environment = server.ready.environment(SOLUTION)?;
    environment.push(("CLOUDNESTLE_SPOOL_DIR", spool.path().display().to_string()));
    if node {
        npm::run_example("examples/quickstart-node/quickstart.mjs", &environment)?;
    }
    if python {
        pypi::run_example("examples/quickstart-python/quickstart.py", &environment)?;
    }

    if keep {
        println!(
            "\nThe API page is at {}/ — end with Ctrl-C. To try it from another shell:",
            server.ready.url
        );
        for (name, value) in server.ready.environment(SOLUTION)? {
            println!("  export {name}='{value}'");
        }
        server.wait()?;
    }
    Ok(())
}

/// Runs the quickstart, and plays the part of the marketplace when it asks for it.
fn play(server: &mut Server) -> Result<()> {
    let spool = tempfile::tempdir()?;
    let mut quickstart = Command::new(shell::target().join("debug").join("quickstart-rust"))
        .envs(server.ready.environment(SOLUTION)?)
        .env("CLOUDNESTLE_SPOOL_DIR", spool.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(quickstart.stdout.take().context("its output is piped")?).lines();
    let mut enter = quickstart.stdin.take().context("its input is piped")?;
    for line in lines {
        let line = line?;
        println!("{line}");
        if line.starts_with("Please take the marketplace away") {
            server.kill()?;
            println!("  (the server is killed)");
            enter.write_all(b"\n")?;
        } else if line.starts_with("Please bring the marketplace back") {
            server.restart()?;
            println!("  (the server is started again on the same file)");
            enter.write_all(b"\n")?;
        }
    }
    if !quickstart.wait()?.success() {
        bail!("the quickstart failed");
    }
    Ok(())
}
