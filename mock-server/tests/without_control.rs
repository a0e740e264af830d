//! A production build: `cargo test --no-default-features`.
#![cfg(not(feature = "control"))]

use cloudnestle_mock_server::MockServer;

#[tokio::test]
async fn without_the_feature_nobody_controls_the_server() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = MockServer::start().await.expect("a server");
    for path in ["/mock/clock", "/mock/faults", "/mock/world", "/mock/sessions", "/mock"] {
        let answer = reqwest::get(format!("{}{path}", server.url())).await.expect("an answer");
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    let page = reqwest::get(server.url()).await.expect("an answer").text().await.expect("text");
    assert!(page.contains("/api/track-usage") && !page.contains("/mock"));
}
