//! `cloudnestle-mock-server`: the marketplace on a laptop. What it can be told is in `cli`.

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// The C library's allocator takes a quarter of the time of a busy server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// One thread serves a laptop, starts faster than many and takes less memory.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    cli::CommandLine::parse().run().await
}
