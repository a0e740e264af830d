//! `cargo xtask bench --worlds`: what a world beside the server's own costs to make, to keep and to forget; how
//! long it takes to keep and to restore what a marketplace holds.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cloudnestle_mock_server::{MockServer, NewWorld};

/// How many are there at once: half of what a server has room for.
const WORLDS: u64 = 512;
/// How many rows a marketplace has that goes back.
const ROWS: usize = 10_000;
/// How often it does.
const RESTORED: usize = 50;

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
    drop(server);

    println!("\n{ROWS} rows and more, kept and restored {RESTORED} times\n");
    println!("| | median | 99 % | longest |\n|---|---|---|---|");
    restore("in memory", &MockServer::start().await?).await?;
    let folder = tempfile::tempdir()?;
    let file = MockServer::builder().db(folder.path().join("market.db")).start().await?;
    restore("in a file", &file).await
}

/// Goes back over and over, after the deeds of a test: a customer who signs in, and is given a token.
async fn restore(place: &str, server: &MockServer) -> Result<()> {
    while server.snapshot().await?.rows() < ROWS {
        for _ in 0..500 {
            server.token_pair("cus_ravi", "sol_faiss_search").await?;
        }
    }
    let snapshot = server.snapshot().await?;
    let (mut kept, mut restored) = (Vec::new(), Vec::new());
    for _ in 0..RESTORED {
        server.session("cus_asha").await?;
        server.token_pair("cus_ravi", "sol_faiss_search").await?;
        let began = Instant::now();
        server.snapshot().await?;
        kept.push(began.elapsed());
        let began = Instant::now();
        server.restore(&snapshot).await?;
        restored.push(began.elapsed());
    }
    assert_eq!(server.snapshot().await?.rows(), snapshot.rows());
    row(&format!("kept, {place}"), kept);
    row(&format!("restored, {place}"), restored);
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
