//! Which behaviour a caller asks for, and gets.

use crate::common::{answer, in_memory};

#[tokio::test]
async fn a_caller_gets_the_version_it_asks_for_or_the_newest() {
    let server = in_memory().await;
    for asked in [None, Some("2026-11-01")] {
        let mut request = server.request("GET /.well-known/jwks.json");
        if let Some(asked) = asked {
            request = request.header("cloudnestle-version", asked);
        }
        let answer = answer(request).await.expect("an answer");
        assert_eq!(
            (answer.status, &answer.headers["cloudnestle-version"]),
            (200, &"2026-11-01".parse().expect("a header"))
        );
    }
}

#[tokio::test]
async fn a_version_there_is_not_is_refused_before_anything_happens() {
    let server = in_memory().await;
    for asked in ["2026-11-02", "1", "", "\u{e9}", "2026-11-01, 2026-11-01"] {
        let request =
            server.request("POST /api/refresh-token").header("cloudnestle-version", asked);
        let refused = answer(request).await.expect("an answer");
        refused.is_problem(400, "version_unknown");
        assert_eq!(refused.body["detail"], "The versions are 2026-11-01.");
        assert_eq!(refused.headers["cloudnestle-version"], "2026-11-01");
    }
}
