//! The API page: what it shows can be pasted into a shell, and works.

use std::process::Command;

use serde_json::{Value, json};

use super::common::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_example_of_the_page_works_in_a_shell() {
    let server = in_memory().await;
    let page = server.request("GET /").send().await.expect("an answer").text().await.expect("text");
    let examples: Vec<String> = page
        .split("<pre>")
        .skip(1)
        .map(|rest| unescape(rest.split("</pre>").next().unwrap_or("")))
        .collect();
    assert!(examples.len() >= 15, "{examples:?}");

    // What somebody who follows the page has by then.
    let folder = tempfile::tempdir().expect("a folder");
    let snapshot = server.snapshot().await.expect("a snapshot");
    std::fs::write(folder.path().join("subscribed.ndjson"), snapshot.to_file()).expect("a file");
    for example in examples {
        let pair = server.pair("cus_ravi", FAISS).await;
        let session = server.session("cus_ravi").await.expect("a session");
        let body = json!({"solution_id": FAISS});
        let visitor =
            server.call("POST /api/generate-token", &server.key(FAISS), body.clone()).await;
        let launch = server.call("POST /api/launches", &session, body).await;
        let code = launch.body["redirect_url"].as_str().and_then(|url| url.split_once("code="));
        let ran = Command::new("sh")
            .args([
                "-c",
                &example.replacen(
                    "curl",
                    "curl --silent --show-error --write-out '\n%{http_code}'",
                    1,
                ),
            ])
            .current_dir(&folder)
            .env("CLOUDNESTLE_SECRET_KEY", server.key(FAISS).expose())
            .env("CLOUDNESTLE_ADMIN_KEY", server.admin_key().expose())
            .env("CLOUDNESTLE_CONTROL_TOKEN", server.control_token().expose())
            .env("CLOUDNESTLE_TOKEN", pair.access_token.expose())
            .env("CLOUDNESTLE_TOKEN_PAIR", serde_json::to_string(&pair).expect("JSON"))
            .env("VISITOR_TOKEN", visitor.body["access_token"].as_str().expect("a token"))
            .env("CODE", code.expect("a code").1)
            .env("SESSION", session.expose())
            .env("TOKEN_ID", claims(&pair.access_token).jti)
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&ran.stdout);
        let (body, status) = said.rsplit_once('\n').expect("a status");
        assert!(
            status.starts_with('2'),
            "{example}\n{said}{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        assert_ne!(body["results"][0]["status"], "rejected", "{example}\n{said}");
        // What one example breaks on purpose must not break the next.
        server.set_outage(false);
        server.clear_faults();
    }
}

#[tokio::test]
async fn every_link_of_the_page_leads_to_something_on_it() {
    let server = in_memory().await;
    let page = server.request("GET /").send().await.expect("an answer").text().await.expect("text");
    let after = |mark: &str| -> Vec<String> {
        let rest = page.split(mark).skip(1);
        rest.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
    };
    let (links, anchors) = (after("href=\"#"), after(" id=\""));
    assert!(links.len() > 200, "{links:?}");
    for link in links {
        assert_eq!(anchors.iter().filter(|anchor| **anchor == link).count(), 1, "{link}");
    }
}

fn unescape(html: &str) -> String {
    html.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
