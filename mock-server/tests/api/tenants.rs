//! Nobody gets at what is another's: every call of the API, by every kind of caller, about everybody
//! it is not theirs to ask about.
//!
//! The calls are those of the OpenAPI document. A new one has no line in [`aims`], and fails the test
//! until it has.

use std::collections::BTreeSet;

use cloudnestle_marketplace::model::TokenPair;
use cloudnestle_mock_server::MockServer;
use serde_json::{Value, json};

use super::common::*;

const CUSTOMERS: [&str; 2] = ["cus_ravi", "cus_asha"];
const SOLUTIONS: [&str; 2] = [FAISS, NOTES];

/// The last call of [`aims`] that leaves tokens as they are.
const LAST_HARMLESS: &str = "DELETE /api/sessions";

/// A customer of a solution, and what nobody else may learn or change.
struct Target {
    customer: &'static str,
    solution: &'static str,
    pair: TokenPair,
    token_id: String,
    /// How much was used: a number that nothing else here has.
    used: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    SecretKey(&'static str),
    PublishableKey(&'static str),
    Session(&'static str),
    Token(&'static str, &'static str),
    Admin,
    Control,
    Nobody,
}

/// What a call is about.
enum Aim {
    /// About whom its path or this body names.
    At(fn(&Target) -> Value),
    /// So, unless one of these calls, who speak for themselves alone.
    AtUnless(fn(Role) -> bool, fn(&Target) -> Value),
    /// About a code that was given out to the target.
    AtCode,
    /// About the caller alone, whatever this body says.
    Own(fn(&Target) -> Value),
}

/// Each call of the API: what it is about, and the target's data put where it takes any.
fn aims() -> Vec<(&'static str, Aim)> {
    use Aim::*;
    vec![
        ("GET /api/user-context", Own(|_| Value::Null)),
        ("GET /api/user-solutions", Own(|_| Value::Null)),
        ("GET /api/revocations", Own(|_| Value::Null)),
        ("GET /api/usage/{customer_id}?solution_id={solution_id}", At(|_| Value::Null)),
        ("GET /api/usage/{customer_id}/events?solution_id={solution_id}", At(|_| Value::Null)),
        ("GET /api/quotas/{customer_id}/{solution_id}", At(|_| Value::Null)),
        (
            "POST /api/quotas/{customer_id}/{solution_id}/consume",
            At(
                |target| json!({"id": event_id("spent", target), "token_id": target.token_id, "action": action(target.solution)}),
            ),
        ),
        ("POST /api/track-usage", At(|target| json!({"event": usage(target, "sent", 7)}))),
        ("POST /api/validate-token", At(|target| json!({"token": target.pair.access_token}))),
        ("DELETE /api/revoke-token", At(|target| json!({"token": target.pair.access_token}))),
        (
            "PUT /api/user-tier",
            At(
                |target| json!({"customer_id": target.customer, "solution_id": target.solution, "tier": "enterprise"}),
            ),
        ),
        (
            "POST /api/reset-quota",
            At(|target| json!({"customer_id": target.customer, "solution_id": target.solution})),
        ),
        (
            "POST /api/generate-token",
            AtUnless(is_session, |target| json!({"solution_id": target.solution})),
        ),
        ("POST /api/exchange-code", AtCode),
        ("POST /api/launches", Own(|target| json!({"solution_id": target.solution}))),
        ("POST /api/user-solutions", Own(|target| json!({"solution_id": target.solution}))),
        (
            "POST /api/refresh-token",
            Own(|target| json!({"refresh_token": target.pair.access_token})),
        ),
        (
            "POST /api/users",
            Own(|_| json!({"email": "asha@example.com", "password": "a guess at it"})),
        ),
        (
            "POST /api/users/convert",
            Own(|_| json!({"email": "asha@example.com", "password": "a guess at it"})),
        ),
        (
            "POST /api/sessions",
            Own(|_| json!({"email": "asha@example.com", "password": "a guess at it"})),
        ),
        ("POST /api/secret-keys/rotate", Own(|_| json!({}))),
        // These end what is the caller's own, so they come last.
        ("DELETE /api/sessions", Own(|_| Value::Null)),
        ("DELETE /api/revoke-user", Own(|target| json!({"customer_id": target.customer}))),
    ]
}

fn is_session(role: Role) -> bool {
    matches!(role, Role::Session(_))
}

fn action(solution: &str) -> &'static str {
    if solution == FAISS { "search" } else { "note" }
}

/// An id that no other target's event has.
fn event_id(what: &str, target: &Target) -> String {
    format!("{what}_{}", target.token_id)
}

fn usage(target: &Target, what: &str, quantity: u64) -> Value {
    let claims = claims(&target.pair.access_token);
    let at = cloudnestle_marketplace::model::Timestamp::from_numeric_date(claims.iat);
    json!({
        "id": event_id(what, target), "customer_id": target.customer, "token_id": target.token_id,
        "action": action(target.solution), "quantity": quantity, "occurred_at": at,
    })
}

impl Role {
    fn all() -> Vec<Role> {
        let mut roles = vec![Role::Admin, Role::Control, Role::Nobody];
        roles.extend(
            SOLUTIONS.iter().flat_map(|it| [Role::SecretKey(it), Role::PublishableKey(it)]),
        );
        for customer in CUSTOMERS {
            roles.push(Role::Session(customer));
            roles.extend(SOLUTIONS.map(|solution| Role::Token(customer, solution)));
        }
        roles
    }

    /// Whether the target is this role's to ask about.
    fn owns(self, target: &Target) -> bool {
        match self {
            Role::SecretKey(solution) | Role::PublishableKey(solution) => {
                solution == target.solution
            }
            Role::Session(customer) => customer == target.customer,
            Role::Token(customer, solution) => {
                customer == target.customer && solution == target.solution
            }
            Role::Admin => true,
            Role::Control | Role::Nobody => false,
        }
    }

    /// What of a target this role must not read, although it may ask about somebody.
    fn secrets(self, target: &Target) -> Vec<String> {
        let mut secrets = vec![
            target.token_id.clone(),
            target.pair.access_token.expose().to_owned(),
            target.pair.refresh_token.expose().to_owned(),
            target.used.to_string(),
        ];
        let is_their_own =
            matches!(self, Role::Session(it) | Role::Token(it, _) if it == target.customer);
        if !is_their_own {
            secrets.push(name(target.customer).to_owned());
        }
        secrets
    }

    /// A fresh one, for some calls end it.
    async fn credential(self, server: &TestServer) -> String {
        let solution = |id: &str| {
            server.solutions().into_iter().find(|it| it.id == id).expect("a solution of the world")
        };
        let secret = match self {
            Role::SecretKey(id) => solution(id).secret_key,
            Role::PublishableKey(id) => solution(id).publishable_key,
            Role::Session(customer) => server.session(customer).await.expect("a session"),
            Role::Token(customer, solution) => server.pair(customer, solution).await.access_token,
            Role::Admin => server.admin_key(),
            Role::Control => server.control_token().clone(),
            Role::Nobody => return String::new(),
        };
        secret.expose().to_owned()
    }
}

fn name(customer: &str) -> &'static str {
    if customer == "cus_asha" { "Asha Nair" } else { "Ravi Kulkarni" }
}

/// Where the solution's pages are from, in the built-in world.
fn origin(solution: &str) -> &'static str {
    if solution == FAISS { "http://localhost:3000" } else { "http://localhost:3002" }
}

