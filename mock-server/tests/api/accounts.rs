//! Customers: they register, sign in, open solutions, and were visitors before.

use std::time::Duration;

use cloudnestle_marketplace::model::Secret;
use serde_json::{Value, json};

use crate::common::{Answer, FAISS, NOTES, TestServer, answer, both, claims, in_memory, search};

const OCR: &str = "sol_invoice_ocr";

fn secret(answer: &Answer, field: &str) -> Secret {
    assert!(answer.status < 300, "{answer:?}");
    answer.body[field].as_str().unwrap_or_else(|| panic!("{answer:?}")).into()
}

async fn register(server: &TestServer, email: &str) -> Answer {
    let body = json!({"email": email, "password": "correct horse", "name": "Kavya Rao"});
    server.call_openly("POST /api/users", body).await
}

async fn sign_in(server: &TestServer, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    server.call_openly("POST /api/sessions", body).await
}

/// A visitor of the FAISS search, as its backend mints one.
async fn visitor(server: &TestServer) -> Answer {
    let body = json!({"solution_id": FAISS});
    server.call("POST /api/generate-token", &server.key(FAISS), body).await
}

fn publishable_key(server: &TestServer, solution: &str) -> Secret {
    let found = server.solutions().into_iter().find(|it| it.id == solution);
    found.expect("a solution").publishable_key
}

#[tokio::test]
async fn somebody_registers_signs_in_and_opens_a_solution() {
    for server in both().await {
        let registered = register(&server, "Kavya@Example.com").await;
        assert_eq!(registered.status, 201, "{registered:?}");
        assert_eq!(registered.body["email"], "kavya@example.com");

        let session =
            secret(&sign_in(&server, "kavya@example.com", "correct horse").await, "access_token");
        let none = server.call("GET /api/user-solutions", &session, Value::Null).await;
        assert_eq!(none.body, json!({"items": []}));

        let add = json!({"solution_id": OCR});
        let added = server.call("POST /api/user-solutions", &session, add.clone()).await;
        assert_eq!((added.status, &added.body["tier"]), (200, &json!("registered")));
        let again = server.call("POST /api/user-solutions", &session, add).await;
        assert_eq!((again.status, &again.body), (200, &added.body));

        let body = json!({"solution_id": OCR});
        let pair = server.call("POST /api/generate-token", &session, body).await;
        let token = claims(&secret(&pair, "access_token"));
        assert_eq!(registered.body["customer_id"], token.sub);
        assert_eq!(token.aud, OCR);
    }
}

#[tokio::test]
async fn an_address_registers_once_however_it_is_spelt() {
    for server in both().await {
        assert_eq!(register(&server, "kavya@example.com").await.status, 201);
        register(&server, "KAVYA@example.com").await.is_problem(409, "email_taken");
        register(&server, "asha@example.com").await.is_problem(409, "email_taken");
    }
}

#[tokio::test]
async fn two_who_register_one_address_at_the_same_time_are_one_customer() {
    for server in both().await {
        let all = (0..8).map(|_| register(&server, "kavya@example.com"));
        let answers = futures_util::future::join_all(all).await;
        let registered = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(registered, 1, "{answers:?}");
    }
}

