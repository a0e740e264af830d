//! Blocks of a quota: taken, drawn from, given back.

use std::time::Duration;

use cloudnestle_marketplace::model::TokenPair;
use cloudnestle_mock_server::MockServer;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use crate::common::{
    Answer, FAISS, TestServer, both, claims, codes, export, in_memory, range, search, statuses,
};

/// What may be exported in a day by the registered, as Ravi is, and by those who pay, as Asha does.
const REGISTERED: u64 = 5;
const PRO: u64 = 200;

async fn take(server: &TestServer, pair: &TokenPair, lease: Value) -> Answer {
    let claims = claims(&pair.access_token);
    let mut body = json!({"producer": "prd_a", "token_id": claims.jti, "action": "export"});
    for (name, value) in lease.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let operation = format!("POST /api/quotas/{}/{FAISS}/leases", claims.sub);
    server.call(&operation, &server.key(FAISS), body).await
}

async fn give_back(server: &TestServer, customer: &str, lease: &str, through: u64) -> Answer {
    let path = format!("/api/quotas/{customer}/{FAISS}/leases/{lease}");
    let operation = format!("DELETE {path}?producer=prd_a&through={through}");
    server.call(&operation, &server.key(FAISS), Value::Null).await
}

async fn end(server: &TestServer, producer: &str, epoch: u64, through: u64) -> Answer {
    let operation = format!("POST /api/producers/{producer}/end");
    let body = json!({"epoch": epoch, "through": through});
    server.call(&operation, &server.key(FAISS), body).await
}

/// So many exports, by a lease.
fn leased(server: &TestServer, pair: &TokenPair, id: u64, quantity: u64, lease: &str) -> Value {
    let mut event = export(server, pair, id, quantity);
    event["lease"] = json!(lease);
    event
}

/// What is used of exports, leased, and left.
async fn exports(server: &TestServer, customer: &str) -> (u64, u64, Option<u64>) {
    let quota = server.quota(customer, "export").await;
    let number = |field: &str| quota[field].as_u64().expect("a number");
    (number("used"), number("leased"), quota["remaining"].as_u64())
}

#[tokio::test]
async fn what_is_leased_is_charged_at_once_and_used_when_it_is_reported() {
    for server in both().await {
        let pair = server.pair("cus_asha", FAISS).await;
        let answer = take(&server, &pair, json!({"id": "lse_a", "least": 1, "wanted": 20})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["lease"]["granted"], 20);
        assert_eq!(answer.body["quotas"][0]["leased"], 20);
        assert_eq!(answer.body["when_offline"], "deny");
        assert_eq!(answer.body["upgrade_url"], "https://faiss-search.example/plans");
        assert_eq!(exports(&server, "cus_asha").await, (0, 20, Some(PRO - 20)));

        let events = vec![
            leased(&server, &pair, 1, 7, "lse_a"),
            export(&server, &pair, 2, 1),
            leased(&server, &pair, 3, 5, "lse_a"),
        ];
        for _ in 0..2 {
            let answer = server.track(range("prd_a", 0, 1, events.clone())).await;
            assert_eq!(codes(&answer), ["", "", ""]);
            assert_eq!(exports(&server, "cus_asha").await, (13, 8, Some(PRO - 21)), "but once");
        }

        give_back(&server, "cus_asha", "lse_a", 4).await.is_problem(409, "lease_unsettled");
        for returned in [8, 0] {
            let answer = give_back(&server, "cus_asha", "lse_a", 3).await;
            assert_eq!((answer.status, &answer.body["returned"]), (200, &json!(returned)));
            assert_eq!(exports(&server, "cus_asha").await, (13, 0, Some(PRO - 13)));
        }
    }
}

