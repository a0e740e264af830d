use std::sync::Arc;
use std::time::Duration;

use cloudnestle_marketplace::model::Secret;
use cloudnestle_mock_server::{Fault, MockServer, MockWorld, NewWorld};
use reqwest::Method;
use serde_json::{Value, json};

use super::common::{Answer, FAISS, TestServer, answer, claims, in_memory};

/// A call of a world by its path.
async fn call(world: &MockWorld, operation: &str, credential: &Secret, body: Value) -> Answer {
    let (method, path) = operation.split_once(' ').expect("METHOD /path");
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let request = client().request(method, format!("{}{path}", world.url()));
    let request = request.bearer_auth(credential.expose());
    let request = if body.is_null() { request } else { request.json(&body) };
    answer(request).await.expect("an answer")
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

async fn world(server: &MockServer) -> MockWorld {
    server.create_world(NewWorld::default()).await.expect("a world")
}

fn key(world: &MockWorld) -> Secret {
    world.secret_key(FAISS).expect("a solution of the built-in world")
}

const QUOTAS: &str = "GET /api/quotas/cus_ravi/sol_faiss_search";

#[tokio::test]
async fn a_world_shares_nothing_with_any_other() {
    let server = in_memory().await;
    let (one, other) = (world(&server).await, world(&server).await);
    assert_ne!(key(&one).expose(), key(&other).expose());
    assert_ne!(one.admin_key().expose(), server.admin_key().expose());
    assert_ne!(one.control_token().expose(), other.control_token().expose());

    // What is tracked in one is counted there alone.
    let pair = one.token_pair("cus_ravi", FAISS).await.expect("a pair");
    let event = super::common::search(&server, &pair, 1);
    let tracked = call(&one, "POST /api/track-usage", &key(&one), json!({"event": event})).await;
    assert_eq!(tracked.body["results"][0]["status"], "accepted", "{tracked:?}");
    for (world, used) in [(&one, 1), (&other, 0), (&*server, 0)] {
        let quotas = call(world, QUOTAS, &key(world), Value::Null).await;
        assert_eq!(quotas.body["quotas"][0]["used"], used, "{world:?}");
    }

    // So is what goes wrong, and what was asked.
    one.inject(Fault::on("GET /api/quotas/{customer_id}/{solution_id}").status(503))
        .expect("planned");
    one.set_outage(false);
    assert_eq!(call(&other, QUOTAS, &key(&other), Value::Null).await.status, 200);
    assert_eq!(call(&one, QUOTAS, &key(&one), Value::Null).await.status, 503);
    assert_eq!([one.journal().len(), other.journal().len(), server.journal().len()], [3, 2, 1]);

    // And a credential of one is none of another.
    for stranger in [&key(&other), &server.key(FAISS)] {
        let refused = call(&one, QUOTAS, stranger, Value::Null).await;
        refused.is_problem(401, "credential_invalid");
    }
    let refused = call(&other, "GET /api/user-context", &pair.access_token, Value::Null).await;
    refused.is_problem(401, "token_key_unknown");
    let refused = call(&one, "GET /mock/clock", other.control_token(), Value::Null).await;
    refused.is_problem(401, "credential_invalid");
}

#[tokio::test]
async fn a_world_is_named_by_its_path_or_a_header_or_what_belongs_to_it() {
    let server = in_memory().await;
    let world = world(&server).await;
    let in_world = |answer: &Answer| {
        let id = answer.body["id"].as_str();
        id.is_some_and(|id| world.url().ends_with(&format!("/worlds/{id}")))
    };

    // By its path, with the server's control token or its own.
    for token in [server.control_token(), world.control_token()] {
        assert!(in_world(&call(&world, "GET /mock/world", token, Value::Null).await));
    }
    // By a header.
    let id = world.url().rsplit('/').next().expect("a name").to_owned();
    let request = server.request("GET /mock/world").header("cloudnestle-world", &id);
    let request = request.bearer_auth(server.control_token().expose());
    assert!(in_world(&answer(request).await.expect("an answer")));
    // By its control token.
    assert!(in_world(&server.call("GET /mock/world", world.control_token(), Value::Null).await));

    // By its keys and tokens: each is good although nothing else names the world.
    let pair = world.token_pair("cus_ravi", FAISS).await.expect("a pair");
    let session = world.session("cus_ravi").await.expect("a session");
    for (operation, credential) in [
        (QUOTAS, &key(&world)),
        ("GET /api/user-context", &pair.access_token),
        ("GET /api/user-solutions", &session),
    ] {
        let found = server.call(operation, credential, Value::Null).await;
        assert_eq!(found.status, 200, "{operation}: {found:?}");
    }
    let tier = json!({"customer_id": "cus_ravi", "solution_id": FAISS, "tier": "pro"});
    assert_eq!(server.call("PUT /api/user-tier", &world.admin_key(), tier).await.status, 200);
    let solution = world.solutions().into_iter().find(|it| it.id == FAISS).expect("it");
    let visitor = json!({"solution_id": FAISS});
    let minted = server.call("POST /api/generate-token", &solution.publishable_key, visitor).await;
    let minted = Secret::new(minted.body["access_token"].as_str().expect("a token"));
    assert_eq!(claims(&minted).iss, world.url());
    assert_eq!(server.journal().len(), 0, "none of it was the server's own affair");

    // A key that was made later, too.
    let rotated = server.call("POST /api/secret-keys/rotate", &key(&world), json!({})).await;
    let rotated = Secret::new(rotated.body["secret_key"].as_str().expect("a key"));
    assert_eq!(server.call(QUOTAS, &rotated, Value::Null).await.status, 200);

    // And the server's own are still good.
    assert_eq!(server.call(QUOTAS, &server.key(FAISS), Value::Null).await.status, 200);
}

#[tokio::test]
async fn the_tokens_of_a_world_name_it_and_its_keys_are_found_there() {
    let server = in_memory().await;
    let world = world(&server).await;
    let pair = world.token_pair("cus_ravi", FAISS).await.expect("a pair");
    let issuer = claims(&pair.access_token).iss;
    assert_eq!(issuer, world.url());
    let jwks = client().get(format!("{issuer}/.well-known/jwks.json")).send().await;
    let jwks: Value = jwks.expect("an answer").json().await.expect("JSON");
    assert_eq!(jwks["issuer"], issuer.as_str());
    let own = server.call_openly("GET /.well-known/jwks.json", Value::Null).await;
    assert_ne!(jwks["keys"][0]["x"], own.body["keys"][0]["x"]);
    let page = client().get(world.url()).send().await.expect("an answer");
    assert_eq!(page.status(), 200, "the API page, without a slash at the end");
}

#[tokio::test]
async fn a_world_is_made_and_removed_over_http() {
    let server = in_memory().await;
    let wanted = json!({"id": "wld_checkout", "seed": 7, "now": "2031-05-06T12:00:00Z"});
    let made = server.control("POST /mock/worlds", wanted.clone()).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["url"], format!("{}/worlds/wld_checkout", server.url()));
    let token = Secret::new(made.body["control_token"].as_str().expect("a token"));
    let clock = server.call("GET /mock/clock", &token, Value::Null).await;
    assert!(clock.body["now"].as_str().is_some_and(|now| now.starts_with("2031-05-06T12:")));

    server.control("POST /mock/worlds", wanted.clone()).await.is_problem(422, "request_invalid");
    let listed = server.control("GET /mock/worlds", Value::Null).await;
    assert_eq!(listed.body["worlds"], json!([{"id": "wld_checkout", "url": made.body["url"]}]));
    // A world makes no others.
    server.call("POST /mock/worlds", &token, json!({})).await.is_problem(403, "forbidden");

    assert_eq!(server.control("DELETE /mock/worlds/wld_checkout", Value::Null).await.status, 204);
    let gone = "GET /worlds/wld_checkout/healthz";
    server.call_openly(gone, Value::Null).await.is_problem(404, "not_found");
    server
        .control("DELETE /mock/worlds/wld_checkout", Value::Null)
        .await
        .is_problem(404, "not_found");

    // The same name and seed make the same keys again; another name makes others.
    let again = server.control("POST /mock/worlds", wanted).await;
    assert_eq!(again.body["solutions"], made.body["solutions"]);
    assert_ne!(again.body["control_token"], made.body["control_token"], "nobody can guess it");
    let other = server.control("POST /mock/worlds", json!({"id": "wld_other", "seed": 7})).await;
    assert_ne!(other.body["solutions"], made.body["solutions"]);
}

