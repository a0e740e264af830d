//! Servers to test, and a client that shows everything of an answer.

use std::ops::Deref;

use cloudnestle_marketplace::model::{Claims, Secret, TokenPair};
use cloudnestle_mock_server::MockServer;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const FAISS: &str = "sol_faiss_search";
pub(crate) const NOTES: &str = "sol_chat_notes";

/// A server, and the folder of its database, if it has one.
pub(crate) struct TestServer {
    server: MockServer,
    http: reqwest::Client,
    _folder: Option<TempDir>,
}

/// An answer, or how the connection broke.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

/// A server in memory and one in a file: whatever a test finds must be true of both.
pub(crate) async fn both() -> [TestServer; 2] {
    [in_memory().await, in_file().await]
}

pub(crate) async fn in_file() -> TestServer {
    let folder = tempfile::tempdir().expect("a folder");
    let server = MockServer::builder().db(folder.path().join("market.db")).start().await;
    TestServer::new(server.expect("a server"), Some(folder))
}

pub(crate) async fn in_memory() -> TestServer {
    TestServer::new(MockServer::start().await.expect("a server"), None)
}

impl TestServer {
    pub(crate) fn new(server: MockServer, folder: Option<TempDir>) -> TestServer {
        // reqwest wants to know who does its TLS, even if it has none to do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Without a pool each call has a connection of its own, and none is retried on another.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build();
        TestServer { server, http: http.expect("a client"), _folder: folder }
    }

    pub(crate) fn into_inner(self) -> MockServer {
        self.server
    }

    pub(crate) fn key(&self, solution_id: &str) -> Secret {
        self.secret_key(solution_id).expect("a solution of the built-in world")
    }

    pub(crate) async fn pair(&self, customer_id: &str, solution_id: &str) -> TokenPair {
        self.token_pair(customer_id, solution_id).await.expect("a pair")
    }

    pub(crate) fn request(&self, operation: &str) -> reqwest::RequestBuilder {
        let (method, path) = operation.split_once(' ').expect("METHOD /path");
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.http.request(method, format!("http://{}{path}", self.address()))
    }

    /// Calls with a JSON body, unless that is null, and with a credential, unless that is empty.
    pub(crate) async fn try_call(
        &self,
        operation: &str,
        credential: &str,
        body: &Value,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.request(operation);
        if !credential.is_empty() {
            request = request.bearer_auth(credential);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        answer(request).await
    }

    pub(crate) async fn call(&self, operation: &str, credential: &Secret, body: Value) -> Answer {
        self.try_call(operation, credential.expose(), &body).await.expect("an answer")
    }

    pub(crate) async fn call_openly(&self, operation: &str, body: Value) -> Answer {
        self.try_call(operation, "", &body).await.expect("an answer")
    }

    pub(crate) async fn control(&self, operation: &str, body: Value) -> Answer {
        self.call(operation, self.control_token(), body).await
    }

    pub(crate) async fn validate(&self, token: &Secret) -> Value {
        let answer =
            self.call("POST /api/validate-token", &self.key(FAISS), json!({"token": token})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Sends usage of the FAISS search.
    pub(crate) async fn track(&self, body: Value) -> Answer {
        self.call("POST /api/track-usage", &self.key(FAISS), body).await
    }

    /// How many searches of the FAISS search a customer has used.
    pub(crate) async fn used(&self, customer_id: &str) -> u64 {
        self.quota(customer_id, "search").await["used"].as_u64().expect("a number")
    }

    /// A customer's quota for an action of the FAISS search.
    pub(crate) async fn quota(&self, customer_id: &str, action: &str) -> Value {
        let path = format!("GET /api/quotas/{customer_id}/{FAISS}");
        let answer = self.call(&path, &self.key(FAISS), Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let quotas = answer.body["quotas"].as_array().expect("quotas");
        quotas.iter().find(|quota| quota["action"] == action).expect("a quota").clone()
    }
}

impl Deref for TestServer {
    type Target = MockServer;
    fn deref(&self) -> &MockServer {
        &self.server
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await?;
    Ok(Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
}

impl Answer {
    /// Expects a problem of that code, complete and consistent.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["request_id"], self.headers["x-request-id"].to_str().expect("ASCII"));
        for field in ["type", "title", "doc_url"] {
            assert!(self.body[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
        }
        self
    }
}

/// What a token says, without checking it.
pub(crate) fn claims(token: &Secret) -> Claims {
    use base64::Engine;
    let payload = token.expose().split('.').nth(1).expect("three parts");
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64");
    serde_json::from_slice(&payload).expect("claims")
}

/// An event of one search by the token's customer, now.
pub(crate) fn search(server: &MockServer, pair: &TokenPair, id: u64) -> Value {
    let claims = claims(&pair.access_token);
    json!({
        "id": format!("evt_{id}"),
        "customer_id": claims.sub,
        "token_id": claims.jti,
        "action": "search",
        "quantity": 1,
        "occurred_at": server.now(),
    })
}

/// An event of so many exports by the token's customer, now.
pub(crate) fn export(server: &MockServer, pair: &TokenPair, id: u64, quantity: u64) -> Value {
    let mut event = search(server, pair, id);
    event["action"] = json!("export");
    event["quantity"] = json!(quantity);
    event
}

/// A range of a producer, numbered from `first`.
pub(crate) fn range(producer: &str, epoch: u64, first: u64, events: Vec<Value>) -> Value {
    let items: Vec<_> =
        (first..).zip(events).map(|(n, e)| json!({"number": n, "event": e})).collect();
    json!({"producer": producer, "epoch": epoch, "items": items})
}

/// The codes of an answer to usage; empty for what was not rejected.
pub(crate) fn codes(answer: &Answer) -> Vec<&str> {
    let results = answer.body["results"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    results.iter().map(|result| result["code"].as_str().unwrap_or_default()).collect()
}

/// The statuses of an answer to usage.
pub(crate) fn statuses(answer: &Answer) -> Vec<&str> {
    let results = answer.body["results"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    results.iter().map(|result| result["status"].as_str().expect("a status")).collect()
}