#[tokio::test]
async fn who_asks_again_under_an_id_gets_the_same_lease_and_the_time_that_is_left() {
    for server in both().await {
        let pair = server.pair("cus_asha", FAISS).await;
        let asked = json!({"id": "lse_a", "least": 1, "wanted": 20});
        let first = take(&server, &pair, asked.clone()).await;
        assert!(first.body["lease"]["ttl_ms"].as_u64().expect("a time") > 299_000, "{first:?}");
        server.advance_clock(Duration::from_secs(60)).await.expect("in range");
        let again = take(&server, &pair, asked.clone()).await;
        assert_eq!(again.body["lease"]["granted"], 20);
        assert!(again.body["lease"]["ttl_ms"].as_u64().expect("a time") <= 240_000, "{again:?}");
        assert_eq!(exports(&server, "cus_asha").await, (0, 20, Some(PRO - 20)));
        let other = take(&server, &pair, json!({"id": "lse_a", "least": 1, "wanted": 21})).await;
        other.is_problem(422, "idempotency_mismatch");
    }
}

#[tokio::test]
async fn near_the_limit_a_lease_is_what_is_needed_and_at_the_limit_there_is_none() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        for n in 0..REGISTERED {
            let asked = json!({"id": format!("lse_{n}"), "least": 1, "wanted": 100});
            let answer = take(&server, &pair, asked).await;
            assert_eq!(answer.body["lease"]["granted"], 1, "{answer:?}");
        }
        let none = take(&server, &pair, json!({"id": "lse_5", "least": 1, "wanted": 100})).await;
        assert_eq!((none.status, &none.body["lease"]), (200, &Value::Null));
        assert_eq!(none.body["code"], "quota_exceeded");
        let quota = &none.body["quotas"][0];
        assert_eq!((&quota["limit"], &quota["leased"]), (&json!(5), &json!(5)));
        assert!(quota["resets_at"].as_str().is_some_and(|at| at.ends_with("18:30:00Z")));

        give_back(&server, "cus_asha", "lse_0", 0).await.is_problem(404, "not_found");
        give_back(&server, "cus_ravi", "0", 0).await.is_problem(422, "request_invalid");

        // Nobody else gets through while it may still be used.
        let others = server.track(range("prd_b", 0, 1, vec![export(&server, &pair, 1, 1)])).await;
        assert_eq!(codes(&others), ["quota_exceeded"]);
        // What is given back, others can use; the denied lease may be asked for again.
        give_back(&server, "cus_ravi", "lse_0", 0).await;
        let now = take(&server, &pair, json!({"id": "lse_5", "least": 1, "wanted": 100})).await;
        assert_eq!(now.body["lease"]["granted"], 1, "{now:?}");
    }
}

#[tokio::test]
async fn usage_that_names_no_lease_of_its_own_with_enough_left_is_judged_as_any() {
    for server in both().await {
        let ravi = server.pair("cus_ravi", FAISS).await;
        let asha = server.pair("cus_asha", FAISS).await;
        take(&server, &ravi, json!({"id": "lse_a", "least": 2, "wanted": 2})).await;
        let by_lease = |pair, id, quantity| leased(&server, pair, id, quantity, "lse_a");
        // Another producer's, another customer's, and one that is too small: 3 are left beside it.
        let elsewhere = server.track(range("prd_b", 0, 1, vec![by_lease(&ravi, 1, 2)])).await;
        assert_eq!(codes(&elsewhere), [""]);
        let events = vec![
            by_lease(&asha, 2, 1),
            by_lease(&ravi, 3, 3),
            by_lease(&ravi, 4, 2),
            by_lease(&ravi, 5, 1),
            by_lease(&ravi, 6, 1),
        ];
        let answer = server.track(range("prd_a", 0, 1, events)).await;
        assert_eq!(codes(&answer), ["", "quota_exceeded", "", "", "quota_exceeded"]);
        assert_eq!(exports(&server, "cus_ravi").await, (5, 0, Some(0)));
        assert_eq!(exports(&server, "cus_asha").await.0, 1);
        // What is used up is gone: nothing can be given back, or taken again for nothing.
        assert_eq!(give_back(&server, "cus_ravi", "lse_a", 5).await.body["returned"], 0);
    }
}

