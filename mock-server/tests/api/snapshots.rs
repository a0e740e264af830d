use std::time::Duration;

use cloudnestle_mock_server::{Fault, MockServer, NewWorld, Snapshot};
use futures_util::future::join;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::common::{FAISS, TestServer, answer, both, in_memory, search};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// What a customer sees of a marketplace, and what its next ids are.
async fn trace(server: &TestServer) -> Value {
    let pair = server.pair("cus_ravi", FAISS).await;
    let tracked = server.track(json!({"event": search(server, &pair, 1)})).await;
    let context = server.call("GET /api/user-context", &pair.access_token, Value::Null).await;
    json!([pair.access_token.expose(), tracked.body, context.body, server.used("cus_ravi").await])
}

#[tokio::test]
async fn what_is_done_after_going_back_is_what_was_done_before() {
    for server in both().await {
        server.freeze_clock(true);
        let before = server.snapshot().await.expect("a snapshot");
        let first = trace(&server).await;
        server.advance_clock(HOUR).await.expect("moved");
        server.rotate_signing_key().await.expect("rotated");
        let other = trace(&server).await;
        assert_ne!(other, first);

        server.restore(&before).await.expect("restored");
        assert_eq!(server.now(), before.at());
        assert_eq!(server.used("cus_ravi").await, 0);
        // The tokens of then: the call in between has drawn nothing that is seen in them.
        server.restore(&before).await.expect("restored");
        assert_eq!(trace(&server).await, first);
    }
}

#[tokio::test]
async fn a_token_from_what_was_left_is_unknown_and_the_feed_says_that_nothing_is_known_of_it() {
    let server = in_memory().await;
    let feed = async || {
        let feed = server.call("GET /api/revocations", &server.key(FAISS), Value::Null).await;
        (feed.body["generation"].clone(), feed.body["began_at"].as_str().map(str::to_owned))
    };
    let before = server.snapshot().await.expect("a snapshot");
    server.advance_clock(HOUR).await.expect("moved");
    let pair = server.pair("cus_ravi", FAISS).await;
    assert_eq!(server.validate(&pair.access_token).await["valid"], true);
    let (generation, _) = feed().await;
    let left_at = server.now();
    server.restore(&before).await.expect("restored");

    let (another, began_at) = feed().await;
    assert_ne!(another, generation);
    let began_at = began_at.and_then(|at| at.parse().ok()).expect("a moment");
    assert!(
        left_at < began_at,
        "tokens until {left_at} are asked about, not those until {began_at}"
    );
    server.restore(&before).await.expect("restored");
    assert!(
        ![another, generation].contains(&feed().await.0),
        "no generation has the id of another"
    );

    server.advance_clock(HOUR).await.expect("moved");
    assert_eq!(server.validate(&pair.access_token).await["valid"], false);
}

#[tokio::test]
async fn a_reset_leaves_the_keys_and_nothing_else() {
    for server in both().await {
        server.freeze_clock(true);
        trace(&server).await;
        server.inject(Fault::on("GET /healthz").status(503)).expect_err("not of the API");
        server.inject(Fault::on("GET /api/user-context").status(503)).expect("planned");
        server.advance_clock(24 * HOUR).await.expect("moved");
        let key = server.key(FAISS);

        let reset = server.control("POST /mock/reset", Value::Null).await;
        assert_eq!(reset.status, 200, "{reset:?}");
        let of_faiss = reset.body["solutions"]
            .as_array()
            .and_then(|all| all.iter().find(|it| it["id"] == FAISS));
        assert_eq!(of_faiss.map(|it| &it["secret_key"]), Some(&json!(key.expose())));
        assert!(server.journal().is_empty() && server.faults().left.is_empty());
        let clock = server.control("GET /mock/clock", Value::Null).await;
        assert_eq!((&clock.body["frozen"], &clock.body["offset_ms"]), (&json!(false), &json!(0)));
        assert_eq!(server.used("cus_ravi").await, 0);
        server.control("POST /mock/clock", json!({"freeze": true})).await;
        trace(&server).await;
        assert_eq!(server.used("cus_ravi").await, 1);
    }
}