#[tokio::test]
async fn what_is_no_registration_is_refused_by_its_field() {
    let server = in_memory().await;
    let good = json!({"email": "kavya@example.com", "password": "correct horse"});
    for (field, wrong) in [
        ("email", json!("kavya")),
        ("email", json!("kavya rao@example.com")),
        ("password", json!("seven77")),
        ("password", json!("sëvën77")),
        ("password", json!("x".repeat(257))),
        ("name", json!("")),
        ("name", json!("x".repeat(201))),
    ] {
        let mut body = good.clone();
        body[field] = wrong;
        let refused = server.call_openly("POST /api/users", body).await;
        refused.is_problem(422, "request_invalid");
        assert_eq!(refused.body["field"], field);
    }
    let mut longest = good;
    longest["name"] = json!("ä".repeat(200)); // characters, as the document counts them
    let registered = server.call_openly("POST /api/users", longest).await;
    assert_eq!(registered.status, 201, "{registered:?}");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_get_the_same_answer() {
    for server in both().await {
        let wrong = sign_in(&server, "asha@example.com", "cloudnestle-tesT").await;
        let unknown = sign_in(&server, "nobody@example.com", "cloudnestle-test").await;
        wrong.is_problem(401, "sign_in_refused");
        unknown.is_problem(401, "sign_in_refused");
        assert_eq!(wrong.body["detail"], unknown.body["detail"]);
        assert_eq!(sign_in(&server, "Asha@example.com", "cloudnestle-test").await.status, 200);
    }
}

#[tokio::test]
async fn a_session_is_renewed_like_any_pair_and_ends_when_the_customer_signs_out() {
    for server in both().await {
        let first = sign_in(&server, "asha@example.com", "cloudnestle-test").await;
        let refresh = json!({"refresh_token": secret(&first, "refresh_token")});
        server.advance_clock(Duration::from_secs(14 * 60)).await.expect("in range");
        let second = server.call_openly("POST /api/refresh-token", refresh.clone()).await;
        let session = secret(&second, "access_token");
        let listed = server.call("GET /api/user-solutions", &session, Value::Null).await;
        assert_eq!(listed.body["items"].as_array().map(Vec::len), Some(3));

        let out = server.call("DELETE /api/sessions", &session, Value::Null).await;
        assert_eq!(out.status, 204);
        let refused = server.call("GET /api/user-solutions", &session, Value::Null).await;
        refused.is_problem(401, "credential_invalid");
        let refresh = json!({"refresh_token": secret(&second, "refresh_token")});
        let refused = server.call_openly("POST /api/refresh-token", refresh).await;
        refused.is_problem(401, "refresh_token_invalid");
    }
}

#[tokio::test]
async fn what_a_customer_may_open_is_read_page_by_page() {
    let server = in_memory().await;
    let session = server.session("cus_meera").await.expect("a session");
    let mut cursor = String::new();
    let mut seen = Vec::new();
    loop {
        let path = format!("GET /api/user-solutions?limit=2{cursor}");
        let page = server.call(&path, &session, Value::Null).await.body;
        let items = page["items"].as_array().expect("items").clone();
        seen.extend(items.iter().map(|it| it["solution_id"].as_str().expect("an id").to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [NOTES, FAISS, OCR]);
}

#[tokio::test]
async fn a_visitor_becomes_a_customer_and_what_was_used_stays_used() {
    for server in both().await {
        let pair = visitor(&server).await;
        let token = secret(&pair, "access_token");
        let customer_id = claims(&token).sub;
        let typed = serde_json::from_value(pair.body.clone()).expect("a pair");
        let tracked = server.track(json!({"event": search(&server, &typed, 1)})).await;
        assert_eq!(tracked.body["results"][0]["status"], "accepted", "{tracked:?}");

        let body = json!({"email": "kavya@example.com", "password": "correct horse"});
        let converted = server.call("POST /api/users/convert", &token, body.clone()).await;
        assert_eq!(converted.status, 200, "{converted:?}");
        assert_eq!(converted.body["customer_id"], customer_id);

        let user = &server.validate(&token).await["user"];
        assert_eq!((&user["tier"], &user["quotas"][0]["used"]), (&json!("registered"), &json!(1)));
        assert_eq!(user["quotas"][0]["limit"], 100);
        assert_eq!(sign_in(&server, "kavya@example.com", "correct horse").await.status, 200);

        let again = server.call("POST /api/users/convert", &token, body).await;
        again.is_problem(409, "already_registered");
    }
}

#[tokio::test]
async fn visitors_are_minted_by_the_solutions_own_keys_where_it_has_a_plan_for_them() {
    let server = in_memory().await;
    let page = publishable_key(&server, FAISS);
    let mint = |key: Secret, solution: &'static str| {
        let server = &server;
        async move {
            let body = json!({"solution_id": solution});
            server.call("POST /api/generate-token", &key, body).await
        }
    };
    let one = secret(&mint(page.clone(), FAISS).await, "access_token");
    let two = secret(&mint(server.key(FAISS), FAISS).await, "access_token");
    assert_ne!(claims(&one).sub, claims(&two).sub);
    assert_eq!(server.validate(&one).await["user"]["tier"], "anonymous");
    mint(page, OCR).await.is_problem(403, "forbidden");
    mint(server.key(OCR), OCR).await.is_problem(422, "tier_not_offered");
}

#[tokio::test]
async fn a_publishable_key_works_on_the_pages_it_was_registered_for() {
    let server = in_memory().await;
    let page = publishable_key(&server, FAISS);
    let ask = |origin: &'static str| {
        let request = server.request("POST /api/generate-token").bearer_auth(page.expose());
        answer(request.header("origin", origin).json(&json!({"solution_id": FAISS})))
    };
    assert_eq!(ask("http://localhost:3000").await.expect("an answer").status, 200);
    let stray = ask("https://elsewhere.example").await.expect("an answer");
    let detail = &stray.is_problem(403, "origin_not_allowed").body["detail"];
    assert_eq!(detail, "The solution's pages are at http://localhost:3000.");
    let revealing = server.call("GET /api/quotas/cus_ravi/sol_faiss_search", &page, Value::Null);
    revealing.await.is_problem(403, "forbidden");
}