#[tokio::test]
async fn without_a_limit_a_lease_has_none_and_what_it_allowed_counts_after_a_downgrade() {
    for server in both().await {
        let meera = server.pair("cus_meera", FAISS).await;
        let answer = take(&server, &meera, json!({"id": "lse_a", "least": 1, "wanted": 1})).await;
        assert_eq!(answer.body["lease"]["granted"], Value::Null, "{answer:?}");
        assert_eq!(answer.body["lease"]["kept"], true, "another tier's limit is hard");
        let body = json!({"customer_id": "cus_meera", "solution_id": FAISS, "tier": "registered"});
        server.call("PUT /api/user-tier", &server.admin_key(), body).await;
        let events = vec![
            export(&server, &meera, 1, 3),
            leased(&server, &meera, 2, 30, "lse_a"),
            export(&server, &meera, 3, 1),
        ];
        let answer = server.track(range("prd_a", 0, 1, events)).await;
        assert_eq!(codes(&answer), ["", "", "quota_exceeded"]);
        assert_eq!(exports(&server, "cus_meera").await, (33, 0, Some(0)));

        // Nothing limits searches for good: there is nothing to lease.
        let search = json!({"id": "lse_b", "action": "search", "least": 1, "wanted": 1});
        let answer = take(&server, &meera, search).await;
        assert_eq!(answer.body["lease"]["granted"], Value::Null);
        assert_eq!(answer.body["lease"]["kept"], false);
        assert_eq!(end(&server, "prd_a", 0, 3).await.body, json!({"open": 0}));
    }
}

#[tokio::test]
async fn a_producer_that_ends_gives_everything_back_and_is_heard_no_more() {
    for server in both().await {
        let pair = server.pair("cus_asha", FAISS).await;
        for n in 0..40 {
            let asked = json!({"id": format!("lse_{n}"), "least": 1, "wanted": 2});
            take(&server, &pair, asked).await;
        }
        let event = leased(&server, &pair, 1, 2, "lse_7");
        server.track(range("prd_a", 0, 1, vec![event.clone()])).await;
        let early = end(&server, "prd_a", 0, 2).await;
        assert_eq!(early.is_problem(409, "lease_unsettled").body["fence"], 1);
        assert_eq!(exports(&server, "cus_asha").await, (2, 78, Some(PRO - 80)));
        for _ in 0..2 {
            assert_eq!(end(&server, "prd_a", 0, 1).await.body, json!({"open": 0}));
            assert_eq!(exports(&server, "cus_asha").await, (2, 0, Some(PRO - 2)));
        }
        let late = take(&server, &pair, json!({"id": "lse_a", "least": 1, "wanted": 2})).await;
        late.is_problem(409, "epoch_superseded");
        let more = server.track(range("prd_a", 0, 2, vec![export(&server, &pair, 2, 1)])).await;
        more.is_problem(409, "epoch_superseded");
        let again = server.track(range("prd_a", 0, 1, vec![event])).await;
        assert_eq!(statuses(&again), ["duplicate"]);
    }
}

#[tokio::test]
async fn who_takes_a_log_over_gives_its_leases_back_when_they_have_ended() {
    for server in both().await {
        let pair = server.pair("cus_asha", FAISS).await;
        take(&server, &pair, json!({"id": "lse_a", "least": 1, "wanted": 20})).await;
        let asked = json!({"id": "lse_b", "epoch": 1, "least": 1, "wanted": 20});
        take(&server, &pair, asked).await;
        let waiting = end(&server, "prd_a", 1, 0).await;
        assert_eq!(waiting.body["open"], 1, "{waiting:?}");
        let wait = waiting.body["retry_after_ms"].as_u64().expect("a time");
        assert!((290_000..=300_000).contains(&wait), "{wait}");
        assert_eq!(exports(&server, "cus_asha").await, (0, 20, Some(PRO - 20)));
        end(&server, "prd_a", 0, 0).await.is_problem(409, "epoch_superseded");

        server.advance_clock(Duration::from_millis(wait)).await.expect("in range");
        assert_eq!(end(&server, "prd_a", 1, 0).await.body, json!({"open": 0}));
        assert_eq!(exports(&server, "cus_asha").await, (0, 0, Some(PRO)));
    }
}

