//! `cargo xtask bench --worlds`: what a world beside the server's own costs to make, to keep and to forget.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cloudnestle_mock_server::{MockServer, NewWorld};

/// How many are there at once: half of what a server has room for.
const WORLDS: u64 = 512;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let server = MockServer::start().await?;
    let before = resident_bytes()?;
    let (mut made, mut worlds) = (Vec::new(), Vec::new());
    for n in 0..WORLDS {
        let began = Instant::now();
        let world = server.create_world(NewWorld::default().id(format!("wld_{n}")).seed(n)).await?;
        made.push(began.elapsed());
        worlds.push(world);
    }
    let kept = resident_bytes()?.saturating_sub(before) / WORLDS;
    let mut forgotten = Vec::new();
    for world in worlds {
        let began = Instant::now();
        drop(world);
        forgotten.push(began.elapsed());
    }
    println!("{WORLDS} worlds of the built-in kind, each made while those before it are there\n");
    println!("| | median | 99 % | longest |\n|---|---|---|---|");
    row("made", made);
    row("forgotten", forgotten);
    println!("\neach takes {} KB of memory, before anything is done in it", kept / 1024);
    Ok(())
}

fn row(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let micros = |at: usize| times[at.min(times.len() - 1)].as_micros();
    let (median, most) = (micros(times.len() / 2), micros(times.len() * 99 / 100));
    println!("| {name} | {median} µs | {most} µs | {} µs |", micros(times.len()));
}

fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
