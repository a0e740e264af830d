//! A world of one's own.

use std::path::Path;

use cloudnestle_mock_server::{MockServer, StartError};
use serde_json::{Value, json};

use crate::common::TestServer;

fn example() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/world.yaml"))
}

#[tokio::test]
async fn the_example_founds_a_marketplace_that_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("maps.db");
    let start = || MockServer::builder().db(&db).seed(example()).start();
    let server = TestServer::new(start().await.expect("a server"), None);
    assert_eq!(server.solutions().len(), 1);
    assert_eq!(server.customers().len(), 2);
    let key = server.key("sol_maps");

    let body = json!({"email": "zoya@example.com", "password": "correct horse"});
    let session = server.call_openly("POST /api/sessions", body).await;
    let session = session.body["access_token"].as_str().expect("a session").into();
    let listed = server.call("GET /api/user-solutions", &session, Value::Null).await;
    assert_eq!(listed.body["items"][0]["entitlements"], json!(["traffic", "offline"]));

    server.into_inner().stop().await;
    let again = TestServer::new(start().await.expect("the same world"), None);
    assert_eq!(again.key("sol_maps"), key);
}

#[tokio::test]
async fn a_database_of_another_world_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("market.db");
    MockServer::builder().db(&db).start().await.expect("a server").stop().await;
    let error = MockServer::builder().db(&db).seed(example()).start().await;
    let error = error.expect_err("another world");
    assert!(matches!(error, StartError::OtherSeed), "{error:?}");
    assert!(error.to_string().contains("delete"), "it says what can be done: {error}");
}

#[tokio::test]
async fn a_seed_that_makes_no_sense_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let (db, seed) = (folder.path().join("market.db"), folder.path().join("world.yaml"));
    std::fs::write(&seed, "solutions: [{ id: sol_a }]").expect("a file");
    let error = MockServer::builder().db(&db).seed(&seed).start().await.expect_err("no world");
    assert!(error.to_string().contains("missing field"), "{error}");
    assert!(!db.exists(), "a later start without the seed would found another world in it");
    MockServer::builder().db(&db).start().await.expect("the built-in world");
}