#[tokio::test]
async fn a_lease_ends_with_its_window_and_what_it_allowed_counts_there() {
    for server in both().await {
        // Two minutes before midnight in Kolkata.
        let evening = "2027-01-15T18:28:00Z".parse().expect("RFC 3339");
        server.set_clock(evening).await.expect("in range");
        let pair = server.pair("cus_ravi", FAISS).await;
        let answer = take(&server, &pair, json!({"id": "lse_a", "least": 5, "wanted": 5})).await;
        let ttl = answer.body["lease"]["ttl_ms"].as_u64().expect("a time");
        assert!((119_000..=120_000).contains(&ttl), "{ttl}");
        let event = leased(&server, &pair, 1, 3, "lse_a");
        server.advance_clock(Duration::from_secs(180)).await.expect("in range");
        assert_eq!(exports(&server, "cus_ravi").await, (0, 0, Some(5)), "a new day");
        // One was noted by a clock that is a little ahead.
        let mut ahead = leased(&server, &pair, 2, 1, "lse_a");
        ahead["occurred_at"] = json!("2027-01-15T18:30:05Z");
        let answer = server.track(range("prd_a", 0, 1, vec![event, ahead])).await;
        assert_eq!(codes(&answer), ["", ""]);
        assert_eq!(exports(&server, "cus_ravi").await, (0, 0, Some(5)), "it was yesterday's");
        // So what is taken back of it is yesterday's, too.
        server.track(range("prd_c", 0, 1, vec![export(&server, &pair, 3, 5)])).await;
        let mut void = export(&server, &pair, 4, 1);
        void["voids"] = json!({"producer": "prd_a", "number": 2});
        let answer = server.track(range("prd_a", 0, 3, vec![void])).await;
        assert_eq!(codes(&answer), [""]);
        assert_eq!(exports(&server, "cus_ravi").await, (5, 0, Some(0)));
        server.set_clock(evening).await.expect("in range");
        assert_eq!(exports(&server, "cus_ravi").await, (3, 1, Some(1)));
    }
}

