//! What was asked and answered, as a test finds it afterwards: whole, and without secrets.

use cloudnestle_mock_server::{Because, Fault, JournalCall, Search, Unanswered, When};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{FAISS, TestServer, answer, both, in_memory, range, search};

const TRACK: &str = "POST /api/track-usage";

/// The only call there is.
fn only(server: &TestServer) -> JournalCall {
    let mut found = server.find(&Search::default());
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn body(call: &JournalCall) -> &Value {
    call.request.body.as_ref().expect("a body")
}

fn answered(call: &JournalCall) -> &Value {
    call.answer.as_ref().and_then(|answer| answer.body.as_ref()).expect("an answer with a body")
}

#[tokio::test]
async fn a_call_is_recorded_as_it_was_sent_and_as_it_was_answered() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let event = search(&server, &pair, 1);
        let request = server
            .request("POST /api/track-usage?trace=a%20b&trace=c")
            .json(&json!({"event": event}));
        let request = request.bearer_auth(server.key(FAISS).expose());
        let request =
            request.header("cloudnestle-test", "checkout-7").header("x-request-id", "req_mine");
        let heard = answer(request).await.expect("an answer");

        let call = only(&server);
        assert_eq!((call.entry.seq, call.entry.operation.as_str()), (1, TRACK));
        assert_eq!((call.entry.status, call.entry.code), (Some(200), None));
        assert_eq!(call.entry.test.as_deref(), Some("checkout-7"));
        assert_eq!(call.entry.request_id, "req_mine");
        assert_eq!(
            (call.request.method.as_str(), call.request.path.as_str()),
            ("POST", "/api/track-usage")
        );
        assert_eq!(call.request.query["trace"], "a b, c");
        assert_eq!(*body(&call), json!({"event": event}));
        assert_eq!(*answered(&call), heard.body);
        let answer = call.answer.as_ref().expect("an answer");
        assert_eq!(answer.headers["x-request-id"], "req_mine");
        assert!(!call.request.headers.contains_key("host"), "{:?}", call.request.headers);

        // Over HTTP it is the same.
        let told = server.control("GET /mock/journal/1", Value::Null).await.body;
        assert_eq!(told, serde_json::to_value(&call).expect("JSON"));
        let listed = server.control("GET /mock/journal?bodies=true", Value::Null).await.body;
        assert_eq!(listed["entries"], json!([told]));
        let heads = server.control("GET /mock/journal", Value::Null).await.body;
        assert!(heads["entries"][0].get("request").is_none(), "{heads}");
        for seq in ["0", "2", "one", "18446744073709551616"] {
            let none = server.control(&format!("GET /mock/journal/{seq}"), Value::Null).await;
            none.is_problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn an_error_is_recorded_with_the_words_the_client_was_told() {
    let server = in_memory().await;
    let refused = server.track(json!({"event": {"id": 7}})).await;
    let call = only(&server);
    assert_eq!(call.entry.code.map(|code| code.to_string()).as_deref(), Some("request_invalid"));
    assert_eq!(answered(&call)["detail"], refused.body["detail"]);
    assert_eq!(answered(&call)["doc_url"], "$CLOUDNESTLE_URL/#request_invalid");
}

#[tokio::test]
async fn a_token_is_followed_from_its_issue_to_its_use_without_being_shown() {
    let server = in_memory().await;
    let session = server.session("cus_meera").await.expect("a session");
    let asked = json!({"solution_id": FAISS});
    let pair = server.call("POST /api/generate-token", &session, asked).await.body;
    let token = pair["access_token"].as_str().expect("a token");
    server.call("GET /api/user-context", &token.into(), Value::Null).await;
    let renewed = json!({"refresh_token": pair["refresh_token"]});
    server.call_openly("POST /api/refresh-token", renewed).await;
    server.call("POST /api/validate-token", &server.key(FAISS), json!({"token": token})).await;

    let calls = server.find(&Search::default());
    let [issued, used, refreshed, validated] = &calls[..] else { panic!("{calls:?}") };
    let access = answered(issued)["access_token"].as_str().expect("a text");
    assert!(access.starts_with("[token ") && access.len() == "[token 123456]".len(), "{access}");
    assert_eq!(used.request.headers["authorization"], format!("Bearer {access}"));
    assert_eq!(body(validated)["token"], access);
    let refresh = &answered(issued)["refresh_token"];
    assert!(refresh.as_str().is_some_and(|it| it.starts_with("[refresh token ")), "{refresh}");
    assert_eq!(&body(refreshed)["refresh_token"], refresh);
    assert_ne!(answered(refreshed)["refresh_token"], *refresh);
    let session = &issued.request.headers["authorization"];
    assert!(session.starts_with("Bearer [session "), "{session}");
}

#[tokio::test]
async fn passwords_and_addresses_are_not_shown_whoever_mistypes_them() {
    let server = in_memory().await;
    let kavya = json!({"email": "kavya@example.com", "password": "correct horse", "name": "Kavya"});
    server.call_openly("POST /api/users", kavya.clone()).await;
    server.call_openly("POST /api/sessions", kavya.clone()).await;
    server
        .call_openly("POST /api/sessions", json!({"email": {"password": ["correct horse"]}}))
        .await;
    let text = "{\"email\": \"kavya@example.com\", \"password\": \"correct horse\",}";
    for kind in ["application/json", "text/plain"] {
        let broken = server.request("POST /api/sessions").header("content-type", kind).body(text);
        answer(broken).await.expect("an answer");
    }
    let calls = server.find(&Search::default());
    let shown = format!("{calls:?}");
    assert!(!shown.contains("horse") && !shown.contains("kavya@"), "{shown}");
    assert_eq!(body(&calls[0])["password"], body(&calls[1])["password"]);
    assert_eq!(body(&calls[0])["email"], body(&calls[1])["email"]);
    let not_shown = calls[3].request.not_shown.expect("only its length");
    assert_eq!((not_shown.bytes, not_shown.because), (text.len() as u64, Because::NotJson));
}

#[tokio::test]
async fn a_compressed_call_is_recorded_as_what_it_stands_for() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let sent = range("prd_a", 0, 1, (0..40).map(|n| search(&server, &pair, n)).collect());
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(sent.to_string().as_bytes()).expect("in memory");
    let request = server.request(TRACK).bearer_auth(server.key(FAISS).expose());
    let request =
        request.header("content-type", "application/json").header("content-encoding", "gzip");
    let request = request.header("accept-encoding", "zstd").body(packed.finish().expect("packed"));
    let response = request.send().await.expect("an answer");
    assert_eq!(response.headers()["content-encoding"], "zstd");

    let call = only(&server);
    assert_eq!(*body(&call), sent);
    assert_eq!(answered(&call)["results"].as_array().map(Vec::len), Some(40));
    assert_eq!((call.request.not_shown, call.answer.expect("one").not_shown), (None, None));
}

#[tokio::test]
async fn of_a_long_body_the_beginning_is_kept_and_the_server_reads_all_of_it() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let sent = range("prd_a", 0, 1, (0..450).map(|n| search(&server, &pair, n)).collect());
    let length = sent.to_string().len() as u64;
    assert!(length > 65_536, "{length}");
    assert_eq!(server.track(sent.clone()).await.status, 200);
    assert_eq!(server.used("cus_ravi").await, 450);

    let call = &server.find(&Search::default().operation(TRACK))[0];
    let not_shown = call.request.not_shown.expect("it is cut");
    assert_eq!((not_shown.bytes, not_shown.because), (length, Because::TooLong));
    let kept = body(call)["items"].as_array().expect("items");
    assert!((200..450).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept[..100], sent["items"].as_array().expect("items")[..100]);
}

