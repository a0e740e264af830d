//! No secret gets into a log, or into an answer that need not have it: whatever of a call it was put
//! into, by mistake or on purpose, and of whichever call of the table.
//!
//! Each test runs in a process of its own: tracing decides for a process as a whole which of its call
//! sites anybody listens to, and tests beside these would switch them off and on.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use super::layers;
use super::openapi::{DOCUMENT, concrete};
use super::problem::Failure;
use super::routes::{Credential, MARKETPLACE, Route, groups, router};
use crate::domain::credential::Kind;
use crate::domain::jwt;
use crate::domain::keys::test_keys;
use crate::world::{Callers, RateLimit};
use crate::{MockServer, Search};

const CUSTOMER: &str = "cus_ravi";
const SOLUTION: &str = "sol_faiss_search";
const PASSWORD: &str = "correct-horse-battery-staple";

/// The names of all fields and parameters of the API.
static FIELDS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let mut names = BTreeSet::new();
    collect_fields(&DOCUMENT, &mut names);
    names
});

fn collect_fields<'d>(part: &'d Value, names: &mut BTreeSet<&'d str>) {
    match part {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                names.extend(properties.keys().map(String::as_str));
            }
            if let (Some(Value::String(name)), Some(_)) = (fields.get("name"), fields.get("in")) {
                names.insert(name);
            }
            fields.values().for_each(|part| collect_fields(part, names));
        }
        Value::Array(parts) => parts.iter().for_each(|part| collect_fields(part, names)),
        _ => {}
    }
}

/// Everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;
    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

impl Log {
    /// Takes down whatever this process logs from now on.
    fn begin() -> Log {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_ansi(false);
        subscriber.with_writer(log.clone()).init();
        log
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("UTF-8")
    }
}

/// A secret of nobody, which is in no answer for a good reason; and the fields it is put into alone. Each
/// field has its turn with one of them.
struct Canary {
    secret: String,
    fields: Vec<&'static str>,
}

impl Canary {
    /// Whether it can be told from other texts.
    fn has_a_form(&self) -> bool {
        self.secret != PASSWORD
    }
}

fn canaries() -> Vec<Canary> {
    let secrets = secrets();
    let count = secrets.len();
    let of = |(n, secret)| Canary {
        secret,
        fields: FIELDS.iter().skip(n).step_by(count).copied().collect(),
    };
    secrets.into_iter().enumerate().map(of).collect()
}

/// One of each kind.
fn secrets() -> Vec<String> {
    let kinds = [Kind::SecretKey, Kind::AdminKey, Kind::RefreshToken, Kind::ControlToken];
    let mut secrets: Vec<_> =
        kinds.iter().map(|kind| kind.secret([7; 32]).expose().to_owned()).collect();
    let claims = serde_json::from_value(json!({
        "iss": "http://elsewhere.test", "aud": SOLUTION, "sub": CUSTOMER, "jti": "tok_canary",
        "iat": 1_800_000_000, "exp": 1_900_000_000, "tier": "pro",
    }));
    let token = jwt::sign(&test_keys(), &claims.expect("claims"));
    secrets.push(token.expose().to_owned());
    secrets.push(PASSWORD.to_owned());
    secrets
}

/// Bodies with a secret in every place there is.
fn bodies(Canary { secret: canary, fields }: &Canary) -> Vec<String> {
    let all: Value = FIELDS.iter().map(|name| ((*name).to_owned(), json!(canary))).collect();
    let mut bodies = vec![
        canary.to_owned(),
        format!("\"{canary}"),
        format!("{{\"{canary}\": "),
        json!(canary).to_string(),
        json!([canary]).to_string(),
        json!({canary: canary}).to_string(),
        all.to_string(),
        json!({"event": all}).to_string(),
        json!({"producer": canary, "epoch": 0, "items": [{"number": 1, "event": all}]}).to_string(),
    ];
    for name in fields {
        bodies.push(json!({*name: canary}).to_string());
        bodies.push(json!({*name: {canary: canary}}).to_string());
        bodies.push(format!("{{\"{name}\": \"{canary}\", \"{name}\": \"{canary}\"}}"));
    }
    bodies
}

