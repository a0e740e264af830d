//! A marketplace whose answers a test writes itself, with real keys and a real token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudnestle_marketplace::{Builder, MarketplaceSdk, TokenPair, ValidationMode};
use cloudnestle_mock_server::MockServer;
use serde_json::json;
use wiremock::matchers::path;
use wiremock::{Mock, Request, ResponseTemplate};

pub(crate) struct Stage {
    pub(crate) marketplace: wiremock::MockServer,
    pub(crate) pair: TokenPair,
    pub(crate) token: String,
    pub(crate) secret_key: String,
}

impl Stage {
    pub(crate) async fn set() -> Stage {
        let marketplace = wiremock::MockServer::start().await;
        // Only the keys and the token are a real server's; it signs as the stage's issuer.
        let server = MockServer::builder().public_url(marketplace.uri()).start().await.unwrap();
        let pair = server.token_pair("cus_asha", "sol_faiss_search").await.unwrap();
        let jwks = fetch_keys(&server).await;
        Mock::given(path("/.well-known/jwks.json"))
            .respond_with(ResponseTemplate::new(200).set_body_raw(jwks, "application/json"))
            .mount(&marketplace)
            .await;
        let token = pair.access_token.expose().to_owned();
        let secret_key = server.secret_key("sol_faiss_search").unwrap().expose().to_owned();
        Stage { marketplace, pair, token, secret_key }
    }

    pub(crate) fn builder(&self) -> Builder {
        MarketplaceSdk::builder()
            .url(self.marketplace.uri())
            .secret_key(self.secret_key.as_str())
            .solution("sol_faiss_search")
            .spool_in_memory()
    }

    /// For an SDK that needs no more than the keys to know its user.
    pub(crate) fn local(&self) -> Builder {
        self.builder().validation(ValidationMode::Local)
    }

    pub(crate) fn sdk(&self) -> MarketplaceSdk {
        self.builder().build().unwrap()
    }

    pub(crate) async fn answers(&self, to: &str, answer: ResponseTemplate) {
        Mock::given(path(to)).respond_with(answer).mount(&self.marketplace).await;
    }

    pub(crate) async fn requests_to(&self, to: &str) -> usize {
        self.requests(to).await.len()
    }

    pub(crate) async fn last_request(&self, to: &str) -> Request {
        self.requests(to).await.pop().unwrap()
    }

    pub(crate) async fn requests(&self, to: &str) -> Vec<Request> {
        let mut requests = self.marketplace.received_requests().await.unwrap();
        requests.retain(|request| request.url.path() == to);
        requests
    }

    /// The stage's token, but for the key it names.
    pub(crate) fn token_signed_by(&self, kid: &str) -> String {
        let header = json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": kid }).to_string();
        let (_, rest) = self.token.split_once('.').unwrap();
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
    }
}

/// Over a bare socket: this crate has no other HTTP client than the one it tests.
async fn fetch_keys(server: &MockServer) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let host = server.url().trim_start_matches("http://");
    let request =
        format!("GET /.well-known/jwks.json HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    answer.split_off(body)
}
