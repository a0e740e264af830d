//! `cargo xtask bench --tokens`: revocations while others validate, refreshing while answers are lost.

use anyhow::{Result, ensure};
use cloudnestle_bench::tokens;

#[tokio::main]
async fn main() -> Result<()> {
    let revoked = tokens::revoke(10_000, 16).await?;
    println!("{}", serde_json::to_string(&revoked)?);
    let refreshed = tokens::refresh(64, 1_000, 20_261_123).await?;
    println!("{}", serde_json::to_string(&refreshed)?);
    ensure!(refreshed.logged_out == 0, "users were logged out");
    ensure!(refreshed.theft_ends_the_family, "a stolen token was not noticed");
    Ok(())
}
