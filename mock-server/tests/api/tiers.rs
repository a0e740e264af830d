//! Tiers: who may change them, and what follows.

use crate::common::{FAISS, TestServer, both, in_memory};
use cloudnestle_marketplace::model::Secret;
use serde_json::json;

async fn change(
    server: &TestServer,
    credential: &Secret,
    customer: &str,
    tier: &str,
) -> crate::common::Answer {
    let body = json!({"customer_id": customer, "solution_id": FAISS, "tier": tier});
    server.call("PUT /api/user-tier", credential, body).await
}

#[tokio::test]
async fn a_new_tier_holds_at_once_for_tokens_that_are_out() {
    for server in both().await {
        let pair = server.pair("cus_ravi", FAISS).await;
        let changed = change(&server, &server.admin_key(), "cus_ravi", "pro").await;
        assert_eq!((changed.status, &changed.body["tier"]), (200, &json!("pro")));
        let user = &server.validate(&pair.access_token).await["user"];
        assert_eq!(user["tier"], "pro");
        assert_eq!(user["quotas"][0]["limit"], 10_000);
    }
}

#[tokio::test]
async fn a_tier_is_changed_where_there_is_a_plan_and_a_subscription_and_by_an_admin() {
    let server = in_memory().await;
    let admin = server.admin_key();
    change(&server, &admin, "cus_nobody", "pro").await.is_problem(404, "subscription_missing");
    change(&server, &admin, "cus_ravi", "platinum").await.is_problem(422, "tier_not_offered");
    let body =
        json!({"customer_id": "cus_asha", "solution_id": "sol_invoice_ocr", "tier": "anonymous"});
    let refused = server.call("PUT /api/user-tier", &admin, body).await;
    refused.is_problem(422, "tier_not_offered");
    let body = json!({"customer_id": "cus_asha", "solution_id": "sol_none", "tier": "pro"});
    server.call("PUT /api/user-tier", &admin, body).await.is_problem(404, "not_found");

    change(&server, &server.key(FAISS), "cus_ravi", "pro").await.is_problem(403, "forbidden");
    for (key, code) in [
        (in_memory().await.admin_key(), "credential_invalid"),
        (Secret::new("cnak_test_x"), "credential_invalid"),
        (Secret::new("cnak_live_x"), "credential_live"),
    ] {
        change(&server, &key, "cus_ravi", "pro").await.is_problem(401, code);
    }
}
