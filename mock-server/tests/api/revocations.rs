//! How tokens end before their time, and the feed that tells of it.

use std::time::Duration;

use crate::common::{
    Answer, FAISS, NOTES, TestServer, answer, both, claims, in_memory, search, statuses,
};
use cloudnestle_marketplace::model::{Claims, FeedChange, Revocations, Secret, Tier, TokenPair};
use cloudnestle_mock_server::MockServer;
use serde_json::{Value, json};

/// What is new to somebody who has read up to `cursor`.
async fn feed(server: &TestServer, solution: &str, cursor: &str) -> Revocations {
    let path = match cursor {
        "" => "GET /api/revocations".to_owned(),
        cursor => format!("GET /api/revocations?after={cursor}"),
    };
    let answer = server.call(&path, &server.key(solution), Value::Null).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_value(answer.body).expect("a feed")
}

async fn revoke(server: &TestServer, token: &Secret) {
    let body = json!({"token": token});
    let answer = server.call("DELETE /api/revoke-token", &server.key(FAISS), body).await;
    assert_eq!(answer.status, 204, "{answer:?}");
}

async fn revoke_user(server: &TestServer, customer: &str) -> Answer {
    let body = json!({"customer_id": customer});
    server.call("DELETE /api/revoke-user", &server.key(FAISS), body).await
}

async fn refresh(server: &TestServer, token: &Secret) -> Answer {
    server.call_openly("POST /api/refresh-token", json!({"refresh_token": token})).await
}

async fn refreshed(server: &TestServer, token: &Secret) -> TokenPair {
    serde_json::from_value(refresh(server, token).await.body).expect("a pair")
}

