//! The world a new database begins with: three solutions of different shape and a customer in every
//! tier. The ids are fixed, so that documentation and tests can name them.

use cloudnestle_marketplace::model::{QuotaPolicy, Tier, Timestamp, WhenOffline, Window};

use super::account::{Account, Email};
use super::catalogue::{Action, Allowance, Customer, Plan, Solution, Source, Subscription};
use super::founding::Founding;
use super::password::PasswordHash;

/// The password of each customer of the built-in world. It is no secret: this server is for tests.
#[cfg(test)]
pub(crate) const PASSWORD: &str = "cloudnestle-test";

const PASSWORD_HASH: [u8; 32] = [
    0x9f, 0x66, 0x3a, 0xdb, 0x9d, 0x3d, 0x2e, 0x47, 0xd6, 0x58, 0xe1, 0x89, 0x22, 0x42, 0xe1, 0x2e,
    0x44, 0x86, 0x7f, 0x66, 0xe6, 0xb5, 0x71, 0x61, 0x35, 0x0b, 0xb9, 0x82, 0x11, 0x3a, 0xbe, 0x02,
];

/// The built-in world, founded at `now`.
pub(crate) fn built_in(now: Timestamp) -> Founding {
    let customers = vec![
        customer("cus_asha", "Asha Nair", now),
        customer("cus_ravi", "Ravi Kulkarni", now),
        customer("cus_meera", "Meera Iyer", now),
        visitor("cus_visitor"),
    ];
    Founding {
        accounts: customers.iter().filter_map(account).collect(),
        solutions: vec![faiss_search(), invoice_ocr(), chat_notes()],
        customers,
        subscriptions: [
            ("cus_asha", "sol_faiss_search", Tier::Pro),
            ("cus_asha", "sol_invoice_ocr", Tier::Pro),
            ("cus_asha", "sol_chat_notes", Tier::Registered),
            // Ravi has no subscription to the OCR: somebody must be refused.
            ("cus_ravi", "sol_faiss_search", Tier::Registered),
            ("cus_ravi", "sol_chat_notes", Tier::Registered),
            ("cus_meera", "sol_faiss_search", Tier::Enterprise),
            ("cus_meera", "sol_invoice_ocr", Tier::Enterprise),
            ("cus_meera", "sol_chat_notes", Tier::Enterprise),
            ("cus_visitor", "sol_faiss_search", Tier::Anonymous),
        ]
        .map(|(customer_id, solution_id, tier)| Subscription {
            customer_id: customer_id.to_owned(),
            solution_id: solution_id.to_owned(),
            tier,
            since: now,
        })
        .into(),
    }
}

/// A daily quota that is soft and one that is hard, an action that is counted without a limit, and
/// one that browsers may report.
fn faiss_search() -> Solution {
    let daily = |searches, exports| {
        vec![
            allowance("search", searches, Window::Day),
            Allowance { policy: QuotaPolicy::Hard, ..allowance("export", exports, Window::Day) },
        ]
    };
    Solution {
        id: "sol_faiss_search".to_owned(),
        name: "FAISS Search".to_owned(),
        time_zone: "Asia/Kolkata".to_owned(),
        actions: vec![
            action("search", "request"),
            action("index", "megabyte"),
            action("export", "file"),
            Action { source: Source::Client, ..action("view", "page") },
        ],
        plans: vec![
            plan(Tier::Anonymous, &[], daily(Some(10), Some(0))),
            plan(Tier::Registered, &["search"], daily(Some(100), Some(5))),
            plan(Tier::Pro, &["search", "index"], daily(Some(10_000), Some(200))),
            plan(Tier::Enterprise, &["search", "index", "private_index"], daily(None, None)),
        ],
        launch_url: Some("http://localhost:3000/launch".to_owned()),
        upgrade_url: Some("https://faiss-search.example/plans".to_owned()),
        allowed_origins: vec!["http://localhost:3000".to_owned()],
    }
}