#[tokio::test]
async fn a_world_that_makes_no_sense_is_refused() {
    let server = in_memory().await;
    for (wanted, field) in [
        (json!({"id": "checkout"}), Some("id")),
        (json!({"id": "wld_a/b"}), Some("id")),
        (json!({"id": format!("wld_{}", "a".repeat(61))}), Some("id")),
        (json!({"now": "1999-01-01T00:00:00Z"}), None),
        (json!({"founding": {"solutions": 3}}), Some("founding.solutions")),
        (json!({"founding": {"solutions": [], "customers": [{"id": "x"}]}}), Some("founding")),
        (json!({"sead": 7}), Some("sead")),
    ] {
        let refused = server.control("POST /mock/worlds", wanted.clone()).await;
        refused.is_problem(422, "request_invalid");
        assert_eq!(refused.body["field"].as_str(), field, "{wanted}: {refused:?}");
    }
    let listed = server.control("GET /mock/worlds", Value::Null).await;
    assert_eq!(listed.body["worlds"], json!([]));
}

#[tokio::test]
async fn a_world_is_founded_with_what_its_test_needs() {
    let server = in_memory().await;
    let maps = json!({
        "solutions": [{
            "id": "sol_maps",
            "name": "Maps",
            "actions": [{"name": "tile", "unit": "tile"}],
            "plans": [{"tier": "anonymous"}],
        }],
        "customers": [{"id": "cus_guest"}],
        "subscriptions": [{"customer": "cus_guest", "solution": "sol_maps", "tier": "anonymous"}],
    });
    let world = server.create_world(NewWorld::default().founding(maps)).await.expect("a world");
    let solutions: Vec<_> = world.solutions().into_iter().map(|it| it.id).collect();
    assert_eq!(solutions, ["sol_maps"]);
    assert!(world.token_pair("cus_guest", "sol_maps").await.is_ok());
}