async fn change_tier(server: &TestServer, tier: &str) {
    let body = json!({"customer_id": "cus_ravi", "solution_id": FAISS, "tier": tier});
    let answer = server.call("PUT /api/user-tier", &server.admin_key(), body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn id(pair: &TokenPair) -> String {
    claims(&pair.access_token).jti
}

/// The tokens a feed names as revoked, sorted.
fn revoked(feed: &Revocations) -> Vec<String> {
    let ids = feed.changes.iter().filter_map(|entry| match &entry.change {
        FeedChange::TokensRevoked { token_ids } => Some(token_ids.clone()),
        _ => None,
    });
    let mut ids: Vec<_> = ids.flatten().collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_revoked_family_names_every_token_that_can_still_be_alive() {
    for server in both().await {
        let first = server.pair("cus_ravi", FAISS).await;
        server.advance_clock(Duration::from_secs(600)).await.expect("in range");
        let second = refreshed(&server, &first.refresh_token).await;
        server.advance_clock(Duration::from_secs(600)).await.expect("in range");
        let third = refreshed(&server, &second.refresh_token).await;
        let stranger = server.pair("cus_asha", FAISS).await;

        revoke(&server, &second.access_token).await;

        let told = feed(&server, FAISS, "").await;
        let mut expected = [id(&second), id(&third)];
        expected.sort();
        assert_eq!(revoked(&told), expected, "the first has ended by itself");
        assert!(!revoked(&told).contains(&id(&stranger)));
        assert_eq!(told.changes[0].expires_at, third.expires_at);
        assert!(feed(&server, NOTES, "").await.changes.is_empty(), "another solution's feed");

        revoke(&server, &third.access_token).await;
        assert_eq!(feed(&server, FAISS, &told.cursor).await.changes, [], "once is enough");
    }
}

#[tokio::test]
async fn a_family_that_ends_because_of_a_thief_is_told_too() {
    for server in both().await {
        let first = server.pair("cus_ravi", FAISS).await;
        let second = refreshed(&server, &first.refresh_token).await;
        refreshed(&server, &second.refresh_token).await;
        server.advance_clock(Duration::from_secs(11)).await.expect("in range");
        assert!(feed(&server, FAISS, "").await.changes.is_empty());
        refresh(&server, &first.refresh_token).await.is_problem(401, "refresh_token_reused");
        assert_eq!(revoked(&feed(&server, FAISS, "").await).len(), 3);
    }
}

#[tokio::test]
async fn a_cursor_gets_what_is_new_and_nothing_when_nothing_is() {
    for server in both().await {
        let begin = feed(&server, FAISS, "").await;
        assert!((begin.snapshot, begin.more, begin.version) == (true, false, 0), "{begin:?}");
        let nothing = feed(&server, FAISS, &begin.cursor).await;
        assert_eq!((nothing.snapshot, nothing.cursor.clone()), (false, begin.cursor.clone()));

        change_tier(&server, "pro").await;
        let told = feed(&server, FAISS, &begin.cursor).await;
        assert_eq!((told.version, told.snapshot), (1, false));
        let FeedChange::TierChanged { customer_id, tier, .. } = &told.changes[0].change else {
            panic!("{told:?}")
        };
        assert_eq!((customer_id.as_str(), *tier), ("cus_ravi", Tier::Pro));
        change_tier(&server, "pro").await;
        assert_eq!(feed(&server, FAISS, &told.cursor).await.changes, [], "no change is none");

        for useless in ["garbage", "gen_other.1", &format!("{}.99", told.generation)] {
            let snapshot = feed(&server, FAISS, useless).await;
            assert_eq!((snapshot.snapshot, &snapshot.changes), (true, &told.changes), "{useless}");
        }
    }
}

#[tokio::test]
async fn what_concerns_no_living_token_is_dropped_and_an_old_cursor_gets_a_snapshot() {
    for server in both().await {
        let begin = feed(&server, FAISS, "").await;
        change_tier(&server, "pro").await;
        let early = feed(&server, FAISS, "").await;
        change_tier(&server, "enterprise").await;
        server.advance_clock(Duration::from_secs(901)).await.expect("in range");
        assert_eq!(feed(&server, FAISS, &begin.cursor).await.changes, [], "of no use to anybody");

        change_tier(&server, "registered").await;
        for cursor in ["", &begin.cursor, &early.cursor] {
            let told = feed(&server, FAISS, cursor).await;
            assert!(told.snapshot, "what {cursor:?} had to be told is not there any more");
            assert_eq!(told.changes.iter().map(|it| it.version).collect::<Vec<_>>(), [3]);
        }
    }
}

#[tokio::test]
async fn all_of_a_users_tokens_end_and_the_next_one_is_good() {
    for server in both().await {
        let before = server.pair("cus_ravi", FAISS).await;
        let elsewhere = server.pair("cus_ravi", NOTES).await;
        let other = server.pair("cus_asha", FAISS).await;
        assert_eq!(revoke_user(&server, "cus_ravi").await.status, 204);
        let after = server.pair("cus_ravi", FAISS).await;

        assert_eq!(server.validate(&before.access_token).await["code"], "token_revoked");
        refresh(&server, &before.refresh_token).await.is_problem(401, "refresh_token_invalid");
        assert_eq!(server.validate(&other.access_token).await["valid"], true);
        assert_eq!(server.validate(&after.access_token).await["valid"], true);
        assert_eq!(refresh(&server, &after.refresh_token).await.status, 200);
        assert_eq!(refresh(&server, &elsewhere.refresh_token).await.status, 200);

        let told = feed(&server, FAISS, "").await;
        let FeedChange::UserRevoked { customer_id, not_before } = &told.changes[0].change else {
            panic!("{told:?}")
        };
        assert_eq!(customer_id, "cus_ravi");
        assert!(claims(&before.access_token).iat < *not_before);
        assert!(claims(&after.access_token).iat >= *not_before);

        assert_eq!(revoke_user(&server, "cus_ravi").await.status, 204);
        assert_eq!(server.validate(&after.access_token).await["code"], "token_revoked");
        revoke_user(&server, "cus_nobody").await.is_problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_user_who_is_revoked_once_more_because_an_answer_was_lost_keeps_what_is_new() {
    for server in both().await {
        let revoke = async || {
            let request =
                server.request("DELETE /api/revoke-user").bearer_auth(server.key(FAISS).expose());
            let request =
                request.header("idempotency-key", "k").json(&json!({"customer_id": "cus_ravi"}));
            assert_eq!(answer(request).await.expect("an answer").status, 204);
        };
        revoke().await;
        let pair = server.pair("cus_ravi", FAISS).await;
        revoke().await;
        assert_eq!(server.validate(&pair.access_token).await["valid"], true);
    }
}

#[tokio::test]
async fn whoever_reads_while_many_write_misses_nothing() {
    const MANY: u64 = 64;
    for server in both().await {
        let mut pairs = Vec::new();
        for _ in 0..MANY {
            pairs.push(server.pair("cus_ravi", FAISS).await);
        }
        let writing = async {
            let all = pairs.iter().map(|pair| revoke(&server, &pair.access_token));
            futures_util::future::join_all(all).await;
        };
        let reading = async {
            let (mut cursor, mut versions) = (String::new(), Vec::new());
            while versions.len() < MANY as usize {
                let told = feed(&server, FAISS, &cursor).await;
                versions.extend(told.changes.iter().map(|entry| entry.version));
                cursor = told.cursor;
            }
            versions
        };
        let (versions, ()) = futures_util::future::join(reading, writing).await;
        assert_eq!(versions, (1..=MANY).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_long_feed_comes_in_pages() {
    let server = in_memory().await;
    for n in 0..1_001 {
        change_tier(&server, if n % 2 == 0 { "pro" } else { "registered" }).await;
    }
    let first = feed(&server, FAISS, "").await;
    assert_eq!((first.snapshot, first.more, first.version), (true, true, 1_000));
    let rest = feed(&server, FAISS, &first.cursor).await;
    assert_eq!((rest.snapshot, rest.more, rest.version), (false, false, 1_001));
    assert_eq!((first.changes.len(), rest.changes.len()), (1_000, 1));
}

#[tokio::test]
async fn a_server_that_starts_again_begins_another_generation() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = async || {
        let server = MockServer::builder().db(folder.path().join("market.db")).start().await;
        TestServer::new(server.expect("a server"), None)
    };
    let first = start().await;
    change_tier(&first, "pro").await;
    let before = feed(&first, FAISS, "").await;
    first.into_inner().stop().await;

    let second = start().await;
    let after = feed(&second, FAISS, &before.cursor).await;
    assert_ne!(after.generation, before.generation);
    assert!(after.began_at >= before.began_at);
    assert_eq!((after.snapshot, after.changes), (true, before.changes));
}

#[tokio::test]
async fn a_user_who_is_revoked_many_times_at_once_has_good_tokens_that_count_afterwards() {
    for server in both().await {
        let begin = feed(&server, FAISS, "").await;
        let mut ended = Vec::new();
        for _ in 0..70 {
            ended.push(server.pair("cus_ravi", FAISS).await);
            assert_eq!(revoke_user(&server, "cus_ravi").await.status, 204);
        }
        let pair = server.pair("cus_ravi", FAISS).await;
        let now = server.now().numeric_date();
        let (iat, exp) = (claims(&pair.access_token).iat, claims(&pair.access_token).exp);
        assert!(iat <= now + 1 && exp <= now + 900, "{iat} {exp} {now}");
        assert_eq!(server.validate(&pair.access_token).await["valid"], true);
        let event = json!({"event": search(&server, &pair, 1)});
        assert_eq!(statuses(&server.track(event).await), ["accepted"]);

        // All others have ended, here and for who reads the feed.
        let told = feed(&server, FAISS, &begin.cursor).await.changes;
        let ends = |token: &Claims| {
            told.iter().any(|entry| match &entry.change {
                FeedChange::UserRevoked { not_before, .. } => token.iat < *not_before,
                FeedChange::TokensRevoked { token_ids } => token_ids.contains(&token.jti),
                _ => false,
            })
        };
        for pair in &ended {
            assert_eq!(server.validate(&pair.access_token).await["code"], "token_revoked");
            assert!(ends(&claims(&pair.access_token)));
        }
        assert!(!ends(&claims(&pair.access_token)));
    }
}

#[tokio::test]
async fn a_clock_that_went_back_makes_no_token_that_outlives_its_quarter_of_an_hour() {
    let server = in_memory().await;
    let now = server.now();
    server.set_clock("2030-01-01T00:00:00Z".parse().expect("RFC 3339")).await.expect("in range");
    let ahead = server.pair("cus_ravi", FAISS).await;
    assert_eq!(revoke_user(&server, "cus_ravi").await.status, 204);
    server.set_clock(now).await.expect("in range");
    let pair = server.pair("cus_ravi", FAISS).await;
    assert!(claims(&pair.access_token).exp <= server.now().numeric_date() + 900);
    assert_eq!(server.validate(&pair.access_token).await["valid"], true);
    assert_eq!(server.validate(&ahead.access_token).await["code"], "token_revoked");
    let event = json!({"event": search(&server, &pair, 1)});
    assert_eq!(statuses(&server.track(event).await), ["accepted"]);
}

#[tokio::test]
async fn a_clock_that_goes_back_hides_nothing_from_whoever_reads_the_feed() {
    for back in [1, 2, 30] {
        for server in both().await {
            let before = server.pair("cus_ravi", FAISS).await;
            let begin = feed(&server, FAISS, "").await;
            server.set_clock(server.now() - Duration::from_secs(back)).await.expect("in range");
            change_tier(&server, "pro").await;
            assert_eq!(revoke_user(&server, "cus_ravi").await.status, 204);
            let after = server.pair("cus_ravi", FAISS).await;

            let (before, now) = (claims(&before.access_token), server.now().numeric_date());
            let told = feed(&server, FAISS, &begin.cursor).await.changes;
            let [tier, end] = [&told[0].change, &told[1].change];
            let FeedChange::TierChanged { changed_at, .. } = tier else { panic!("{told:?}") };
            let FeedChange::UserRevoked { not_before, .. } = end else { panic!("{told:?}") };
            assert!(before.iat <= changed_at.numeric_date(), "{back}: {before:?} {told:?}");
            assert!(before.iat < *not_before, "{back}: {before:?} {told:?}");
            assert!(told.iter().all(|it| it.expires_at.numeric_date() >= before.exp), "{told:?}");

            let Claims { iat, exp, .. } = claims(&after.access_token);
            assert!(iat >= *not_before && exp <= now + 901, "{back}: {iat} {exp} {now}");
            assert_eq!(server.validate(&after.access_token).await["valid"], true);
        }
    }
}

#[tokio::test]
async fn a_tier_is_told_of_a_token_too_that_says_it_is_of_the_next_second() {
    for server in both().await {
        assert_eq!(revoke_user(&server, "cus_ravi").await.status, 204);
        let pair = server.pair("cus_ravi", FAISS).await;
        let begin = feed(&server, FAISS, "").await;
        change_tier(&server, "pro").await;
        let told = feed(&server, FAISS, &begin.cursor).await.changes;
        let FeedChange::TierChanged { changed_at, .. } = &told[0].change else {
            panic!("{told:?}")
        };
        assert!(claims(&pair.access_token).iat <= changed_at.numeric_date(), "{told:?}");
    }
}