/// A monthly quota that is soft and one that is hard unless nobody can be asked, and no plan for those
/// who have not registered.
fn invoice_ocr() -> Solution {
    let monthly = |pages, translations| {
        let translations = allowance("translation", translations, Window::Month);
        vec![
            allowance("page", pages, Window::Month),
            Allowance { policy: QuotaPolicy::Hard, ..translations },
        ]
    };
    Solution {
        id: "sol_invoice_ocr".to_owned(),
        name: "Invoice OCR".to_owned(),
        time_zone: "Asia/Kolkata".to_owned(),
        actions: vec![
            action("page", "page"),
            Action { when_offline: WhenOffline::Overage, ..action("translation", "page") },
        ],
        plans: vec![
            plan(Tier::Registered, &["scan"], monthly(Some(50), Some(20))),
            plan(Tier::Pro, &["scan", "export"], monthly(Some(5_000), Some(1_000))),
            plan(Tier::Enterprise, &["scan", "export", "custom_fields"], monthly(None, None)),
        ],
        launch_url: Some("http://localhost:3001/launch".to_owned()),
        upgrade_url: None,
        allowed_origins: vec!["http://localhost:3001".to_owned()],
    }
}

/// Two quotas with different windows, in a time zone that changes its clocks.
fn chat_notes() -> Solution {
    let notes = |notes, minutes| {
        vec![
            allowance("note", notes, Window::Day),
            allowance("transcription", minutes, Window::Month),
        ]
    };
    Solution {
        id: "sol_chat_notes".to_owned(),
        name: "Chat Notes".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        actions: vec![action("note", "note"), action("transcription", "minute")],
        plans: vec![
            plan(Tier::Registered, &["notes"], notes(Some(20), Some(60))),
            plan(Tier::Pro, &["notes", "search"], notes(Some(500), Some(1_200))),
            plan(Tier::Enterprise, &["notes", "search", "retention"], notes(None, None)),
        ],
        launch_url: Some("http://localhost:3002/launch".to_owned()),
        upgrade_url: None,
        allowed_origins: vec!["http://localhost:3002".to_owned()],
    }
}

/// Registered as `asha@example.com`, if the id is `cus_asha`.
fn customer(id: &str, name: &str, now: Timestamp) -> Customer {
    let email = Email::parse(&format!("{}@example.com", id.trim_start_matches("cus_")));
    Customer { id: id.to_owned(), name: Some(name.to_owned()), email, registered_at: Some(now) }
}

fn visitor(id: &str) -> Customer {
    Customer { id: id.to_owned(), name: None, email: None, registered_at: None }
}

/// With [`PASSWORD`], unless it is a visitor. The hash was computed before: to do so at each first
/// start would take longer than all the rest.
fn account(customer: &Customer) -> Option<(Email, Account)> {
    let password = PasswordHash::computed_before([7; 16], PASSWORD_HASH);
    let account = Account { customer_id: customer.id.clone(), password };
    Some((customer.email.clone()?, account))
}

fn action(name: &str, unit: &str) -> Action {
    Action { name: name.to_owned(), unit: unit.to_owned(), ..Action::default() }
}

fn plan(tier: Tier, entitlements: &[&str], allowances: Vec<Allowance>) -> Plan {
    let entitlements = entitlements.iter().map(|&name| name.to_owned()).collect();
    Plan { tier, entitlements, allowances }
}

fn allowance(action: &str, limit: Option<u64>, window: Window) -> Allowance {
    Allowance { action: action.to_owned(), limit, window, policy: QuotaPolicy::Soft }
}

#[cfg(test)]
mod tests {
    use cloudnestle_marketplace::model::Secret;

    use super::*;

    #[test]
    fn the_password_is_the_one_that_was_hashed() {
        let hash = PasswordHash::of(&Secret::new(PASSWORD), [7; 16]).expect("a hash");
        let (_, asha) = built_in(Timestamp::from_millis(0)).accounts.swap_remove(0);
        assert_eq!(serde_json::json!(asha.password), serde_json::json!(hash));
    }

    #[test]
    fn the_world_makes_sense_and_has_a_customer_in_every_tier() {
        let world = built_in(Timestamp::from_millis(0));
        assert_eq!(world.flaw(), None);
        for tier in [Tier::Anonymous, Tier::Registered, Tier::Pro, Tier::Enterprise] {
            assert!(world.subscriptions.iter().any(|s| s.tier == tier), "{tier:?}");
        }
    }
}
