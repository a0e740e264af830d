// What the examples of the documentation run on: a marketplace of their own, and the SDK of one of
// its solutions. Included by the examples, and no part of the crate.

use cloudnestle_marketplace::{ClientSdk, MarketplaceSdk, TokenPair, blocking};
use cloudnestle_mock_server::MockServer;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(example: impl AsyncFnOnce(MarketplaceSdk, &str, TokenPair) -> Outcome) {
    let (_server, sdk, pair) = stage().await;
    let token = pair.access_token.expose().to_owned();
    example(sdk, &token, pair).await.unwrap();
}

#[tokio::main]
pub(crate) async fn run_blocking(
    example: impl FnOnce(blocking::MarketplaceSdk, &str, TokenPair) -> Outcome,
) {
    let (_server, sdk, pair) = stage().await;
    let token = pair.access_token.expose().to_owned();
    example(sdk.into(), &token, pair).unwrap();
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run_client(example: impl AsyncFnOnce(ClientSdk, TokenPair) -> Outcome) {
    let server = MockServer::start().await.unwrap();
    let solution = server.solutions().into_iter().find(|it| it.id == "sol_faiss_search").unwrap();
    let client = ClientSdk::builder()
        .url(server.url())
        .publishable_key(solution.publishable_key)
        .solution("sol_faiss_search")
        .spool_in_memory()
        .build()
        .unwrap();
    let pair = server.token_pair("cus_asha", "sol_faiss_search").await.unwrap();
    example(client, pair).await.unwrap();
}

async fn stage() -> (MockServer, MarketplaceSdk, TokenPair) {
    let server = MockServer::start().await.unwrap();
    let sdk = MarketplaceSdk::builder()
        .url(server.url())
        .secret_key(server.secret_key("sol_faiss_search").unwrap())
        .solution("sol_faiss_search")
        .spool_in_memory()
        .build()
        .unwrap();
    let pair = server.token_pair("cus_asha", "sol_faiss_search").await.unwrap();
    (server, sdk, pair)
}
