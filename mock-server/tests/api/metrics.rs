//! What the server says of itself to Prometheus.

use serde_json::{Value, json};

use crate::common::{FAISS, TestServer, in_file, in_memory, search, statuses};

#[tokio::test]
async fn calls_are_counted_by_route_however_they_were_asked_for() {
    let server = in_memory().await;
    for n in 0..50 {
        server.used("cus_ravi").await;
        let nobody = format!("GET /api/quotas/cus_{n}/{FAISS}");
        server.call(&nobody, &server.key(FAISS), Value::Null).await;
        server.call_openly(&format!("GET /nowhere/{n}"), Value::Null).await;
        server.call_openly(&format!("M{n} /api/user-context"), Value::Null).await;
    }
    server
        .inject(cloudnestle_mock_server::Fault::on("GET /api/user-context").status(503))
        .expect("sense");
    server.call_openly("GET /api/user-context", Value::Null).await;

    let answer = server.request("GET /metrics").send().await.expect("an answer");
    assert!(
        answer.headers()["content-type"].as_bytes().starts_with(b"application/openmetrics-text")
    );
    let text = answer.text().await.expect("text");
    let of_quotas = r#"operation="GET /api/quotas/{customer_id}/{solution_id}""#;
    for line in [
        format!(r#"cloudnestle_calls_total{{{of_quotas},end="2xx"}} 50"#),
        format!(r#"cloudnestle_calls_total{{{of_quotas},end="4xx"}} 50"#),
        format!("cloudnestle_call_duration_seconds_count{{{of_quotas}}} 100"),
        r#"cloudnestle_calls_total{operation="GET none",end="4xx"} 50"#.to_owned(),
        r#"cloudnestle_calls_total{operation="other /api/user-context",end="4xx"} 50"#.to_owned(),
        r#"cloudnestle_calls_total{operation="GET /api/user-context",end="5xx"} 1"#.to_owned(),
        "cloudnestle_calls_under_way 1".to_owned(),
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("cus_") && !text.contains("nowhere"), "{text}");
}

/// A metric without labels.
async fn measured(server: &TestServer, name: &str) -> u64 {
    let text = server.request("GET /metrics").send().await.expect("an answer");
    let text = text.text().await.expect("text");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse::<f64>().expect("a number")
        as u64
}

#[tokio::test]
async fn commits_are_measured_and_so_is_what_waits() {
    let server = in_file().await;
    let pair = server.pair("cus_ravi", FAISS).await;
    let commits = async || {
        [
            measured(&server, "cloudnestle_commit_duration_seconds_count").await,
            measured(&server, "cloudnestle_commit_group_size_sum").await,
        ]
    };
    let before = commits().await;
    assert!(before[0] > 0, "it was founded");
    let calls = measured(&server, "cloudnestle_journal_entries").await;
    for n in 0..7 {
        let event = json!({"event": search(&server, &pair, n)});
        assert_eq!(statuses(&server.track(event).await), ["accepted"]);
    }
    assert_eq!(commits().await, before.map(|count| count + 7), "one for each event");
    assert_eq!(measured(&server, "cloudnestle_journal_entries").await, calls + 7);
    assert_eq!(measured(&server, "cloudnestle_projections_pending").await, 0);
}
