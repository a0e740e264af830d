//! A program that its users hold: it has their tokens and no secret key.

use std::path::Path;
use std::time::Duration;

use cloudnestle_marketplace::{
    ClientBuilder, ClientSdk, Code, Event, MarketplaceSdk, TokenPair, Verified,
};
use cloudnestle_mock_server::MockServer;

const SOLUTION: &str = "sol_faiss_search";

/// Longer than a token lives.
const LONG: Duration = Duration::from_secs(20 * 60);

struct Stage {
    server: MockServer,
    spool: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Stage {
        let server = MockServer::start().await.unwrap();
        Stage { server, spool: tempfile::tempdir().unwrap() }
    }

    fn builder(&self) -> ClientBuilder {
        let solutions = self.server.solutions();
        let solution = solutions.into_iter().find(|solution| solution.id == SOLUTION).unwrap();
        ClientSdk::builder()
            .url(self.server.url())
            .publishable_key(solution.publishable_key)
            .solution(SOLUTION)
            .spool_dir(self.spool.path())
    }

    fn client(&self) -> ClientSdk {
        self.builder().build().unwrap()
    }

    async fn pair(&self, customer: &str) -> TokenPair {
        self.server.token_pair(customer, SOLUTION).await.unwrap()
    }

    async fn revoke(&self, pair: &TokenPair) {
        let backend = MarketplaceSdk::builder()
            .url(self.server.url())
            .secret_key(self.server.secret_key(SOLUTION).unwrap())
            .solution(SOLUTION)
            .spool_in_memory();
        backend.build().unwrap().revoke_token(pair.access_token.expose()).await.unwrap();
    }
}

/// Views something.
async fn view(client: &ClientSdk, pair: &TokenPair) {
    client.track_usage(pair.access_token.expose(), "view").await.unwrap();
}

fn accounts(client: &ClientSdk) -> (u64, u64) {
    let usage = client.stats().usage;
    (usage.delivered, usage.pending)
}

#[tokio::test]
async fn a_client_knows_its_user_by_the_token_alone_and_reports_what_clients_may() {
    let stage = Stage::set().await;
    let (client, pair) = (stage.client(), stage.pair("cus_asha").await);
    let token = pair.access_token.expose();

    let user = client.validate_user(token).await.unwrap();
    assert_eq!((&*user.customer_id, user.verified()), ("cus_asha", Verified::Local));
    assert_eq!(client.stats().requests, 1, "for the keys");
    assert_eq!(client.get_user_context(token).await.unwrap().customer_id, "cus_asha");
    assert!(!client.quotas(token).await.unwrap().is_empty());

    view(&client, &pair).await;
    client.track_usage(token, "search").await.unwrap();
    client.flush().await.unwrap();

    let usage = client.stats().usage;
    assert_eq!((usage.tracked, usage.delivered, usage.rejected), (2, 1, 1));
    let rejected = client.rejected_usage().await.unwrap();
    assert_eq!(rejected[0].code, Code::ActionNotForClients);
}

#[tokio::test]
async fn usage_waits_while_its_token_is_over_and_goes_with_the_renewed_one() {
    let stage = Stage::set().await;
    let (client, pair) = (stage.client(), stage.pair("cus_asha").await);
    let mut events = client.events();
    client.validate_user(pair.access_token.expose()).await.unwrap();
    stage.server.set_outage(true);
    view(&client, &pair).await;
    stage.server.advance_clock(LONG).await.unwrap();
    stage.server.set_outage(false);

    let error = client.flush().await.unwrap_err();
    assert_eq!(error.code(), Code::TokenExpired);
    assert_eq!(accounts(&client), (0, 1));
    let told = loop {
        match events.next().await {
            Some(Event::UsageWaiting { error }) if !error.is_retryable() => break error,
            Some(_) => {}
            None => panic!("nobody was told"),
        }
    };
    assert_eq!(told.code(), Code::TokenExpired);

    client.refresh(&pair).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(accounts(&client), (1, 0));
}

