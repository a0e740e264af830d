//! What answers by repeating what it was sent, as a proxy does that explains a refusal.

use std::time::Duration;

use super::stage::Stage;
use cloudnestle_marketplace::{Error, Result, UsageFilter, ValidationMode};
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, Request, ResponseTemplate};

/// The request, whole, in every field of a problem, and a lot of it.
fn repeated(request: &Request) -> ResponseTemplate {
    let headers = request.headers.iter().map(|(name, value)| format!("{name}: {value:?}\n"));
    let (headers, body): (String, _) = (headers.collect(), String::from_utf8_lossy(&request.body));
    let all = format!("\u{1b}[31m{} {headers}\n{body}", request.url).repeat(100);
    let problem = json!({ "code": "forbidden", "title": all, "detail": all, "request_id": all,
        "doc_url": all, "field": all });
    ResponseTemplate::new(403).set_body_json(problem)
}

/// Cut out of the middle, and in no field that is expected.
fn repeated_in_part(request: &Request) -> ResponseTemplate {
    let body = String::from_utf8_lossy(&request.body);
    let key = request.headers.get("authorization").map(|value| value.to_str().unwrap());
    let (key, body) = (key.unwrap_or_default(), body.chars().rev().skip(9).take(60));
    let body: String = body.collect::<Vec<_>>().into_iter().rev().collect();
    let key: String = key.chars().take(40).collect();
    ResponseTemplate::new(422)
        .set_body_json(json!({ "code": "request_invalid", "detail": format!("{body} {key}") }))
}

/// The errors of every call there is.
async fn errors(stage: &Stage) -> Vec<(&'static str, Error)> {
    fn failed<T>(result: Result<T>) -> Error {
        result.err().expect("the echo says no")
    }
    let (sdk, token) = (stage.sdk(), stage.token.as_str());
    let online = stage.builder().validation(ValidationMode::Online).build().unwrap();
    let local = stage.local().build().unwrap();
    let code = "cnlc_test_0123456789abcdefghijklmnopqrstuvwxyz";
    let verifier = "verifier-0123456789-0123456789-0123456789-0123456789";
    local.track_usage(token, "search").await.unwrap();
    let mut events = sdk.usage_events("cus_asha", UsageFilter::all());
    vec![
        ("validate_user", failed(sdk.validate_user(token).await)),
        ("validate_user online", failed(online.validate_user(token).await)),
        ("get_user_context", failed(sdk.get_user_context(token).await)),
        ("flush", failed(local.flush().await)),
        ("exchange_code", failed(sdk.exchange_code(code, Some(verifier)).await)),
        ("create_visitor", failed(sdk.create_visitor().await)),
        ("refresh", failed(sdk.refresh(&stage.pair).await)),
        (
            "keep_fresh",
            failed(sdk.keep_fresh(stage.pair.clone()).replace(&stage.pair.access_token).await),
        ),
        ("revoke_token", failed(sdk.revoke_token(token).await)),
        ("quotas", failed(sdk.quotas("cus_asha").await)),
        ("usage_events", failed(events.next().await.expect("a list says why it has no entries"))),
    ]
}

#[tokio::test]
async fn what_repeats_its_questions_puts_no_secret_into_an_error_whatever_was_asked() {
    for repeat in [repeated, repeated_in_part] {
        let stage = Stage::set().await;
        Mock::given(any()).respond_with(repeat).mount(&stage.marketplace).await;
        let pieces = |secret: &str| {
            let secret = secret.chars().collect::<Vec<_>>();
            let pieces = secret.windows(16).map(|piece| piece.iter().collect::<String>());
            pieces.collect::<Vec<_>>()
        };
        let secrets = [
            stage.secret_key.as_str(),
            &stage.token,
            stage.pair.refresh_token.expose(),
            "cnlc_test_0123456789abcdefghijklmnopqrstuvwxyz",
            "verifier-0123456789-0123456789-0123456789-0123456789",
        ];
        let pieces: Vec<_> = secrets.into_iter().flat_map(pieces).collect();

        for (call, error) in errors(&stage).await {
            let (id, field) = (error.request_id(), error.field());
            let printed = format!("{error} {error:?} {id:?} {field:?} {}", error.docs_url());
            for piece in &pieces {
                assert!(!printed.contains(piece), "{call}: {printed}");
            }
            assert!(printed.chars().count() < 5_000, "{call}: {}", printed.len());
            assert!(!printed.chars().any(char::is_control), "{call}: {printed}");
        }
    }
}

#[tokio::test]
async fn what_an_answer_says_of_a_call_is_still_there_without_the_secret() {
    let stage = Stage::set().await;
    let said = json!({ "code": "credential_invalid", "request_id": "req_1",
        "detail": format!("The key {} ended yesterday.", stage.secret_key) });
    stage.answers("/api/generate-token", ResponseTemplate::new(401).set_body_json(said)).await;
    let sdk = stage.builder().deadline(Duration::from_secs(5)).build().unwrap();
    let error = sdk.create_visitor().await.unwrap_err();
    let words = "credential_invalid: The key [redacted] ended yesterday. [request req_1]";
    assert_eq!(error.to_string(), words);
}
