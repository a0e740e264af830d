//! What `diagnose` says of the mistakes people make.

use std::time::Duration;

use cloudnestle_marketplace::{Builder, Check, Code, Diagnosis, Finding, MarketplaceSdk, Severity};
use cloudnestle_mock_server::{Fault, MockServer};
use serde_json::json;
use wiremock::matchers::path;
use wiremock::{Mock, Request, ResponseTemplate};

const SOLUTION: &str = "sol_faiss_search";
const CANARY: &str = "cnsk_test_canary0123456789";

fn builder(server: &MockServer) -> Builder {
    let key = server.secret_key(SOLUTION).unwrap();
    let builder = MarketplaceSdk::builder().url(server.url()).secret_key(key);
    builder.solution(SOLUTION).spool_in_memory()
}

async fn diagnose(builder: Builder) -> Diagnosis {
    builder.build().unwrap().diagnose().await
}

fn finding(diagnosis: &Diagnosis, check: Check) -> &Finding {
    diagnosis.findings.iter().find(|finding| finding.check == check).unwrap()
}

/// The one thing that is wrong.
#[track_caller]
fn only_bad(diagnosis: &Diagnosis) -> &Finding {
    let bad = diagnosis.findings.iter().filter(|finding| finding.severity == Severity::Bad);
    let [bad] = &bad.collect::<Vec<_>>()[..] else { panic!("{diagnosis}") };
    assert!(bad.advice.is_some(), "{diagnosis}");
    bad
}

#[tokio::test]
async fn a_program_that_is_set_up_well_is_told_so_about_everything() {
    let server = MockServer::start().await.unwrap();
    let diagnosis = diagnose(builder(&server)).await;
    assert_eq!(diagnosis.severity(), Severity::Good, "{diagnosis}");
    let checks: Vec<_> = diagnosis.findings.iter().map(|finding| finding.check).collect();
    use Check::*;
    assert_eq!(checks, [Reach, Version, Clock, Keys, Issuer, SecretKey, Feed, Spool]);
}

#[tokio::test]
async fn usage_for_another_address_of_the_marketplace_is_not_passed_over_in_silence() {
    let (here, elsewhere) =
        (MockServer::start().await.unwrap(), MockServer::start().await.unwrap());
    let spool = tempfile::tempdir().unwrap();
    let sdk = builder(&elsewhere).spool_dir(spool.path()).build().unwrap();
    let pair = elsewhere.token_pair("cus_asha", SOLUTION).await.unwrap();
    sdk.validate_user(pair.access_token.expose()).await.unwrap();
    elsewhere.set_outage(true);
    sdk.track_usage(pair.access_token.expose(), "search").await.unwrap();
    drop(sdk);

    let diagnosis = diagnose(builder(&here).spool_dir(spool.path())).await;
    let found = finding(&diagnosis, Check::Spool);
    assert_eq!(found.severity, Severity::Warning, "{diagnosis}");
    assert!(found.message.contains("another address"), "{diagnosis}");
}

#[tokio::test]
async fn an_issuer_that_is_spelt_otherwise_is_named_beside_the_expected_one() {
    let server = MockServer::start().await.unwrap();
    let other = server.url().replace("127.0.0.1", "localhost");
    let diagnosis = diagnose(builder(&server).issuer(&other)).await;
    let issuer = only_bad(&diagnosis);
    assert_eq!((issuer.check, issuer.code), (Check::Issuer, Some(Code::TokenWrongIssuer)));
    assert!(issuer.message.contains(&other) && issuer.message.contains(server.url()), "{issuer}");
}

#[tokio::test]
async fn a_key_is_told_from_that_of_another_solution_or_environment() {
    let server = MockServer::start().await.unwrap();
    let elsewhere = server.secret_key("sol_invoice_ocr").unwrap();
    for (key, code) in [
        (CANARY, Code::CredentialInvalid),
        (elsewhere.expose(), Code::CredentialWrongSolution),
        ("cnsk_live_canary0123456789", Code::CredentialLive),
    ] {
        let diagnosis = diagnose(builder(&server).secret_key(key)).await;
        let bad = only_bad(&diagnosis);
        assert_eq!((bad.check, bad.code), (Check::SecretKey, Some(code)));
    }
}

#[tokio::test]
async fn a_feed_that_cant_be_read_is_a_warning() {
    let server = MockServer::start().await.unwrap();
    server.inject(Fault::on("GET /api/revocations").status(404)).unwrap();
    let diagnosis = diagnose(builder(&server)).await;
    assert_eq!(diagnosis.severity(), Severity::Warning, "{diagnosis}");
    let feed = finding(&diagnosis, Check::Feed);
    assert_eq!((feed.severity, feed.code), (Severity::Warning, Some(Code::NotFound)));
}