#[tokio::test]
async fn a_world_that_is_reset_says_what_it_said_the_first_time() {
    let server = in_memory().await;
    let wanted = NewWorld::default()
        .id("wld_again")
        .seed(7)
        .now("2031-05-06T12:00:00Z".parse().expect("RFC 3339"));
    let world = server.create_world(wanted.frozen()).await.expect("a world");
    let story = async || {
        let pair = world.token_pair("cus_ravi", FAISS).await.expect("a pair");
        world.advance_clock(HOUR).await.expect("moved");
        (
            pair.access_token.expose().to_owned(),
            world.now(),
            world.session("cus_asha").await.expect("a session").expose().to_owned(),
        )
    };
    let first = story().await;
    world.reset().await.expect("reset");
    assert_eq!(story().await, first);
}

#[tokio::test]
async fn a_database_that_was_founded_with_a_seed_is_not_reset_to_another_world() {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = folder.path().join("seed.yaml");
    std::fs::write(&seed, include_str!("../../../examples/world.yaml")).expect("a file");
    let start = async |with_seed: bool| {
        let builder = MockServer::builder().db(folder.path().join("market.db"));
        let builder = if with_seed { builder.seed(&seed) } else { builder };
        builder.start().await.expect("a server")
    };
    let server = start(true).await;
    let (keys, own) = (server.admin_key(), server.customers().remove(0).id);
    server.session(&own).await.expect("a session");
    server.reset().await.expect("reset");
    server.session(&own).await.expect("the customers of the seed");
    server.stop().await;

    let server = start(false).await;
    let refused = server.reset().await.expect_err("it does not know the seed");
    assert!(refused.to_string().contains("start the server with it"), "{refused}");
    server.session(&own).await.expect("as it was");
    server.stop().await;

    let server = start(true).await;
    server.reset().await.expect("reset");
    assert_eq!(server.admin_key(), keys);
    server.stop().await;
}

#[tokio::test]
async fn a_branch_goes_its_own_way_from_the_same_moment() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    server.track(json!({"event": search(&server, &pair, 1)})).await;
    let made = server.control("POST /mock/snapshots", json!({"id": "snp_used_once"})).await;
    assert_eq!((made.status, &made.body["id"]), (201, &json!("snp_used_once")), "{made:?}");
    let branch = server
        .control(
            "POST /mock/worlds",
            json!({"id": "wld_branch", "from": {"snapshot": "snp_used_once"}}),
        )
        .await;
    assert_eq!(branch.status, 201, "{branch:?}");
    assert_eq!(branch.body["admin_key"], json!(server.admin_key().expose()));

    let used = async |world: &str| {
        let request = server.request("GET /api/quotas/cus_ravi/sol_faiss_search");
        let request = request.bearer_auth(server.key(FAISS).expose());
        let request =
            if world.is_empty() { request } else { request.header("cloudnestle-world", world) };
        answer(request).await.expect("an answer").body["quotas"][0]["used"].clone()
    };
    assert_eq!([used("").await, used("wld_branch").await], [1, 1]);
    server.track(json!({"event": search(&server, &pair, 2)})).await;
    assert_eq!([used("").await, used("wld_branch").await], [2, 1]);

    // It goes back to where it came from.
    let reset = server.control("POST /worlds/wld_branch/mock/reset", Value::Null).await;
    assert_eq!(reset.status, 200);
    assert_eq!([used("").await, used("wld_branch").await], [2, 1]);
}