async fn call(
    server: &TestServer,
    operation: &str,
    role: Role,
    target: &Target,
    body: Value,
) -> Answer {
    let path = operation.replace("{customer_id}", target.customer);
    let mut request = server.request(&path.replace("{solution_id}", target.solution));
    let credential = role.credential(server).await;
    if !credential.is_empty() {
        request = request.bearer_auth(credential);
    }
    if let Role::PublishableKey(solution) = role {
        request = request.header("origin", origin(solution));
    }
    if !body.is_null() {
        request = request.json(&body);
    }
    answer(request).await.expect("an answer")
}

impl Aim {
    /// Whether a call by this role is about the target.
    fn is_at(&self, role: Role) -> bool {
        match self {
            Aim::At(_) | Aim::AtCode => true,
            Aim::AtUnless(is_free, _) => !is_free(role),
            Aim::Own(_) => false,
        }
    }

    async fn body(&self, server: &TestServer, target: &Target) -> Value {
        match self {
            Aim::At(body) | Aim::AtUnless(_, body) | Aim::Own(body) => body(target),
            Aim::AtCode => {
                let session = server.session(target.customer).await.expect("a session");
                let body = json!({"solution_id": target.solution});
                let launch = server.call("POST /api/launches", &session, body).await;
                let url = launch.body["redirect_url"].as_str().expect("a URL").to_owned();
                let code = url.split("code=").nth(1).and_then(|rest| rest.split('&').next());
                json!({"code": code.expect("a code")})
            }
        }
    }
}

/// A refusal of the whole call, or a 200 that says no.
fn is_refused(answer: &Answer) -> bool {
    let body = &answer.body;
    let all_rejected = body["results"]
        .as_array()
        .is_some_and(|results| results.iter().all(|result| result["status"] == "rejected"));
    matches!(answer.status, 401 | 403 | 404)
        || body["valid"] == false
        || body["allowed"] == false
        || all_rejected
}