#[tokio::test]
async fn where_nobody_listens_there_is_nothing_more_to_ask() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let builder = MarketplaceSdk::builder().url(url).secret_key(CANARY).solution(SOLUTION);
    let diagnosis = diagnose(builder.spool_in_memory()).await;
    let reach = only_bad(&diagnosis);
    assert_eq!((reach.check, reach.code), (Check::Reach, Some(Code::Unavailable)));
    assert!(reach.message.contains("refused"), "{reach}");
    assert_eq!(diagnosis.findings.len(), 2, "that and the spool: {diagnosis}");
}

#[tokio::test]
async fn a_name_without_an_address_is_told_from_a_server_that_is_down() {
    let url = "https://no-such-host.invalid"; // RFC 6761: never has one
    let builder = MarketplaceSdk::builder().url(url).secret_key(CANARY).solution(SOLUTION);
    let diagnosis = diagnose(builder.spool_in_memory()).await;
    assert!(only_bad(&diagnosis).message.contains("no address"), "{diagnosis}");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_a_warning_that_says_by_how_much() {
    let server = MockServer::start().await.unwrap();
    server.advance_clock(Duration::from_secs(3600)).await.unwrap();
    let diagnosis = diagnose(builder(&server)).await;
    let clock = finding(&diagnosis, Check::Clock);
    assert_eq!(clock.severity, Severity::Warning);
    assert!(clock.message.contains(" s behind "), "{clock}");
}

#[tokio::test]
async fn a_spool_that_cant_be_written_is_found_before_the_first_event() {
    let server = MockServer::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let diagnosis = diagnose(builder(&server).spool_dir(dir.path().join("file"))).await;
    let spool = only_bad(&diagnosis);
    assert_eq!((spool.check, spool.code), (Check::Spool, Some(Code::SpoolFailed)));
}

#[tokio::test]
async fn usage_that_waits_is_counted_and_the_reason_named() {
    let server = MockServer::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let sdk = builder(&server).spool_dir(dir.path()).build().unwrap();
    let pair = server.token_pair("cus_asha", SOLUTION).await.unwrap();
    let token = pair.access_token.expose();
    server.inject(Fault::on("POST /api/track-usage").status(401)).unwrap();
    sdk.track_usage(token, "search").await.unwrap();
    sdk.flush().await.unwrap_err();

    let diagnosis = sdk.diagnose().await;

    let spool = finding(&diagnosis, Check::Spool);
    assert_eq!((spool.severity, spool.code), (Severity::Warning, Some(Code::CredentialInvalid)));
    assert!(spool.message.starts_with("1 events wait in "), "{spool}");
    assert!(spool.message.contains("the oldest since 20"), "{spool}");
    let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let principal = names.collect::<Vec<_>>().pop().unwrap();
    assert_eq!(std::fs::read_dir(principal).unwrap().count(), 1, "nothing of it is left behind");
}

#[tokio::test]
async fn what_repeats_its_questions_is_not_quoted() {
    let echo = wiremock::MockServer::start().await;
    let repeat = |request: &Request| {
        let heard = request.headers.get("authorization").map(|value| value.to_str().unwrap());
        let said = json!({ "code": "credential_invalid", "detail": heard, "title": heard });
        ResponseTemplate::new(401).insert_header("cloudnestle-version", "x").set_body_json(said)
    };
    let keys = json!({ "keys": [{ "kid": "\u{1b}[31mred".repeat(1000) }], "issuer": "\n" });
    let keys = ResponseTemplate::new(200).set_body_json(keys);
    let keys = keys.insert_header("cloudnestle-version", "y".repeat(1000));
    Mock::given(path("/.well-known/jwks.json")).respond_with(keys).mount(&echo).await;
    Mock::given(path("/api/validate-token")).respond_with(repeat).mount(&echo).await;
    let builder = MarketplaceSdk::builder().url(echo.uri()).secret_key(CANARY).solution(SOLUTION);

    let diagnosis = diagnose(builder.spool_in_memory()).await;

    let printed = format!("{diagnosis} {diagnosis:?}");
    assert!(!printed.contains("canary"), "{printed}");
    assert!(!printed.contains('\u{1b}') && printed.len() < 5_000, "{printed}");
    assert_eq!(finding(&diagnosis, Check::SecretKey).code, Some(Code::CredentialInvalid));
}