#[tokio::test]
async fn a_file_brings_a_marketplace_to_another_server() {
    let (here, there) = (in_memory().await, in_memory().await);
    let pair = here.pair("cus_ravi", FAISS).await;
    here.track(json!({"event": search(&here, &pair, 1)})).await;
    here.control("POST /mock/snapshots", json!({"id": "snp_kept"})).await;
    let file =
        here.request("GET /mock/snapshots/snp_kept").bearer_auth(here.control_token().expose());
    let file = file.send().await.expect("a file").bytes().await.expect("a file");
    let put = async |name: &str, file: Vec<u8>| {
        let request = there.request(&format!("PUT /mock/snapshots/{name}")).body(file);
        answer(request.bearer_auth(there.control_token().expose())).await.expect("an answer")
    };
    assert_eq!(put("snp_from_here", file.to_vec()).await.status, 201);

    // Its keys are others than those that this server has told its callers.
    let refused = there.control("POST /mock/snapshots/snp_from_here/restore", Value::Null).await;
    refused.is_problem(422, "request_invalid");
    assert_eq!(there.used("cus_ravi").await, 0);
    let branch = there
        .control(
            "POST /mock/worlds",
            json!({"id": "wld_here", "from": {"snapshot": "snp_from_here"}}),
        )
        .await;
    assert_eq!(branch.body["admin_key"], json!(here.admin_key().expose()), "{branch:?}");
    let used = there.request("GET /worlds/wld_here/api/quotas/cus_ravi/sol_faiss_search");
    let used = answer(used.bearer_auth(here.key(FAISS).expose())).await.expect("an answer");
    assert_eq!(used.body["quotas"][0]["used"], 1, "{used:?}");
    // Those who begin with a key are found without naming the world: nobody else knows it.
    let found = there
        .call("GET /api/quotas/cus_ravi/sol_faiss_search", &here.key(FAISS), Value::Null)
        .await;
    assert_eq!(found.body["quotas"][0]["used"], 1);

    let cut = put("snp_cut", file[..file.len() - 1].to_vec()).await;
    cut.is_problem(422, "request_invalid");
    assert!(cut.body["detail"].as_str().is_some_and(|it| it.contains("damaged")), "{cut:?}");
    assert_eq!(put("snp_from_here", file.to_vec()).await.body["field"], "id");
}

#[tokio::test]
async fn snapshots_have_ids_and_bounds() {
    let server = in_memory().await;
    let make = async |id: &str| server.control("POST /mock/snapshots", json!({"id": id})).await;
    for wrong in ["", "used", "snp_", "snp_a/b", &"snp_".repeat(17)] {
        make(wrong).await.is_problem(422, "request_invalid");
    }
    for n in 0..64 {
        assert_eq!(make(&format!("snp_{n}")).await.status, 201);
    }
    make("snp_more").await.is_problem(422, "request_invalid");
    let named = async |operation: &str| server.control(operation, Value::Null).await;
    assert_eq!(named("DELETE /mock/snapshots/snp_7").await.status, 204);
    for operation in [
        "DELETE /mock/snapshots/snp_7",
        "GET /mock/snapshots/snp_7",
        "POST /mock/snapshots/snp_7/restore",
    ] {
        named(operation).await.is_problem(404, "not_found");
    }
    let all = named("GET /mock/snapshots").await;
    assert_eq!(all.body["snapshots"].as_array().map(Vec::len), Some(63));
    assert_eq!(make("snp_more").await.status, 201);
}

async fn metrics(server: &TestServer) -> String {
    let answer = server.request("GET /metrics").send().await.expect("an answer");
    answer.text().await.expect("text")
}

#[tokio::test]
async fn who_goes_back_waits_for_the_calls_under_way() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let before = server.snapshot().await.expect("a snapshot");
        let body = json!({"event": search(&server, &pair, 1)}).to_string();
        let (half, rest) = body.split_at(body.len() / 2);
        let mut call = TcpStream::connect(server.address()).await.expect("a connection");
        let head = format!(
            "POST /api/track-usage HTTP/1.1\r\nhost: market.test\r\nconnection: close\r\n\
             authorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            server.key(FAISS).expose(),
            body.len(),
        );
        call.write_all(format!("{head}{half}").as_bytes()).await.expect("sent");
        // This one asks, and the other waits for its body.
        while !metrics(&server).await.contains("cloudnestle_calls_under_way 2\n") {}

        let sent = async {
            // The other future has begun to wait.
            tokio::task::yield_now().await;
            call.write_all(rest.as_bytes()).await.expect("sent");
            let mut answer = String::new();
            call.read_to_string(&mut answer).await.expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        };
        let (restored, ()) = join(server.restore(&before), sent).await;
        restored.expect("restored");
        assert_eq!(server.used("cus_ravi").await, 0, "it was counted before, and not after");
    }
}

#[tokio::test]
async fn a_snapshot_says_nothing_of_what_it_holds() {
    let server = in_memory().await;
    let snapshot: Snapshot = server.snapshot().await.expect("a snapshot");
    let shown = format!("{snapshot:?}");
    assert!(shown.starts_with("Snapshot(") && !shown.contains("cus_"), "{shown}");
}
