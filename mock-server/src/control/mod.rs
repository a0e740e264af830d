//! Control over the server's world, for tests: `/mock/…`, and the same in Rust.
//!
//! Compiled out without the feature `control`: a production build has neither the calls nor the
//! code that makes requests fail.

mod calls;
mod clock;
mod cut_json;
pub(crate) mod fault_injection;
mod faults;
mod gate;
mod handle;
mod journal;
mod reading;
pub(crate) mod recording;
pub(crate) mod snapshots;
mod spoiled_tokens;
mod spoiling;
mod verify;
pub(crate) mod worlds;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::any;
use cloudnestle_marketplace::Code;

use crate::api::layers;
use crate::api::routes::{Credential, Route, collect, delete, get, post, put};
use crate::market::Market;

pub use clock::Happened;
pub use handle::ControlError;
pub use journal::Search;
pub use snapshots::{Snapshot, SnapshotError};
pub use spoiled_tokens::Flaw;
pub use verify::{Expected, NearMiss, UnmetCalls, Unverified};
pub use worlds::NewWorld;

/// The calls of `/mock`.
#[rustfmt::skip] // a table
pub(crate) fn routes() -> Vec<Route> {
    const CONTROL: &[Credential] = &[Credential::ControlToken];
    const AUTH: &str = r#"-H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN""#;
    vec![
        get("/mock/world", CONTROL, calls::world,
            "The world as it was when the server began, the built-in one or the seed's: the admin key, solutions with their secret keys, customers with their subscriptions.",
            AUTH),
        post("/mock/worlds", CONTROL, worlds::create,
            "Makes a world beside the server's own: a marketplace in memory with keys, ids, a clock, a fault plan and a journal that no other shares. Its calls begin with its `url`, or name it by `CloudNestle-World`, or by one of its keys.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN" --json '{"id": "wld_checkout", "seed": 7}'"#)
            .fails(&[Code::Forbidden]),
        get("/mock/worlds", CONTROL, worlds::list, "The worlds there are beside the server's own.", AUTH)
            .fails(&[Code::Forbidden]),
        delete("/mock/worlds/{world_id}", CONTROL, worlds::remove, "Forgets a world, and all that was done in it.",
            r#"-X DELETE -H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN""#)
            .fails(&[Code::Forbidden, Code::NotFound]),
        post("/mock/snapshots", CONTROL, snapshots::create,
            "Keeps all that the marketplace holds now, what its clock shows and where its randomness is.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN" --json '{"id": "snp_subscribed"}'"#),
        get("/mock/snapshots", CONTROL, snapshots::list, "The snapshots there are.", AUTH),
        get("/mock/snapshots/{snapshot_id}", CONTROL, snapshots::export,
            "A snapshot as a file. It has the marketplace's keys in it: keep it as you would keep those.", AUTH)
            .fails(&[Code::NotFound]),
        post("/mock/snapshots/{snapshot_id}/restore", CONTROL, snapshots::restore,
            "Puts a snapshot in the place of what there is, once the calls under way are answered. Whoever reads the revocation feed is told of another generation. The fault plan, the limits and the journal stay.",
            r#"-X POST -H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN""#)
            .fails(&[Code::NotFound, Code::RequestInvalid]),
        delete("/mock/snapshots/{snapshot_id}", CONTROL, snapshots::remove, "Forgets a snapshot.",
            r#"-X DELETE -H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN""#)
            .fails(&[Code::NotFound]),
        put("/mock/snapshots/{snapshot_id}", CONTROL, snapshots::import,
            "Keeps a snapshot that was a file: of this marketplace, to restore, or of another, to make a world from.",
            r#"-T subscribed.ndjson -H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN""#),
        post("/mock/sessions", CONTROL, calls::create_session,
            "Signs a customer in, without asking for a password.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN" --json '{"customer_id": "cus_ravi"}'"#)
            .fails(&[Code::NotFound]),
        post("/mock/tokens", CONTROL, spoiled_tokens::create,
            "A token that must be refused, for what its `flaw` is: a real one, which differs from a good one in nothing else.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN" --json '{"flaw": "expired", "customer_id": "cus_ravi", "solution_id": "sol_faiss_search"}'"#)
            .fails(&[Code::Forbidden, Code::NotFound, Code::TierNotOffered]),
        get("/mock/clock", CONTROL, clock::read,
            "What the server's clock shows, how it goes, and what is due next.", AUTH),
        post("/mock/clock", CONTROL, clock::change,
            "Sets the clock (`{\"set\": \"2026-11-22T00:00:00Z\"}`), moves it on (`advance_ms`, or `advance_to_next_event`), stops it (`freeze`) or lets it run so many times as fast (`scale`). What is due on the way happens in order; the answer says what did.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN" --json '{"advance_ms": 60000}'"#),
        post("/mock/keys", CONTROL, calls::rotate_signing_key,
            "Lets the next of the published keys sign tokens from now on. Those of the last one stay good.",
            r#"-X POST -H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN""#),
        get("/mock/faults", CONTROL, faults::read,
            "The fault plan: what is left of it, and which calls met what.", AUTH),
        post("/mock/faults", CONTROL, faults::plan,
            "Plans a fault, or a list of them, for calls to come: a `status` (with `code` and `headers`), a `reset` (`before_commit` or `after_commit`), a `delay_ms`. For which calls, say `on` (an operation, or `*`), `solution` and `test` (what they have in `CloudNestle-Test`); for how many, `times`, `after`, `probability`, `expires_ms`.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN" --json '{"on": "POST /api/track-usage", "reset": "after_commit"}'"#),
        delete("/mock/faults", CONTROL, faults::clear, "Forgets the fault plan.",
            r#"-X DELETE -H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN""#),
        delete("/mock/faults/{fault_id}", CONTROL, faults::remove,
            "Lets no more calls meet a fault. Made again, it says so again.",
            r#"-X DELETE -H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN""#)
            .fails(&[Code::NotFound]),
        get("/mock/outage", CONTROL, calls::outage, "Whether the API is out of reach.", AUTH),
        post("/mock/outage", CONTROL, calls::set_outage,
            "Lets every call of the API have its connection reset, until switched off.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN" --json '{"on": true}'"#),
        get("/mock/rate-limits", CONTROL, calls::rate_limits,
            "How often callers may call: each `key`, each `token`, each address without one (`open`), each address that registers or signs in (`sign_in`).",
            AUTH),
        post("/mock/rate-limits", CONTROL, calls::set_rate_limit,
            "Lets each of some callers call so often, `per_second` and at once (`burst`). All their earlier calls are forgotten.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN" --json '{"callers": "key", "per_second": 100}'"#),
        get("/mock/journal", CONTROL, journal::list,
            "What the API was asked and how it answered: the last 10,000 calls, or those of them that are searched for.", AUTH),
        get("/mock/journal/{seq}", CONTROL, journal::read,
            "One call, whole: what was sent and what was answered, without secrets.", AUTH)
            .fails(&[Code::NotFound]),
        get("/mock/journal/{seq}/curl", CONTROL, journal::curl,
            "One call as a command of `curl` that makes it again, with variables in the place of secrets.", AUTH)
            .fails(&[Code::NotFound]),
        delete("/mock/journal", CONTROL, journal::clear, "Forgets the journal.",
            r#"-X DELETE -H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN""#),
        post("/mock/verify", CONTROL, verify::verify,
            "Whether the API was asked what a test expects, `times` or `at_least` or `at_most` so often; and if not, which calls came near, and in what they were other.",
            r#"-H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN" --json '{"operation": "POST /api/track-usage", "times": 1, "body": {"event": {"quantity": 1}}}'"#),
        post("/mock/reset", CONTROL, snapshots::reset,
            "Lets everything be as it was when the marketplace began, with the keys it has: no usage, no tokens, no faults, no journal, and the clock it had. Snapshots stay.",
            r#"-X POST -H "Authorization: Bearer $CLOUDNESTLE_CONTROL_TOKEN""#)
            .fails(&[Code::RequestInvalid]),
    ]
}

/// The calls of `/mock`, behind their gate.
pub(crate) fn router(market: &Arc<Market>) -> Router<Arc<Market>> {
    collect(routes())
        // Whatever else begins so is behind the gate, too.
        .route("/mock/{*rest}", any(async || StatusCode::NOT_FOUND))
        .layer(from_fn(layers::guard))
        .layer(from_fn_with_state(market.clone(), gate::layer))
}
