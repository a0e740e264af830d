//! What a starting server says: to people on the terminal, to programs in a file.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

#[cfg(feature = "control")]
use cloudnestle_marketplace::model::Tier;
use cloudnestle_mock_server::MockServer;
use serde_json::json;

/// The world, with its keys: they are of this server alone, and for tests.
pub(crate) fn banner(server: &MockServer, database: Option<&Path>) -> String {
    let mut text = format!("CloudNestle marketplace at {0}\nAPI page: {0}/\n", server.url());
    // Writing to a string can't fail.
    let _ = match database {
        Some(path) => writeln!(text, "Database: {}", path.display()),
        None => writeln!(text, "Database: none, everything is forgotten at the end"),
    };
    text.push_str("\nSolutions and their secret keys\n");
    for solution in server.solutions() {
        let _ = writeln!(text, "  {:18} {}", solution.id, solution.secret_key.expose());
    }
    text.push_str("\nCustomers and their tiers\n");
    for customer in server.customers() {
        let tiers = customer.subscriptions.iter().map(|(solution, tier)| {
            format!("{} in {solution}", format!("{tier:?}").to_lowercase())
        });
        let _ = writeln!(text, "  {:18} {}", customer.id, tiers.collect::<Vec<_>>().join(", "));
    }
    #[cfg(feature = "control")]
    {
        let _ = writeln!(text, "\nControl token\n  {}", server.control_token().expose());
    }
    text.push_str("\nCtrl-C ends it.\n");
    text
}

/// Writes the same as JSON, with a token pair of a customer for each solution. The file appears
/// complete or not at all, for its owner alone.
pub(crate) async fn write_file(server: &MockServer, path: &Path) -> Result<(), Box<dyn Error>> {
    let ready = json!({
        "url": server.url(),
        "solutions": server.solutions(),
        "customers": server.customers(),
    });
    #[cfg(feature = "control")]
    let ready = with_control(server, ready).await?;

    let unfinished = path.with_added_extension("unfinished");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(format!("{ready}\n").as_bytes())?;
    drop(file);
    Ok(std::fs::rename(unfinished, path)?)
}

#[cfg(feature = "control")]
async fn with_control(
    server: &MockServer,
    mut ready: serde_json::Value,
) -> Result<serde_json::Value, Box<dyn Error>> {
    ready["control_token"] = json!(server.control_token());
    for (index, solution) in server.solutions().iter().enumerate() {
        if let Some(customer) = a_customer_of(server, &solution.id) {
            let pair = server.token_pair(&customer, &solution.id).await?;
            ready["solutions"][index]["token_pair"] = json!(pair);
        }
    }
    Ok(ready)
}

/// Somebody to try the solution with: registered, if there is one, because that has limits.
#[cfg(feature = "control")]
fn a_customer_of(server: &MockServer, solution_id: &str) -> Option<String> {
    let subscribers = server.customers().into_iter().filter_map(|customer| {
        let tier = *customer.subscriptions.get(solution_id)?;
        Some((tier != Tier::Registered, customer.id))
    });
    subscribers.min().map(|(_, id)| id)
}
