//! The one door for developers: `cargo xtask demo`, `test`, `lint`, `bench`, `crash`, `sim`, `fuzz` and `generate`.
//!
//! Everything a command needs beyond Rust, Node and Python it sets up itself, below `target/`.

mod bench;
mod bindings;
mod crash;
mod demo;
mod evidence;
mod fuzz;
mod generate;
mod interop;
mod lint;
mod npm;
mod openapi;
mod postman;
mod projects;
mod pypi;
mod server;
mod server_packages;
mod shell;
mod sim;
mod sizes;
mod typescript;
mod wasm;

use anyhow::Context;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about)]
struct Door {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts the marketplace on this machine and runs the SDK against it, visibly.
    Demo {
        /// Leaves the server running, to look around.
        #[arg(long)]
        keep: bool,
        /// Runs the SDK for JavaScript, too. The first time that takes some minutes, for a compiler.
        #[arg(long)]
        node: bool,
        /// Runs the SDK for Python, too. The first time that takes some minutes, for its wheel.
        #[arg(long)]
        python: bool,
    },
    /// Runs every test, in every language.
    Test {
        /// For how many seconds the server is tested against its OpenAPI document
        #[arg(long, default_value_t = 90)]
        fuzz: u32,
    },
    /// Builds the npm package, installs it from its tarball and runs its tests; `test` does so, too.
    Npm,
    /// Builds the Python packages, installs their wheels and runs their tests; `test` does so, too.
    Pypi {
        /// Writes the stubs of the native module, and does nothing else
        #[arg(long)]
        write_stubs: bool,
    },
    /// Checks form: formatting, lints, documentation, licences, what the core depends on.
    Lint,
    /// Writes the files that are made of the code, such as `docs/errors.md`.
    Generate {
        /// Writes nothing, and fails where a file is not what the code makes of it.
        #[arg(long)]
        check: bool,
    },
    /// Measures, and prints what it measured.
    Bench {
        /// Only what has a budget, and fails where `bench/budgets.toml` is not kept.
        #[arg(long)]
        check: bool,
        /// Only the server under load: calls a second, latencies, and that nothing is lost
        #[arg(long, conflicts_with = "check")]
        load: bool,
        /// Only the promises about tokens, counted over many: revoked in time, never logged out
        #[arg(long, conflicts_with_all = ["check", "load"])]
        tokens: bool,
        /// Only the spool: durable events, recovery, what delivering takes of the processor
        #[arg(long, conflicts_with_all = ["check", "load", "tokens"])]
        spool: bool,
        /// Only the worlds beside a server's own: made, kept, forgotten
        #[arg(long, conflicts_with_all = ["check", "load", "tokens", "spool"])]
        worlds: bool,
        /// Only the JavaScript SDK, beside its peers
        #[arg(long, group = "peers", conflicts_with_all = ["check", "load", "tokens", "spool", "worlds"])]
        node: bool,
        /// Only the Python SDK, beside its peers
        #[arg(long, group = "peers", conflicts_with_all = ["check", "load", "tokens", "spool", "worlds"])]
        python: bool,
        /// With `--node` or `--python`: a short run, to try the measurements themselves
        #[arg(long, requires = "peers")]
        quick: bool,
    },
    /// Kills processes for as long as it is told, compares what was acknowledged with what was
    /// counted, and notes the totals: `kills --kills 240`, `sweep --of database`.
    Crash {
        /// A campaign of `conformance/crash`, and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        campaign: Vec<String>,
    },
    /// Tells stories of programs, servers, disks and networks that fail, in virtual time, each made of
    /// its seed, and notes the totals.
    Sim(sim::Campaign),
    /// Makes bytes up by what they reach in the code that reads them, and notes the totals.
    Fuzz(fuzz::Campaign),
}

fn main() -> anyhow::Result<()> {
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
    run(Door::parse().command).with_context(|| format!("in the step “{}”", shell::last_step()))
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo { keep, node, python } => demo::run(keep, node, python),
        Command::Test { fuzz } => {
            crash::strace()?;
            shell::step("every test of the workspace");
            shell::cargo(&["test", "--workspace", "--locked"])?;
            shell::step("the SDK with the JSON reader of a browser's module");
            let small = ["test", "--locked", "--package=cloudnestle-marketplace", "--lib"];
            shell::cargo(&[&small[..], &["--features=small"]].concat())?;
            shell::step("the server without its control API");
            let without = ["--no-default-features", "--locked"];
            shell::cargo(&[&["test", "--package=cloudnestle-mock-server"], &without[..]].concat())?;
            shell::step("what usage hands over between threads, in many orders");
            shell::cargo(&[
                "test",
                "--locked",
                "--package=cloudnestle-marketplace",
                "--lib",
                "--features=shuttle",
                "usage::proof::threads",
            ])?;
            sim::find_planted()?;
            interop::run()?;
            postman::run()?;
            server_packages::test()?;
            npm::test()?;
            pypi::test()?;
            openapi::run(fuzz)
        }
        Command::Npm => npm::test(),
        Command::Pypi { write_stubs: true } => pypi::write_stubs(),
        Command::Pypi { write_stubs: false } => pypi::test(),
        Command::Lint => lint::run(),
        Command::Bench { load: true, .. } => bench::load(),
        Command::Bench { tokens: true, .. } => bench::campaign("tokens"),
        Command::Bench { spool: true, .. } => bench::campaign("spool"),
        Command::Bench { worlds: true, .. } => bench::campaign("worlds"),
        Command::Bench { node: true, quick, .. } => bench::node(quick),
        Command::Bench { python: true, quick, .. } => bench::python(quick),
        Command::Bench { check, .. } => bench::run(check),
        Command::Crash { campaign } => crash::run(&campaign),
        Command::Sim(campaign) => sim::run(&campaign),
        Command::Fuzz(campaign) => fuzz::run(&campaign),
        Command::Generate { check: true } => generate::check(),
        Command::Generate { check: false } => generate::write(),
    }
}