/// A day in the life of a customer.
async fn live(world: &MockWorld) -> String {
    let pair = world.token_pair("cus_ravi", FAISS).await.expect("a pair");
    for n in 1..=5 {
        let event = json!({
            "id": format!("evt_{n}"), "customer_id": "cus_ravi", "action": "search", "quantity": n,
            "token_id": claims(&pair.access_token).jti, "occurred_at": world.now(),
        });
        call(world, "POST /api/track-usage", &key(world), json!({"event": event})).await;
        world.advance_clock(Duration::from_secs(60)).await.expect("a minute");
    }
    world.inject(Fault::on("*").status(503).times(2)).expect("a fault");
    let refresh = json!({"refresh_token": pair.refresh_token});
    for _ in 0..3 {
        call(world, "POST /api/refresh-token", &key(world), refresh.clone()).await;
    }
    let quotas = call(world, QUOTAS, &key(world), Value::Null).await;
    let happened = world.advance_clock(Duration::from_secs(86_400)).await.expect("a day");
    assert_eq!(happened.fired_total, 2, "both tokens have expired");
    let tokens = [pair.access_token.expose(), pair.refresh_token.expose()].concat();
    format!("{tokens} {} {happened:?} {:?} {:?}", quotas.body, world.journal(), world.faults())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_suites_at_once_see_what_each_would_see_alone() {
    let wanted = |n: u64| {
        let now = "2026-11-22T06:00:00Z".parse().expect("RFC 3339");
        NewWorld::default().id(format!("wld_{n}")).seed(n).now(now).frozen()
    };
    let server = Arc::new(MockServer::builder().port(0).start().await.expect("a server"));
    let suites = (0..64).map(|n| {
        let server = server.clone();
        tokio::spawn(async move {
            let world = server.create_world(wanted(n)).await.expect("a world");
            live(&world).await
        })
    });
    let together = futures_util::future::join_all(suites).await;
    let mut traces = std::collections::BTreeSet::new();
    for (n, trace) in (0..).zip(together) {
        let trace = trace.expect("no panic");
        let world = server.create_world(wanted(n)).await.expect("the last one is gone");
        assert_eq!(trace, live(&world).await, "world {n}");
        traces.insert(trace);
    }
    assert_eq!(traces.len(), 64, "each has ids and keys of its own");
}

#[tokio::test]
async fn a_world_is_gone_when_its_handle_is_dropped() {
    let server: TestServer = in_memory().await;
    let url = {
        let world = world(&server).await;
        let found = client().get(format!("{}/healthz", world.url())).send().await;
        assert_eq!(found.expect("an answer").status(), 200);
        world.url().to_owned()
    };
    let gone = client().get(format!("{url}/healthz")).send().await.expect("an answer");
    assert_eq!(gone.status(), 404);
}

#[tokio::test]
async fn a_handle_that_is_dropped_forgets_no_other_world_of_its_id() {
    let server = in_memory().await;
    let wanted = NewWorld::default().id("wld_again");
    let first = server.create_world(wanted.clone()).await.expect("a world");
    assert_eq!(server.control("DELETE /mock/worlds/wld_again", Value::Null).await.status, 204);
    let second = server.create_world(wanted).await.expect("the id is free");
    drop(first);
    assert_eq!(call(&second, QUOTAS, &key(&second), Value::Null).await.status, 200);
}

#[tokio::test]
async fn a_server_that_was_stopped_has_closed_its_file_whoever_holds_a_world_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = || MockServer::builder().db(folder.path().join("market.db"));
    let server = file().start().await.expect("a server");
    let held = world(&server).await;
    server.stop().await;
    assert!(file().start().await.is_ok(), "the file is free");
    let refused = held.create_world(NewWorld::default()).await.expect_err("it has stopped");
    assert_eq!(refused.to_string(), "unavailable: The server has been stopped.");
}

#[tokio::test]
async fn a_list_is_not_taken_for_what_a_world_is_to_be() {
    let server = in_memory().await;
    let refused = server.control("POST /mock/worlds", json!([null, null])).await;
    assert_eq!(refused.status, 422, "{:?}", refused.body);
    let detail = refused.body["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("invalid type: sequence, expected an object"), "{detail}");
}
