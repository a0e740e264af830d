//! What a browser lets a page do, as far as the server has a say in it.

use serde_json::Value;

use crate::common::{answer, in_memory};

const ORIGIN: &str = "https://shop.test";

#[tokio::test]
async fn a_page_may_call_the_api_and_read_what_it_needs_of_the_answers() {
    let server = in_memory().await;
    for path in ["/api/user-context", "/api/track-usage", "/.well-known/jwks.json", "/api/none"] {
        let preflight = server
            .request(&format!("OPTIONS {path}"))
            .header("origin", ORIGIN)
            .header("access-control-request-method", "DELETE")
            .header("access-control-request-headers", "authorization, content-type");
        let allowed = answer(preflight).await.expect("an answer");
        assert_eq!(allowed.status, 200, "{path}");
        let header = |name: &str| allowed.headers[name].to_str().expect("ASCII").to_lowercase();
        assert_eq!(header("access-control-allow-origin"), "*");
        assert!(header("access-control-allow-methods").contains("delete"));
        for name in ["authorization", "content-type", "cloudnestle-version", "idempotency-key"] {
            assert!(header("access-control-allow-headers").contains(name), "{name}");
        }
        assert!(!allowed.headers.contains_key("access-control-allow-credentials"));
    }
    for path in ["/api/user-context", "/.well-known/jwks.json", "/api/none"] {
        let request = server.request(&format!("GET {path}")).header("origin", ORIGIN);
        let answer = answer(request).await.expect("an answer");
        assert_eq!(answer.headers["access-control-allow-origin"], "*", "{path}");
        let exposed = answer.headers["access-control-expose-headers"].to_str().expect("ASCII");
        for name in [
            "date",
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "x-request-id",
            "x-should-retry",
        ] {
            assert!(exposed.split(',').any(|one| one == name), "{name} is not in {exposed}");
        }
    }
}

#[tokio::test]
async fn no_page_may_call_control() {
    let server = in_memory().await;
    for path in ["/mock/clock", "/mock/world", "/mock/none", "/mock/a/b/c"] {
        for method in ["OPTIONS", "GET"] {
            let request = server
                .request(&format!("{method} {path}"))
                .header("origin", ORIGIN)
                .header("access-control-request-method", "GET")
                .bearer_auth(server.control_token().expose());
            let refused = answer(request).await.expect("an answer");
            refused.is_problem(403, "forbidden");
            let told = refused.headers.keys().find(|name| name.as_str().starts_with("access-"));
            assert_eq!(told, None, "{method} {path}");
        }
    }
    server.control("GET /mock/none", Value::Null).await.is_problem(404, "not_found");
}