#[tokio::test]
async fn a_reset_gives_back_what_was_used_and_leaves_what_is_leased() {
    for server in both().await {
        let pair = server.pair("cus_asha", FAISS).await;
        take(&server, &pair, json!({"id": "lse_a", "least": 20, "wanted": 20})).await;
        server.track(range("prd_a", 0, 1, vec![leased(&server, &pair, 1, 5, "lse_a")])).await;
        server.track(range("prd_b", 0, 1, vec![export(&server, &pair, 2, 100)])).await;
        let body = json!({"customer_id": "cus_asha", "solution_id": FAISS});
        let answer = server.call("POST /api/reset-quota", &server.admin_key(), body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(exports(&server, "cus_asha").await, (0, 15, Some(PRO - 15)));
        server.track(range("prd_a", 0, 2, vec![leased(&server, &pair, 3, 5, "lse_a")])).await;
        assert_eq!(exports(&server, "cus_asha").await, (5, 10, Some(PRO - 15)));
        assert_eq!(give_back(&server, "cus_asha", "lse_a", 2).await.body["returned"], 10);
        assert_eq!(exports(&server, "cus_asha").await, (5, 0, Some(PRO - 5)));
    }
}

#[tokio::test]
async fn what_a_lease_paid_for_is_forgiven_by_resets_of_its_own_window() {
    for server in both().await {
        // Two minutes before midnight in Kolkata; the client's clock has passed it.
        server
            .set_clock("2027-01-15T18:28:00Z".parse().expect("RFC 3339"))
            .await
            .expect("in range");
        let pair = server.pair("cus_ravi", FAISS).await;
        take(&server, &pair, json!({"id": "lse_a", "least": 2, "wanted": 2})).await;
        let mut ahead = leased(&server, &pair, 1, 2, "lse_a");
        ahead["occurred_at"] = json!("2027-01-15T18:30:05Z");
        server.track(range("prd_a", 0, 1, vec![ahead])).await;
        let body = json!({"customer_id": "cus_ravi", "solution_id": FAISS, "action": "export"});
        server.call("POST /api/reset-quota", &server.admin_key(), body).await;
        server.advance_clock(Duration::from_secs(1)).await.expect("in range");
        let mut void = export(&server, &pair, 2, 1);
        void["voids"] = json!({"producer": "prd_a", "number": 1});
        let events = vec![export(&server, &pair, 3, 3), void];
        assert_eq!(codes(&server.track(range("prd_a", 0, 2, events)).await), ["", ""]);
        assert_eq!(exports(&server, "cus_ravi").await, (3, 0, Some(2)), "it was given back before");
    }
}

#[tokio::test]
async fn what_was_allowed_offline_counts_beyond_the_limit_if_the_solution_says_so() {
    let ocr = "sol_invoice_ocr";
    for server in both().await {
        let pair = server.pair("cus_asha", ocr).await;
        let event = |id, quantity, overage| {
            let mut event = search(&server, &pair, id);
            event["action"] = json!("translation");
            event["quantity"] = json!(quantity);
            event["overage"] = json!(overage);
            event
        };
        let events = vec![event(1, 999, false), event(2, 10, true), event(3, 1, false)];
        let answer = server
            .call("POST /api/track-usage", &server.key(ocr), range("prd_a", 0, 1, events))
            .await;
        assert_eq!(codes(&answer), ["", "", "quota_exceeded"]);
        let quotas = answer.body["quotas"].as_array().expect("quotas");
        assert_eq!((&quotas[0]["used"], &quotas[0]["remaining"]), (&json!(1_009), &json!(0)));
        let path = format!("GET /api/usage/cus_asha/events?solution_id={ocr}");
        let events = server.call(&path, &server.key(ocr), Value::Null).await;
        let told: Vec<_> = events.body["items"].as_array().expect("events").iter().collect();
        assert_eq!((&told[0]["overage"], &told[1]["overage"]), (&json!(true), &Value::Null));

        // Exports are refused offline, so nobody can have been let through.
        let ravi = server.pair("cus_ravi", FAISS).await;
        let mut beyond = export(&server, &ravi, 4, REGISTERED + 1);
        beyond["overage"] = json!(true);
        let answer = server.track(range("prd_a", 0, 1, vec![beyond])).await;
        assert_eq!(codes(&answer), ["quota_exceeded"]);
    }
}

#[tokio::test]
async fn sixty_four_who_want_more_than_there_is_get_all_there_is() {
    for server in both().await {
        let pair = server.pair("cus_asha", FAISS).await;
        let taker = async |task: u64| {
            let mut granted = 0;
            for n in 0.. {
                let id = format!("lse_{task}_{n}");
                let producer = format!("prd_{task}");
                let asked = json!({"id": id, "producer": producer, "least": 1, "wanted": 9});
                let answer = take(&server, &pair, asked).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                match answer.body["lease"]["granted"].as_u64() {
                    Some(amount) => granted += amount,
                    None => break,
                }
            }
            granted
        };
        let granted: u64 = join_all((0..64).map(taker)).await.into_iter().sum();
        assert_eq!(granted, PRO);
        assert_eq!(exports(&server, "cus_asha").await, (0, PRO, Some(0)));
        for task in 0..64 {
            assert_eq!(end(&server, &format!("prd_{task}"), 0, 0).await.body["open"], 0);
        }
        assert_eq!(exports(&server, "cus_asha").await, (0, 0, Some(PRO)));
    }
}

#[tokio::test]
async fn leases_and_calls_that_consume_share_one_limit_through_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = async || {
        let server = MockServer::builder().db(folder.path().join("market.db")).start().await;
        TestServer::new(server.expect("a server"), None)
    };
    let server = start().await;
    let pair = server.pair("cus_asha", FAISS).await;
    let (leases, consumed) = spend(&server, &pair, 0, 3).await;
    assert!(leases > 0 && consumed > 0, "both get something: {leases}, {consumed}");
    assert_eq!(exports(&server, "cus_asha").await.1, leases);
    server.into_inner().stop().await;

    let server = start().await;
    let pair = server.pair("cus_asha", FAISS).await;
    assert_eq!(
        exports(&server, "cus_asha").await,
        (consumed, leases, Some(PRO - leases - consumed))
    );
    let (more_leases, more_consumed) = spend(&server, &pair, 3, 1_000).await;
    let (leases, consumed) = (leases + more_leases, consumed + more_consumed);
    assert_eq!(leases + consumed, PRO, "{leases}, {consumed}");
    assert_eq!(exports(&server, "cus_asha").await, (consumed, leases, Some(0)));
}

