//! Makes the golden file of a release: a database in which something of everything has happened, and
//! beside it what a test needs to know of it. `tests/golden.rs` opens the files of all releases.
//!
//! `cargo run --package cloudnestle-mock-server --example golden -- mock-server/tests/golden/0.1`

use std::error::Error;
use std::path::PathBuf;

use cloudnestle_mock_server::MockServer;
use serde_json::{Value, json};

const SOLUTION: &str = "sol_faiss_search";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let path = PathBuf::from(std::env::args().nth(1).ok_or("say where to write it")?);
    let db = path.with_added_extension("db");
    if db.exists() {
        return Err(format!("{} is there; a golden file never changes", db.display()).into());
    }
    std::fs::create_dir_all(path.parent().ok_or("a path has a folder")?)?;
    let server = MockServer::builder().db(&db).start().await?;
    let secret_key = server.secret_key(SOLUTION).ok_or("the built-in world has it")?;
    let key = secret_key.expose();

    // A visitor, who uses something and registers.
    let visitor =
        call(&server, "POST /api/generate-token", key, json!({"solution_id": SOLUTION})).await?;
    let search = event(&server, &visitor, "search", 1)?;
    call(&server, "POST /api/track-usage", key, json!({"event": search})).await?;
    let token = visitor["access_token"].as_str().unwrap_or_default();
    let registration =
        json!({"email": "golden@example.com", "password": "correct horse", "name": "Golden"});
    call(&server, "POST /api/users/convert", token, registration).await?;

    // A range: a soft limit, a hard one, a key of the caller's own, a loss.
    let ravi = json!(server.token_pair("cus_ravi", SOLUTION).await?);
    let mut export = event(&server, &ravi, "export", 1)?;
    export["idempotency_key"] = json!("golden");
    let items = json!([
        {"number": 1, "event": event(&server, &ravi, "search", 7)?},
        {"number": 2, "event": export},
        {"number": 3, "lost": "damaged"},
    ]);
    let range = json!({"producer": "prd_golden", "epoch": 0, "items": items});
    call(&server, "POST /api/track-usage", key, range).await?;

    // A tier that was changed, a token that was revoked, keys that were rotated, a pair renewed.
    let tier = json!({"customer_id": "cus_asha", "solution_id": SOLUTION, "tier": "enterprise"});
    call(&server, "PUT /api/user-tier", server.admin_key().expose(), tier).await?;
    let meera = json!(server.token_pair("cus_meera", SOLUTION).await?);
    call(&server, "DELETE /api/revoke-token", key, json!({"token": meera["access_token"]})).await?;
    server.rotate_signing_key().await?;
    let refresh = json!({"refresh_token": ravi["refresh_token"]});
    let ravi = call(&server, "POST /api/refresh-token", "", refresh).await?;
    call(&server, "POST /api/secret-keys/rotate", key, json!({"overlap_secs": 604_800})).await?;

    let known = json!({
        "url": server.url(),
        "now": server.now(),
        "secret_key": secret_key,
        "ravi": ravi,
        "meera": meera,
        "visitor": visitor,
    });
    server.stop().await;
    std::fs::remove_file(db.with_added_extension("lock"))?;
    std::fs::write(path.with_added_extension("json"), format!("{known:#}\n"))?;
    Ok(())
}

/// Something the holder of a pair did, now.
fn event(server: &MockServer, pair: &Value, action: &str, quantity: u64) -> Result<Value> {
    use base64::Engine;
    let token = pair["access_token"].as_str().ok_or("a token")?;
    let claims = token.split('.').nth(1).ok_or("three parts")?;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims)?;
    let claims: Value = serde_json::from_slice(&claims)?;
    Ok(json!({
        "id": format!("evt_{action}_{quantity}"),
        "customer_id": claims["sub"],
        "token_id": claims["jti"],
        "action": action,
        "quantity": quantity,
        "occurred_at": server.now(),
    }))
}

async fn call(
    server: &MockServer,
    operation: &str,
    credential: &str,
    body: Value,
) -> Result<Value> {
    let (method, path) = operation.split_once(' ').ok_or("METHOD /path")?;
    let method = reqwest::Method::from_bytes(method.as_bytes())?;
    let request = reqwest::Client::new().request(method, format!("{}{path}", server.url()));
    let answer = request.bearer_auth(credential).json(&body).send().await?.error_for_status()?;
    let text = answer.text().await?;
    Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
}
