//! What the server says of itself to Prometheus.

use serde_json::Value;

use crate::common::{FAISS, in_memory};

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
