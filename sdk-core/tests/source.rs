//! A pair that is kept good: renewed ahead, once, and not again and again when that fails.

use std::time::Duration;

use cloudnestle_marketplace::{Code, Event, MarketplaceSdk, TokenSource};
use cloudnestle_mock_server::{Fault, MockServer, When};
use futures_util::future::join_all;

const SOLUTION: &str = "sol_faiss_search";
const REFRESH: &str = "POST /api/refresh-token";

struct World {
    server: MockServer,
    sdk: MarketplaceSdk,
    source: TokenSource,
}

impl World {
    async fn begin() -> World {
        let server = MockServer::start().await.unwrap();
        let sdk = MarketplaceSdk::builder()
            .url(server.url())
            .secret_key(server.secret_key(SOLUTION).unwrap())
            .solution(SOLUTION)
            .spool_in_memory()
            .build()
            .unwrap();
        let source = sdk.keep_fresh(server.token_pair("cus_asha", SOLUTION).await.unwrap());
        World { server, sdk, source }
    }

    /// The time moves on, and the SDK learns of it by an answer.
    async fn let_pass(&self, secs: u64) {
        self.server.advance_clock(Duration::from_secs(secs)).await.unwrap();
        self.sdk.quotas("cus_asha").await.unwrap();
    }

    fn renewals(&self) -> usize {
        self.server.journal().iter().filter(|entry| entry.operation == REFRESH).count()
    }
}

#[tokio::test]
async fn a_token_that_is_due_is_renewed_behind_the_call_and_nobody_waits() {
    let world = World::begin().await;
    let mut events = world.sdk.events();
    let first = world.source.access_token().await.unwrap();
    world.let_pass(600).await;
    assert_eq!(world.source.access_token().await.unwrap(), first);
    assert_eq!(world.renewals(), 0, "it is young");

    world.let_pass(260).await;
    assert_eq!(world.source.access_token().await.unwrap(), first, "it is still good");
    assert!(matches!(events.next().await, Some(Event::TokenRefreshed)));
    while world.source.access_token().await.unwrap() == first {
        tokio::task::yield_now().await; // the event comes a moment before the pair is in place
    }
    let second = world.source.access_token().await.unwrap();
    assert_eq!((world.renewals(), world.source.pair().access_token), (1, second));
}

#[tokio::test]
async fn many_who_find_the_token_ended_wait_for_one_renewal() {
    let world = World::begin().await;
    let first = world.source.access_token().await.unwrap();
    world.let_pass(901).await;
    let tokens = join_all((0..64).map(|_| world.source.access_token())).await;
    let tokens: Vec<_> = tokens.into_iter().map(Result::unwrap).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0] && *token != first));
    assert_eq!(world.renewals(), 1);
    world.sdk.validate_user(tokens[0].expose()).await.unwrap();
}

#[tokio::test]
async fn a_renewal_that_failed_cools_down() {
    let world = World::begin().await;
    world.let_pass(901).await;
    for _ in 0..3 {
        world.server.inject(Fault::on(REFRESH).status(503)).unwrap();
    }
    let error = world.source.access_token().await.unwrap_err();
    assert_eq!((error.code(), world.renewals()), (Code::Unavailable, 3));
    for _ in 0..10 {
        assert_eq!(world.source.access_token().await.unwrap_err().code(), Code::Unavailable);
    }
    assert_eq!(world.renewals(), 3, "nobody asks while it cools down");
}

#[tokio::test]
async fn a_renewal_that_was_refused_is_not_tried_again() {
    let world = World::begin().await;
    let first = world.source.access_token().await.unwrap();
    world.sdk.revoke_token(first.expose()).await.unwrap();
    let validate = async |token: &str| world.sdk.validate_user(token).await.map(drop);
    for _ in 0..3 {
        let error = world.source.call(validate).await.unwrap_err();
        assert_eq!(error.code(), Code::RefreshTokenInvalid);
    }
    assert_eq!(world.renewals(), 1);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_for_all_who_held_it() {
    let world = World::begin().await;
    let refused = world.source.access_token().await.unwrap();
    world.server.inject(Fault::on(REFRESH).reset(When::AfterCommit)).unwrap();
    let second = world.source.replace(&refused).await.unwrap();
    let third = world.source.replace(&refused).await.unwrap();
    assert!(second == third && second != refused);
    assert_eq!(world.renewals(), 2, "one whose answer was lost, and one that found it again");
}

#[tokio::test]
async fn a_pair_that_another_program_has_renewed_is_taken_over_and_not_renewed_again() {
    let world = World::begin().await;
    let first = world.source.pair();
    let other = world.sdk.keep_fresh(first.clone());
    world.let_pass(1_000).await;
    let renewed = other.access_token().await.unwrap();

    assert!(world.source.adopt(other.pair()).await);
    assert_eq!(world.source.access_token().await.unwrap(), renewed);
    assert_eq!(world.renewals(), 1);
    assert!(!world.source.adopt(first).await, "it is older");
    world.let_pass(10).await;
    let stranger = world.server.token_pair("cus_ravi", SOLUTION).await.unwrap();
    assert!(!world.source.adopt(stranger).await, "it is another user's");
    assert_eq!(world.source.pair(), other.pair());
}

#[tokio::test]
async fn what_is_taken_over_is_not_replaced_by_a_renewal_that_began_before() {
    let world = World::begin().await;
    let first = world.source.access_token().await.unwrap();
    world.let_pass(10).await;
    let newer = world.server.token_pair("cus_asha", SOLUTION).await.unwrap();
    let renewal = world.source.replace(&first);
    let (renewed, adopted) = futures_util::join!(renewal, world.source.adopt(newer.clone()));
    assert!(adopted);
    assert_eq!((renewed.unwrap(), world.renewals()), (newer.access_token.clone(), 1));
    assert_eq!(world.source.pair(), newer);
}