/// Sixteen who take leases, and sixteen who consume call by call, so often or until they are refused: how
/// much each of the two get.
async fn spend(server: &TestServer, pair: &TokenPair, round: u64, times: u64) -> (u64, u64) {
    let take_some = async |task: u64| {
        let mut granted = 0;
        for n in 0..times {
            let id = format!("lse_{round}_{task}_{n}");
            let answer = take(server, pair, json!({"id": id, "least": 1, "wanted": 4})).await;
            match answer.body["lease"]["granted"].as_u64() {
                Some(amount) => granted += amount,
                None => break,
            }
        }
        granted
    };
    let consume_some = async |task: u64| {
        let mut consumed = 0;
        for n in 0..times {
            let token_id = claims(&pair.access_token).jti;
            let id = format!("evt_{round}_{task}_{n}");
            let body = json!({"id": id, "token_id": token_id, "action": "export", "quantity": 1});
            let operation = format!("POST /api/quotas/cus_asha/{FAISS}/consume");
            let answer = server.call(&operation, &server.key(FAISS), body).await;
            match answer.body["allowed"].as_bool().expect("an answer") {
                true => consumed += 1,
                false => break,
            }
        }
        consumed
    };
    let (taken, consumed): (Vec<u64>, Vec<u64>) =
        join(join_all((0..16).map(take_some)), join_all((0..16).map(consume_some))).await;
    (taken.into_iter().sum(), consumed.into_iter().sum())
}

#[tokio::test]
async fn a_lease_is_for_who_may_be_let_in_and_the_call_must_make_sense() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let one = json!({"id": "lse_a", "least": 1, "wanted": 1});
    let with = |name: &str, value: Value| {
        let mut asked = one.clone();
        asked[name] = value;
        asked
    };
    for (asked, field) in [
        (with("id", json!("a")), "id"),
        (with("producer", json!("a/b")), "producer"),
        (with("token_id", json!("")), "token_id"),
        (with("least", json!(0)), "least"),
        (with("least", json!(2)), "wanted"),
        (with("wanted", json!(2_000_000_000)), "wanted"),
    ] {
        let answer = take(&server, &pair, asked).await;
        assert_eq!(answer.is_problem(422, "request_invalid").body["field"], field);
    }
    take(&server, &pair, with("action", json!("fly"))).await.is_problem(422, "action_unknown");

    let of_asha = claims(&server.pair("cus_asha", FAISS).await.access_token).jti;
    for token in [json!(of_asha), json!("tok_none")] {
        let refused = take(&server, &pair, with("token_id", token)).await;
        assert_eq!((refused.status, &refused.body["lease"]), (200, &Value::Null));
        assert_eq!(refused.body["code"], "token_not_for_customer");
    }
    let refused_now = async || {
        let answer = take(&server, &pair, one.clone()).await;
        answer.body["code"] == "token_not_for_customer"
    };
    let body = json!({"token": pair.access_token});
    server.call("DELETE /api/revoke-token", &server.key(FAISS), body).await;
    assert!(refused_now().await, "revoked");
    let pair = server.pair("cus_ravi", FAISS).await;
    let body = json!({"customer_id": "cus_ravi"});
    server.call("DELETE /api/revoke-user", &server.key(FAISS), body).await;
    let answer = take(&server, &pair, one.clone()).await;
    assert_eq!(answer.body["code"], "token_not_for_customer", "the user is");
    let pair = server.pair("cus_ravi", FAISS).await;
    server.advance_clock(Duration::from_secs(17 * 60)).await.expect("in range");
    let answer = take(&server, &pair, one.clone()).await;
    assert_eq!(answer.body["code"], "token_not_for_customer", "expired");
    assert_eq!(exports(&server, "cus_ravi").await, (0, 0, Some(REGISTERED)));
}