/// A call that is good but for what is put into it.
struct Call {
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Call {
    fn of(route: &Route, host: &str, credential: &str) -> Call {
        let headers = [("host", host), ("content-type", "application/json")];
        let mut headers: Vec<_> = headers.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        if !credential.is_empty() {
            headers.push(("authorization".to_owned(), format!("Bearer {credential}")));
        }
        Call {
            method: route.method.to_owned(),
            uri: concrete(route.path),
            headers,
            body: "{}".to_owned(),
        }
    }

    fn with_header(mut self, name: &str, value: String) -> Call {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value));
        self
    }

    /// What is answered, with the headers and with what the server thinks of it.
    async fn make(self, router: &Router) -> String {
        let mut request = Request::builder().method(&*self.method).uri(&self.uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(self.body)).expect("a request");
        let Ok(response) = router.clone().oneshot(request).await;
        let failure = format!("{:?}", response.extensions().get::<Failure>());
        let headers = format!("{:?}", response.headers());
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        format!("{failure}\n{headers}\n{}", String::from_utf8_lossy(&body))
    }
}

/// The calls that a secret is put into: each place once.
fn calls(route: &Route, host: &str, credential: &str, canary: &Canary) -> Vec<Call> {
    let bodies = bodies(canary);
    let Canary { secret: canary, fields } = canary;
    let call = || Call::of(route, host, credential);
    let mut calls = vec![
        Call { method: canary.replace(['.', '='], "-"), ..call() },
        Call { uri: format!("{}/{canary}", concrete(route.path)), ..call() },
        Call { uri: format!("/{canary}?{canary}"), ..call() },
    ];
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let uri = format!("{}?{canary}={canary}", concrete(route.path));
        calls.push(Call { method: method.to_string(), uri, ..call() });
    }
    for name in fields {
        let uri = format!("{}?{name}={canary}&{name}={canary}", concrete(route.path));
        calls.push(Call { uri, ..call() });
        let uri = format!("{}?{name}={canary}", concrete(route.path));
        calls.push(Call { uri, ..call() });
    }
    let in_path = route.path.split('/').filter(|part| part.starts_with('{'));
    calls.extend(
        in_path.map(|part| Call { uri: concrete(&route.path.replace(part, canary)), ..call() }),
    );
    for name in [
        "accept",
        "accept-encoding",
        "authorization",
        "cloudnestle-solution",
        "cloudnestle-version",
        "content-encoding",
        "content-type",
        "cookie",
        "forwarded",
        "host",
        "idempotency-key",
        "if-none-match",
        "origin",
        "proxy-authorization",
        "referer",
        "user-agent",
        "x-api-key",
        "x-forwarded-for",
        "access-control-request-method",
        "access-control-request-headers",
    ] {
        calls.push(call().with_header(name, canary.clone()));
    }
    // An id and a test's name are the caller's to choose, and told everywhere; but what looks like a
    // secret is none.
    if canary.contains(['_', '.']) {
        calls.push(call().with_header("x-request-id", canary.clone()));
        calls.push(call().with_header("cloudnestle-test", canary.clone()));
    }
    for scheme in ["Bearer", "bearer", "Basic", "DPoP"] {
        calls.push(call().with_header("authorization", format!("{scheme} {canary}")));
    }
    let takes_a_body = route.shape().body.is_some();
    let bodies = bodies.into_iter().take(if takes_a_body { usize::MAX } else { 1 });
    calls.extend(bodies.map(|body| Call { body, ..call() }));
    calls
}

/// The journal has no secret, however one asks for it. Answers how often it was asked.
async fn look_through_the_journal(server: &MockServer, router: &Router, secret: &str) -> usize {
    let calls = server.find(&Search::default());
    assert!(!calls.is_empty());
    for call in &calls {
        let shown = format!("{call:?}\n{}", serde_json::to_string(call).expect("JSON"));
        assert!(!shown.contains(secret), "{shown}");
        let words = shown.split(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c));
        let looks_secret = |word: &&str| word.starts_with("eyJ") || word.contains("_test_");
        assert_eq!(words.filter(looks_secret).collect::<Vec<_>>(), [""; 0], "{shown}");
    }
    assert_eq!(server.find(&Search::default().body_contains(secret)), []);
    let first = calls.first().map_or(0, |call| call.entry.seq);
    let paths = ["?bodies=true".to_owned(), "?body~=test".to_owned(), format!("/{first}")];
    for path in &paths {
        let call = Call {
            method: "GET".to_owned(),
            uri: format!("/mock/journal{path}"),
            headers: vec![
                ("host".to_owned(), server.address().to_string()),
                ("authorization".to_owned(), format!("Bearer {}", server.control_token().expose())),
            ],
            body: String::new(),
        };
        let heard = call.make(router).await;
        assert!(heard.contains("entries") || heard.contains("request_id"), "{heard}");
        assert!(!heard.contains(secret), "{heard}");
    }
    assert!(!format!("{:?}", server.market.world).contains(secret));
    paths.len()
}