#[tokio::test]
async fn a_pair_that_is_kept_fresh_has_usage_sent_that_waited_for_it() {
    let stage = Stage::set().await;
    let (client, pair) = (stage.client(), stage.pair("cus_asha").await);
    let source = client.keep_fresh(pair.clone());
    client.validate_user(pair.access_token.expose()).await.unwrap();
    stage.server.set_outage(true);
    view(&client, &pair).await;
    stage.server.advance_clock(LONG).await.unwrap();
    stage.server.set_outage(false);
    client.flush().await.unwrap_err();

    source.access_token().await.unwrap();
    while accounts(&client) != (1, 0) {
        tokio::time::sleep(Duration::from_millis(5)).await; // nobody flushes
    }
}

#[tokio::test]
async fn what_two_users_of_one_program_did_is_sent_with_the_token_of_each() {
    let stage = Stage::set().await;
    let client = stage.client();
    let (asha, ravi) = (stage.pair("cus_asha").await, stage.pair("cus_ravi").await);
    for pair in [&asha, &ravi] {
        client.validate_user(pair.access_token.expose()).await.unwrap();
    }
    stage.revoke(&asha).await;
    view(&client, &asha).await;
    view(&client, &ravi).await;

    let error = client.flush().await.unwrap_err();
    assert_eq!(error.code(), Code::TokenRevoked);
    assert_eq!(
        accounts(&client),
        (1, 1),
        "what is Ravi's arrives, whatever holds up what is Asha's"
    );

    let again = stage.pair("cus_asha").await;
    client.get_user_context(again.access_token.expose()).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(accounts(&client), (2, 0));
    assert_eq!(client.stats().usage.rejected, 0);
}

#[tokio::test]
async fn usage_of_an_earlier_run_waits_for_its_user_and_nobodys_token_is_on_the_disk() {
    let stage = Stage::set().await;
    let (asha, ravi) = (stage.pair("cus_asha").await, stage.pair("cus_ravi").await);
    let client = stage.client();
    client.validate_user(asha.access_token.expose()).await.unwrap();
    stage.server.set_outage(true);
    view(&client, &asha).await;
    assert_eq!(client.close(Duration::from_millis(50)).await.usage.pending, 1);
    let error = client.track_usage(ravi.access_token.expose(), "view").await.unwrap_err();
    assert!([Code::Closed, Code::Unavailable].contains(&error.code()), "{error}");
    let written = files(stage.spool.path());
    assert!(written.iter().any(|bytes| holds(bytes, b"cus_asha")));
    for secret in [&asha.access_token, &asha.refresh_token] {
        assert!(!written.iter().any(|bytes| holds(bytes, secret.expose().as_bytes())));
    }
    drop(client);
    stage.server.set_outage(false);

    let client = stage.client();
    view(&client, &ravi).await;
    client.flush().await.unwrap();
    assert_eq!(accounts(&client), (1, 0), "Ravi's alone");
    client.validate_user(asha.access_token.expose()).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(accounts(&client), (2, 0));
}

#[tokio::test]
async fn only_a_client_with_a_publishable_key_opens_the_solution() {
    let stage = Stage::set().await;
    let nameless = ClientSdk::builder().url(stage.server.url()).solution(SOLUTION);
    let nameless = nameless.spool_in_memory().build().unwrap();
    for error in [
        nameless.create_visitor().await.unwrap_err(),
        nameless.exchange_code("code", "verifier").await.unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::ConfigInvalid);
    }
    let pair = stage.client().create_visitor().await.unwrap();
    let visitor = nameless.validate_user(pair.access_token.expose()).await.unwrap();
    assert_eq!(visitor.tier, cloudnestle_marketplace::Tier::Anonymous);

    let key = stage.server.secret_key(SOLUTION).unwrap();
    let error = stage.builder().publishable_key(key.clone()).build().unwrap_err();
    assert_eq!(error.code(), Code::ConfigInvalid);
    assert!(
        error.to_string().contains("a secret key") && !error.to_string().contains(key.expose())
    );
}

fn files(dir: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: std::path::PathBuf| match path.is_dir() {
        true => files(&path),
        false => vec![std::fs::read(path).unwrap()],
    };
    entries.flat_map(of).collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
