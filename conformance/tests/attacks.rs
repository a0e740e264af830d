//! The attacks on tokens, played against the marketplace and the SDK: nobody takes any.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudnestle_conformance::attacks::{Attack, Genuine};
use cloudnestle_marketplace::model::Secret;
use cloudnestle_marketplace::{Code, MarketplaceSdk, ValidationMode};
use cloudnestle_mock_server::MockServer;
use serde_json::{Value, json};

const SOLUTION: &str = "sol_faiss_search";

/// A part of a token, as JSON.
fn part(token: &Secret, place: usize) -> Value {
    let part = token.expose().split('.').nth(place).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

/// The attacks that can be made of a token of this server.
async fn attacks_on(server: &MockServer, token: &Secret, http: &reqwest::Client) -> Vec<Attack> {
    let jwks = http.get(format!("{}/.well-known/jwks.json", server.url())).send().await;
    let jwks: Value = jwks.expect("an answer").json().await.expect("JSON");
    let header = part(token, 0);
    let kid = header["kid"].as_str().expect("a name");
    let keys = jwks["keys"].as_array().expect("keys");
    let key = keys.iter().find(|key| key["kid"] == kid).expect("the key is published");
    let public_key = URL_SAFE_NO_PAD.decode(key["x"].as_str().expect("a key")).expect("base64");
    let genuine = Genuine {
        claims: part(token, 1),
        typ: header["typ"].as_str().expect("a type"),
        kid,
        public_key: &public_key,
        sign: &|text| server.sign(text),
    };
    assert_eq!(part(&Secret::new(genuine.token()), 1), part(token, 1));
    let mut attacks = genuine.attacks();
    assert!(attacks.len() > 350, "{}", attacks.len());
    attacks.extend(others(server, token).await);
    attacks
}

/// Tokens that are good, elsewhere or for something else.
async fn others(server: &MockServer, token: &Secret) -> Vec<Attack> {
    let elsewhere = MockServer::start().await.expect("a server");
    let pair = server.token_pair("cus_ravi", SOLUTION).await.expect("a pair");
    let others = [
        (
            "a token of another marketplace",
            elsewhere.token_pair("cus_ravi", SOLUTION).await.expect("a pair").access_token,
        ),
        (
            "a session of another marketplace",
            elsewhere.session("cus_ravi").await.expect("a session"),
        ),
        ("a session", server.session("cus_ravi").await.expect("a session")),
        ("an access token", pair.access_token),
        ("a refresh token", pair.refresh_token),
        ("a secret key", server.secret_key(SOLUTION).expect("a key")),
        ("an admin key", server.admin_key()),
        ("a control token", server.control_token().clone()),
    ];
    let same_type =
        |other: &Secret| other.expose().starts_with("eyJ") && part(other, 0) == part(token, 0);
    let others = others.into_iter().filter(|(_, other)| !same_type(other));
    others
        .map(|(name, other)| Attack { name: name.to_owned(), token: other.expose().to_owned() })
        .collect()
}

async fn server() -> (MockServer, reqwest::Client) {
    // Another test of this process may have done so already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    (MockServer::start().await.expect("a server"), reqwest::Client::new())
}

#[tokio::test]
async fn the_marketplace_takes_no_forged_token() {
    let (server, http) = server().await;
    let token = server.token_pair("cus_ravi", SOLUTION).await.expect("a pair").access_token;
    let key = server.secret_key(SOLUTION).expect("a key");
    let validate = async |token: &str| {
        let request = http.post(format!("{}/api/validate-token", server.url()));
        let request = request.bearer_auth(key.expose()).json(&json!({"token": token}));
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.expect("JSON")
    };
    let context = async |token: &str| {
        let request = http.get(format!("{}/api/user-context", server.url()));
        Some(request.bearer_auth(token).send().await.ok()?.status().as_u16())
    };
    assert_eq!(validate(token.expose()).await["valid"], true);
    assert_eq!(context(token.expose()).await, Some(200));

    let mut taken = Vec::new();
    for Attack { name, token } in attacks_on(&server, &token, &http).await {
        let verdict = validate(&token).await;
        let code = Code::from_name(verdict["code"].as_str().unwrap_or_default());
        if verdict["valid"] != false || !code.refuses_user() || verdict["user"] != Value::Null {
            taken.push(format!("validate-token: {name}: {verdict}"));
        }
        // Around a credential, spaces are the header's, and some attacks can't be in one at all. For
        // whom a token is, only a solution asks.
        if token.trim() == token
            && !name.starts_with("aud is")
            && let Some(status @ (0..=400 | 402 | 404..)) = context(&token).await
        {
            taken.push(format!("user-context: {name}: {status}"));
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
}

#[tokio::test]
async fn the_marketplace_takes_no_forged_session() {
    let (server, http) = server().await;
    let session = server.session("cus_ravi").await.expect("a session");
    let open = async |session: &str| {
        let request = http.post(format!("{}/api/generate-token", server.url()));
        let request = request.bearer_auth(session).json(&json!({"solution_id": SOLUTION}));
        Some(request.send().await.ok()?.status().as_u16())
    };
    assert_eq!(open(session.expose()).await, Some(200));
    let mut taken = Vec::new();
    for Attack { name, token } in attacks_on(&server, &session, &http).await {
        // A secret key is no forgery here: it opens the solution for a new visitor.
        if token.trim() == token
            && name != "a secret key"
            && let Some(status @ (0..=400 | 402 | 404..)) = open(&token).await
        {
            taken.push(format!("{name}: {status}"));
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
}

#[tokio::test]
async fn the_sdk_takes_no_forged_token_in_any_mode() {
    let (server, http) = server().await;
    let token = server.token_pair("cus_ravi", SOLUTION).await.expect("a pair").access_token;
    let attacks = attacks_on(&server, &token, &http).await;
    for mode in [ValidationMode::Local, ValidationMode::Connected, ValidationMode::Online] {
        let sdk = MarketplaceSdk::builder()
            .url(server.url())
            .secret_key(server.secret_key(SOLUTION).expect("a key"))
            .solution(SOLUTION)
            .spool_in_memory()
            .validation(mode)
            .build()
            .expect("an SDK");
        assert!(sdk.validate_user(token.expose()).await.is_ok(), "{mode:?}");
        let mut taken = Vec::new();
        for Attack { name, token } in &attacks {
            match sdk.validate_user(token).await {
                Err(error) if error.code().refuses_user() => {}
                other => taken.push(format!("{name}: {other:?}")),
            }
            // Nor may anything be counted in its name.
            if sdk.track_usage(token, "search").await.is_ok() {
                taken.push(format!("usage: {name}"));
            }
        }
        assert!(taken.is_empty(), "{mode:?}: {taken:#?}");
        assert_eq!(sdk.stats().usage.tracked, 0, "{mode:?}");
        sdk.close(Duration::from_secs(2)).await;
    }
}
