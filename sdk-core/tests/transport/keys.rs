//! Secret keys that are replaced while the program runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloudnestle_marketplace::{Code, Event, Secret};
use wiremock::matchers::{header, path};
use wiremock::{Mock, ResponseTemplate};

use crate::stage::Stage;
use crate::{a_problem, all_accepted};

const TRACK: &str = "/api/track-usage";
const NEW_KEY: &str = "cnsk_test_new";

async fn accept_only(stage: &Stage, key: &str, answer: ResponseTemplate) {
    Mock::given(path(TRACK))
        .and(header("authorization", format!("Bearer {key}")))
        .respond_with(answer)
        .with_priority(1)
        .mount(&stage.marketplace)
        .await;
    stage.answers(TRACK, a_problem(401, "credential_invalid")).await;
}

#[tokio::test]
async fn a_key_that_was_replaced_is_asked_for_and_nothing_waits() {
    let stage = Stage::set().await;
    accept_only(&stage, NEW_KEY, all_accepted(1..=1)).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let provider = move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { Some(Secret::new(NEW_KEY)) }
    };
    let sdk = stage.local().secret_key_provider(provider).build().unwrap();
    sdk.track_usage(&stage.token, "search").await.unwrap();
    sdk.flush().await.unwrap();
    assert_eq!(sdk.stats().usage.delivered, 1);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn usage_waits_with_an_alarm_while_there_is_no_good_key() {
    let stage = Stage::set().await;
    accept_only(&stage, NEW_KEY, all_accepted(1..=1)).await;
    // A key of the live environment is none for this program.
    for provided in [None, Some("cnsk_live_new"), Some("")] {
        let provider = move || async move { provided.map(Secret::new) };
        let sdk = stage.local().secret_key_provider(provider).build().unwrap();
        let mut events = sdk.events();
        sdk.track_usage(&stage.token, "search").await.unwrap();
        assert_eq!(sdk.flush().await.unwrap_err().code(), Code::CredentialInvalid);
        let Some(Event::UsageWaiting { error }) = events.next().await else { panic!("no alarm") };
        assert_eq!(error.code(), Code::CredentialInvalid);
        assert_eq!(sdk.stats().usage.pending, 1);
    }
}

#[tokio::test]
async fn a_key_provider_that_does_not_answer_holds_nobody_beyond_the_deadline() {
    let stage = Stage::set().await;
    stage
        .answers("/api/quotas/cus_asha/sol_faiss_search", a_problem(401, "credential_invalid"))
        .await;
    let never = || std::future::pending();
    let builder = stage.local().secret_key_provider(never).deadline(Duration::from_millis(200));
    let asked = builder.build().unwrap();
    let asked = asked.quotas("cus_asha");
    // Generous: the deadline is 0.2 s.
    let error = tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::CredentialInvalid);
}
