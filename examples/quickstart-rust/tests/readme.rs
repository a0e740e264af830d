//! The README's program is the one that is run here.

use std::time::Duration;

use cloudnestle_mock_server::{Fault, MockServer, When};

const README: &str = include_str!("../../../README.md");
const PROGRAM: &str = include_str!("../src/bin/ten_lines.rs");

#[test]
fn the_readme_shows_the_program_that_is_tested() {
    let shown = PROGRAM.split_once("\n\n").unwrap().1; // without the line that says what it is
    assert!(README.contains(shown), "the README's program is not src/bin/ten_lines.rs");
}

#[tokio::test]
async fn the_program_of_the_readme_validates_a_user_and_delivers_its_usage() {
    let server = MockServer::start().await.unwrap();
    let pair = server.token_pair("cus_ravi", "sol_faiss_search").await.unwrap();
    let key = server.secret_key("sol_faiss_search").unwrap();
    let spool = tempfile::tempdir().unwrap();

    let run = tokio::process::Command::new(env!("CARGO_BIN_EXE_ten_lines"))
        .arg(pair.access_token.expose())
        .env("CLOUDNESTLE_URL", server.url())
        .env("CLOUDNESTLE_SOLUTION", "sol_faiss_search")
        .env("CLOUDNESTLE_SECRET_KEY", key.expose())
        .env("CLOUDNESTLE_SPOOL_DIR", spool.path())
        .output()
        .await
        .unwrap();

    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(String::from_utf8_lossy(&run.stdout), "cus_ravi is a Registered customer\n");
    let tracked = |operation: &str| operation == "POST /api/track-usage";
    assert_eq!(server.journal().iter().filter(|entry| tracked(&entry.operation)).count(), 1);
}

#[tokio::test]
async fn the_readmes_lines_for_tests_work() -> Result<(), Box<dyn std::error::Error>> {
    // From here on as in the README:
    let server = MockServer::start().await?;
    let pair = server.token_pair("cus_ravi", "sol_faiss_search").await?;
    server.advance_clock(Duration::from_secs(16 * 60)).await?; // the token has expired
    server.inject(Fault::on("POST /api/track-usage").reset(When::AfterCommit))?;
    // To here.
    assert!(pair.expires_at < server.now());
    assert_eq!(server.faults().left.len(), 1);

    let (_, rest) = include_str!("readme.rs").split_once("as in the README:\n").unwrap();
    let (lines, _) = rest.split_once("    // To here.").unwrap();
    let shown: Vec<&str> = lines.lines().map(str::trim).collect();
    assert!(README.contains(&shown.join("\n")), "the README's lines are not {shown:#?}");
    Ok(())
}