async fn targets(server: &TestServer) -> Vec<Target> {
    let mut targets = Vec::new();
    for (n, customer) in CUSTOMERS.into_iter().enumerate() {
        for (m, solution) in SOLUTIONS.into_iter().enumerate() {
            let pair = server.pair(customer, solution).await;
            let token_id = claims(&pair.access_token).jti;
            let used = 7_000_123 + 20_000 * n as u64 + 3_000 * m as u64;
            let target = Target { customer, solution, pair, token_id, used };
            let body = json!({"event": usage(&target, "first", used)});
            let tracked = server.call("POST /api/track-usage", &server.key(solution), body).await;
            assert_eq!(statuses(&tracked), ["accepted"]);
            targets.push(target);
        }
    }
    targets
}

/// What only the target's own solution is told of it.
async fn state(server: &TestServer, target: &Target) -> Value {
    let body = json!({"token": target.pair.access_token});
    let user =
        server.call("POST /api/validate-token", &server.key(target.solution), body).await.body;
    assert_eq!(user["valid"], true, "{user}");
    assert!(user.to_string().contains(&target.used.to_string()), "{user}");
    user
}

#[test]
fn every_call_of_the_api_is_aimed() {
    let document = MockServer::openapi()["paths"].as_object().expect("paths");
    let of_api = document.iter().filter(|(path, _)| path.starts_with("/api/"));
    let described: BTreeSet<_> = of_api
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys();
            methods.map(move |method| format!("{} {path}", method.to_ascii_uppercase()))
        })
        .collect();
    let call = |aim: &(&str, Aim)| aim.0.split('?').next().unwrap_or_default().to_owned();
    let aimed: BTreeSet<_> = aims().iter().map(call).collect();
    assert_eq!(aimed, described, "say in `aims` what a new call is about");
}

#[tokio::test]
async fn nobody_reads_or_changes_what_is_anothers() {
    for server in both().await {
        for callers in ["key", "token", "open", "sign_in"] {
            let limit = json!({"callers": callers, "per_second": 1_000_000, "burst": 1_000_000});
            assert_eq!(server.control("POST /mock/rate-limits", limit).await.status, 200);
        }
        let targets = targets(&server).await;
        let mut before = Vec::new();
        for target in &targets {
            before.push(state(&server, target).await);
        }
        let (mut asked, mut leaks) = (0, Vec::new());
        for (operation, aim) in aims() {
            for role in Role::all() {
                for target in targets.iter().filter(|target| !role.owns(target)) {
                    let body = aim.body(&server, target).await;
                    let answer = call(&server, operation, role, target, body).await;
                    asked += 1;
                    let text = answer.body.to_string();
                    let told = role.secrets(target).iter().any(|secret| text.contains(secret));
                    let is_done = aim.is_at(role) && !is_refused(&answer);
                    if told || is_done || answer.status >= 500 {
                        let whose = format!("{} of {}", target.customer, target.solution);
                        leaks.push(format!("{operation} by {role:?} about {whose}: {answer:?}"));
                    }
                }
            }
            // What comes after ends tokens, as it may: those of the caller's own solution.
            if operation == LAST_HARMLESS {
                for (target, before) in targets.iter().zip(&before) {
                    assert_eq!(state(&server, target).await, *before);
                }
            }
        }
        assert!(leaks.is_empty(), "{leaks:#?}");
        assert!(asked > 500, "{asked}");
    }
}

#[tokio::test]
async fn a_solution_ends_a_customers_tokens_for_itself_alone() {
    let server = in_memory().await;
    let targets = targets(&server).await;
    let body = json!({"customer_id": "cus_asha"});
    let ended = server.call("DELETE /api/revoke-user", &server.key(FAISS), body).await;
    assert!(ended.status < 300, "{ended:?}");
    for target in &targets {
        let body = json!({"token": target.pair.access_token});
        let verdict =
            server.call("POST /api/validate-token", &server.key(target.solution), body).await;
        let is_theirs = (target.customer, target.solution) == ("cus_asha", FAISS);
        assert_eq!(verdict.body["valid"], !is_theirs, "{} of {}", target.customer, target.solution);
    }
}

/// Without this the matrix would prove nothing: what is refused to others is done for the owner.
#[tokio::test]
async fn what_is_refused_to_others_is_done_for_its_owner() {
    let server = in_memory().await;
    for (operation, aim) in aims() {
        let mut is_done = false;
        for target in targets(&server).await {
            for role in Role::all().into_iter().filter(|role| role.owns(&target)) {
                let body = aim.body(&server, &target).await;
                let answer = call(&server, operation, role, &target, body).await;
                is_done |= aim.is_at(role) && answer.status < 300 && !is_refused(&answer);
            }
        }
        let is_aimed = !matches!(aim, Aim::Own(_));
        assert!(is_done || !is_aimed, "{operation} is done for nobody");
    }
}
