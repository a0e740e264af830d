//! Databases that releases have made: each release reads them all.
#![cfg(feature = "control")]

use std::path::Path;

use cloudnestle_marketplace::model::{Secret, Timestamp, TokenPair};
use cloudnestle_mock_server::MockServer;
use serde::Deserialize;
use serde_json::{Value, json};

const SOLUTION: &str = "sol_faiss_search";

/// What `examples/golden.rs` wrote beside the database.
#[derive(Deserialize)]
struct Known {
    url: String,
    now: Timestamp,
    secret_key: Secret,
    ravi: TokenPair,
    meera: TokenPair,
    visitor: TokenPair,
}

/// A server on a copy of the file, at the time of its making.
async fn open(release: &str) -> (MockServer, Known, tempfile::TempDir) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(release);
    let known = std::fs::read(golden.with_added_extension("json")).expect("a file");
    let known: Known = serde_json::from_slice(&known).expect("what is known");
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("market.db");
    std::fs::copy(golden.with_added_extension("db"), &copy).expect("a copy");
    let server = MockServer::builder().db(copy).public_url(&known.url).start().await;
    let server = server.expect("a server");
    server.set_clock(known.now).await.expect("in range");
    (server, known, folder)
}

async fn call(server: &MockServer, operation: &str, credential: &Secret, body: Value) -> Value {
    let (method, path) = operation.split_once(' ').expect("METHOD /path");
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let url = format!("http://{}{path}", server.address());
    let mut request = reqwest::Client::new().request(method, url);
    request = request.bearer_auth(credential.expose());
    if !body.is_null() {
        request = request.json(&body);
    }
    request.send().await.expect("an answer").json().await.expect("JSON")
}

async fn validate(server: &MockServer, known: &Known, token: &Secret) -> Value {
    call(server, "POST /api/validate-token", &known.secret_key, json!({"token": token})).await
}

#[tokio::test]
async fn a_database_of_release_0_1_goes_on_where_it_was() {
    let (server, known, _folder) = open("0.1").await;

    let ravi = validate(&server, &known, &known.ravi.access_token).await;
    assert_eq!(ravi["valid"], true, "{ravi}");
    let quotas = ravi["user"]["quotas"].as_array().expect("quotas");
    let used = |action: &str| quotas.iter().find(|it| it["action"] == action).map(|it| &it["used"]);
    assert_eq!((used("search"), used("export")), (Some(&json!(7)), Some(&json!(1))));

    let events = "GET /api/usage/cus_ravi/events";
    let told = call(&server, events, &known.secret_key, Value::Null).await;
    let told = told["items"].as_array().expect("events").iter();
    let told: Vec<_> = told.map(|event| (&event["id"], &event["counts"])).collect();
    let expected = [("evt_search_7", 7), ("evt_export_1", 1)].map(|(id, n)| (json!(id), json!(n)));
    assert_eq!(told, expected.iter().map(|(id, n)| (id, n)).collect::<Vec<_>>());

    let meera = validate(&server, &known, &known.meera.access_token).await;
    assert_eq!(meera["code"], "token_revoked");

    let visitor = validate(&server, &known, &known.visitor.access_token).await;
    assert_eq!(
        (&visitor["user"]["tier"], &visitor["user"]["name"]),
        (&json!("registered"), &json!("Golden"))
    );

    let refresh = json!({"refresh_token": known.ravi.refresh_token});
    let renewed = call(&server, "POST /api/refresh-token", &known.secret_key, refresh).await;
    let renewed: TokenPair = serde_json::from_value(renewed).expect("a pair");
    assert_eq!(validate(&server, &known, &renewed.access_token).await["valid"], true);

    let sign_in = json!({"email": "golden@example.com", "password": "correct horse"});
    let session = call(&server, "POST /api/sessions", &known.secret_key, sign_in).await;
    assert!(session["access_token"].is_string(), "{session}");

    let feed = call(&server, "GET /api/revocations", &known.secret_key, Value::Null).await;
    let changes = feed["changes"].as_array().expect("changes");
    assert!(changes.len() >= 3, "a token, and two tiers: {feed}");
    assert_eq!(server.secret_key(SOLUTION), Some(known.secret_key));
}