#[tokio::test]
async fn a_call_that_a_fault_has_met_is_recorded_with_its_body() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let key = server.key(FAISS);
        let faults = [
            (Fault::on(TRACK).reset(When::BeforeCommit), None, "flt_1: reset before_commit"),
            (Fault::on(TRACK).reset(When::AfterCommit), None, "flt_2: reset after_commit"),
            (Fault::on(TRACK).status(503), Some(503), "flt_3: status 503"),
        ];
        for (n, (fault, status, told)) in faults.into_iter().enumerate() {
            server.inject(fault).expect("a fault");
            let sent = range("prd_a", 0, 1, vec![search(&server, &pair, n as u64)]);
            let _broken = server.try_call(TRACK, key.expose(), &sent).await;
            let calls = server.find(&Search::default());
            let call = calls.last().expect("a call");
            assert_eq!((call.entry.status, call.entry.fault.as_deref()), (status, Some(told)));
            assert_eq!(call.entry.unanswered, status.is_none().then_some(Unanswered::Reset));
            assert_eq!(call.answer.is_some(), status.is_some());
            assert_eq!((body(call), call.request.not_shown), (&sent, None));
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_is_recorded_as_that() {
    let server = in_memory().await;
    let mut client = TcpStream::connect(server.address()).await.expect("a connection");
    let head = format!(
        "POST /api/track-usage HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{\"producer\": \"prd_a\", \"ep",
        server.key(FAISS).expose()
    );
    client.write_all(head.as_bytes()).await.expect("sent");
    drop(client);
    while server.journal().is_empty() {
        tokio::task::yield_now().await;
    }
    let call = only(&server);
    assert_eq!(
        call.request.not_shown.map(|it| (it.bytes, it.because)),
        Some((1000, Because::Unread))
    );
    assert_eq!(*body(&call), json!({"producer": "prd_a"}));
}

#[tokio::test]
async fn a_client_that_is_refused_is_not_asked_for_its_body() {
    let server = in_memory().await;
    let mut client = TcpStream::connect(server.address()).await.expect("a connection");
    let head = "POST /api/track-usage HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                expect: 100-continue\r\ncontent-length: 1000\r\n\r\n";
    client.write_all(head.as_bytes()).await.expect("sent");
    let mut heard = [0; 12];
    client.read_exact(&mut heard).await.expect("an answer");
    assert_eq!(heard, *b"HTTP/1.1 401");
    assert_eq!(only(&server).request.not_shown.map(|it| it.because), Some(Because::Unread));
}

#[tokio::test]
async fn the_journal_is_searched_by_what_is_told_of_a_call() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let asha = server.pair("cus_asha", FAISS).await;
    server.track(json!({"event": search(&server, &pair, 1)})).await; // 1
    server.track(json!({"event": search(&server, &asha, 2)})).await; // 2
    server.used("cus_asha").await; // 3
    server.call("GET /api/user-context", &asha.access_token, Value::Null).await; // 4
    let named = server.request("GET /api/user-context").header("cloudnestle-test", "a b");
    answer(named.header("x-request-id", "req_7")).await.expect("an answer"); // 5

    let found = async |query: &str| {
        let answer = server.control(&format!("GET /mock/journal?{query}"), Value::Null).await;
        let entries = answer.body["entries"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
        entries.iter().map(|entry| entry["seq"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(found("").await, [1, 2, 3, 4, 5]);
    assert_eq!(found("operation=POST%20/api/track-usage").await, [1, 2]);
    assert_eq!(found("status=401").await, [5]);
    assert_eq!(found("code=credential_missing").await, [5]);
    assert_eq!(found("code=token_expired").await, [0; 0]);
    assert_eq!(found("request_id=req_7").await, [5]);
    assert_eq!(found("test=a+b").await, [5]);
    assert_eq!(found("customer=cus_asha").await, [2, 3, 4]);
    assert_eq!(found("customer=cus_asha&status=401").await, [0; 0]);
    assert_eq!(found("body~=evt_2").await, [2]);
    assert_eq!(found("after=2").await, [3, 4, 5]);
    assert_eq!(found("after=1&limit=2").await, [2, 3]);
    assert_eq!(found("customer=cus_asha&limit=1&bodies=true").await, [2]);
    assert_eq!(found("limit=0").await, [0; 0]);
    let refused = server.control("GET /mock/journal?after=soon", Value::Null).await;
    refused.is_problem(422, "request_invalid");
}

#[tokio::test]
async fn a_search_is_no_way_to_guess_a_secret() {
    let server = in_memory().await;
    let session = server.session("cus_meera").await.expect("a session");
    server.call("POST /api/generate-token", &session, json!({"solution_id": FAISS})).await;
    for guess in ["cnrt_test_", "eyJ", "refresh_token%22:%22c"] {
        let found = server.control(&format!("GET /mock/journal?body~={guess}"), Value::Null).await;
        assert_eq!(found.body["entries"], json!([]), "{guess}");
    }
}

#[tokio::test]
async fn the_name_of_a_test_is_no_place_for_a_secret() {
    let server = in_memory().await;
    for name in
        [server.key(FAISS).expose(), "ravi@example.com", "run cnsk_test_x", &"x".repeat(129)]
    {
        answer(server.request("GET /api/user-context").header("cloudnestle-test", name))
            .await
            .expect("an answer");
    }
    assert!(server.journal().iter().all(|entry| entry.test.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_call_can_be_made_again_by_the_command_that_the_journal_shows() {
    let server = in_memory().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let mut event = search(&server, &pair, 1);
    event["metadata"] = json!({"note": "it's $HOME & `ls` 100%"});
    let request = server.request("POST /api/track-usage?trace=a%20b'%26&empty=");
    let request = request.bearer_auth(server.key(FAISS).expose()).json(&json!({"event": event}));
    answer(request).await.expect("an answer");
    let first = only(&server);

    let command = server.request("GET /mock/journal/1/curl");
    let command = command.bearer_auth(server.control_token().expose()).send().await;
    let command = command.expect("an answer").text().await.expect("text");
    assert_eq!(Some(&command), first.to_curl().as_ref());
    assert!(!command.contains(server.key(FAISS).expose()), "{command}");
    let ran = std::process::Command::new("sh")
        .args(["-c", &command])
        .env("CLOUDNESTLE_URL", server.url())
        .env("CLOUDNESTLE_SECRET_KEY", server.key(FAISS).expose())
        .output()
        .expect("a shell");
    assert!(ran.status.success(), "{command}{}", String::from_utf8_lossy(&ran.stderr));
    let again = server.find(&Search::default().after(1)).remove(0);
    assert_eq!(again.request.query, first.request.query, "{command}");
    assert_eq!(again.request.body, first.request.body, "{command}");
    assert_eq!(again.request.headers["authorization"], first.request.headers["authorization"]);
    // It is the same event, so it has counted once.
    assert_eq!(answered(&again)["results"][0]["status"], "duplicate", "{command}");
}

#[tokio::test]
async fn a_call_of_which_not_all_is_known_is_no_command() {
    let server = in_memory().await;
    let request = server.request("POST /api/users").header("content-type", "application/json");
    answer(request.body(vec![0xff; 10])).await.expect("an answer");
    assert_eq!(only(&server).to_curl(), None);
    let told = server.control("GET /mock/journal/1/curl", Value::Null).await;
    told.is_problem(404, "not_found");
}