/// A server that refuses nobody for calling too often.
async fn start() -> (MockServer, Router) {
    let server = MockServer::start().await.expect("a server");
    for callers in Callers::ALL {
        server.set_rate_limit(callers, RateLimit::per_second(u32::MAX));
    }
    let router = router(server.market.clone());
    (server, router)
}

/// Good credentials for a call, if it takes any.
async fn credential(server: &MockServer, route: &Route) -> String {
    let secret = match route.callers.first() {
        None => return String::new(),
        Some(Credential::SecretKey) => server.secret_key(SOLUTION).expect("a key"),
        Some(Credential::PublishableKey) => server.solutions()[0].publishable_key.clone(),
        Some(Credential::AdminKey) => server.admin_key(),
        Some(Credential::Session) => server.session(CUSTOMER).await.expect("a session"),
        Some(Credential::SolutionToken) => {
            server.token_pair(CUSTOMER, SOLUTION).await.expect("a pair").access_token
        }
        Some(Credential::ControlToken) => server.control_token().clone(),
    };
    secret.expose().to_owned()
}

/// Set for a process that plays one test.
const ALONE: &str = "CLOUDNESTLE_TEST_ALONE";

/// Plays a test of this file in a process of its own.
fn alone(name: &str, test: impl Future<Output = ()>) {
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        return runtime.expect("a runtime").block_on(test);
    }
    let (_, module) = module_path!().split_once("::").expect("a module of the crate");
    let mut process = Command::new(std::env::current_exe().expect("this program"));
    let arguments = ["--exact", &format!("{module}::{name}"), "--nocapture"];
    let output = process.args(arguments).env(ALONE, "1").output().expect("a process");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_secret_in_the_wrong_place_goes_nowhere() {
    alone("a_secret_in_the_wrong_place_goes_nowhere", put_secrets_everywhere());
}

async fn put_secrets_everywhere() {
    let log = Log::begin();
    let (mut secrets, mut made) = (secrets(), 0);
    for canary in canaries() {
        let (server, router) = start().await;
        let host = server.address().to_string();
        for (group, routes) in groups() {
            for route in &routes {
                let credential = credential(&server, route).await;
                for call in calls(route, &host, &credential, &canary) {
                    let said =
                        format!("{} {} {:?} {}", call.method, call.uri, call.headers, call.body);
                    let heard = call.make(&router).await;
                    assert!(!heard.contains(&canary.secret), "{said}\n{heard}");
                    made += 1;
                }
                secrets.extend(Some(credential).filter(|it| !it.is_empty()));
            }
            // Before the calls of the next group forget it. A password has no form to be known by: it is
            // taken out where a name tells.
            if group == MARKETPLACE && canary.has_a_form() {
                made += look_through_the_journal(&server, &router, &canary.secret).await;
            }
        }
    }

    let log = log.text();
    assert_eq!(log.lines().filter(|line| line.contains(" micros=")).count(), made);
    for secret in secrets {
        assert_eq!(log.lines().find(|line| line.contains(&secret)), None);
    }
    let words = log.split(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c));
    let looks_secret = |word: &&str| word.starts_with("eyJ") || word.contains("_test_");
    assert_eq!(words.filter(looks_secret).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn what_a_panic_says_is_neither_logged_nor_answered() {
    alone("what_a_panic_says_is_neither_logged_nor_answered", panic_over_a_secret());
}

async fn panic_over_a_secret() {
    let log = Log::begin();
    let server = MockServer::start().await.expect("a server");
    let router = Router::new()
        .route("/panics", get(async || -> () { panic!("over correct-horse-battery-staple") }))
        .layer(from_fn(layers::guard))
        .layer(from_fn_with_state(server.market.clone(), layers::frame));
    let call = Call {
        method: "GET".to_owned(),
        uri: "/panics".to_owned(),
        headers: Vec::new(),
        body: String::new(),
    };
    let heard = call.make(&router).await;
    assert!(heard.contains("\"internal\""), "{heard}");
    let log = log.text();
    assert!(log.contains("panicked"), "{log}");
    assert!(!heard.contains("battery") && !log.contains("battery"), "{heard}\n{log}");
}
