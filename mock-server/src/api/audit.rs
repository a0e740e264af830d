//! The record of who did what. An entry is committed together with its effect: what was done is
//! recorded, and what is recorded was done.

use std::sync::Arc;

use axum::extract::{Extension, FromRequestParts};
use axum::http::request::Parts;
use cloudnestle_marketplace::Code;

use super::layers::RequestId;
use super::openapi::Argument;
use super::problem::Failure;
use crate::facts::{self, Actor, AuditEntry, AuditedDeed};
use crate::market::Market;
use crate::store::{Key, StoreError, Transaction};

/// The entry of one call, as far as it is known before the call does anything.
pub(crate) struct Audit {
    key: Key,
    request_id: String,
}

impl Argument for Audit {}

impl FromRequestParts<Arc<Market>> for Audit {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, market: &Arc<Market>) -> Result<Self, Failure> {
        let Extension(RequestId(request_id)) =
            Extension::from_request_parts(parts, market).await.map_err(|_| Code::Internal)?;
        Ok(Audit {
            key: facts::audit_entry(market.world.now(), &market.world.id("aud")),
            request_id,
        })
    }
}

impl Audit {
    /// Writes the entry, as part of what `tx` commits.
    pub(crate) fn record(
        &self,
        tx: &mut Transaction<'_>,
        market: &Market,
        actor: Actor,
        deed: AuditedDeed,
    ) -> Result<(), StoreError> {
        let request_id = self.request_id.clone();
        tx.create(&self.key, &AuditEntry { at: market.world.now(), actor, request_id, deed })
    }
}

#[cfg(all(test, feature = "control"))]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use cloudnestle_marketplace::model::Tier;
    use tower::ServiceExt;

    use super::*;
    use crate::MockServer;
    use crate::api::routes::router;
    use crate::store::{Query, transact};

    async fn entries(market: &Market) -> Vec<AuditEntry> {
        let today = facts::audit_entry(market.world.now(), "");
        let query = Query {
            table: today.table,
            partition: today.partition,
            sort: "aud_".to_owned()..="aud_~".to_owned(),
            limit: 100,
            descending: false,
        };
        let entries =
            transact(&*market.store, async |tx| tx.query::<AuditEntry>(query.clone()).await);
        entries.await.expect("entries").into_iter().map(|(_, entry)| entry).collect()
    }

    #[tokio::test]
    async fn what_an_admin_changed_is_on_record_and_what_was_refused_is_not() {
        let server = MockServer::start().await.expect("a server");
        let change = async |id: &str, tier: &str| {
            let body = format!(
                r#"{{"customer_id": "cus_ravi", "solution_id": "sol_faiss_search", "tier": "{tier}"}}"#
            );
            let request = Request::put("/api/user-tier")
                .header("authorization", format!("Bearer {}", server.admin_key().expose()))
                .header("content-type", "application/json")
                .header("x-request-id", id)
                .body(Body::from(body));
            let answer = router(server.market.clone()).oneshot(request.expect("a request")).await;
            answer.expect("an answer").status().as_u16()
        };
        let noon = "2027-01-15T12:00:00Z".parse().expect("RFC 3339");
        server.set_clock(noon).await.expect("in range");
        assert_eq!(change("req_a", "pro").await, 200);
        assert_eq!(change("req_b", "pro").await, 200, "and changes nothing");
        assert_eq!(change("req_c", "galactic").await, 422, "no such tier is offered");
        // Ids are in the order of milliseconds.
        server.advance_clock(Duration::from_secs(1)).await.expect("in range");
        assert_eq!(change("req_d", "registered").await, 200);

        let entries = entries(&server.market).await;
        assert!(entries.iter().all(|entry| entry.at >= noon && entry.actor == Actor::AdminKey));
        let deed = |from, to| AuditedDeed::ChangedTier {
            customer_id: "cus_ravi".to_owned(),
            solution_id: "sol_faiss_search".to_owned(),
            from,
            to,
        };
        let did: Vec<_> = entries.into_iter().map(|entry| (entry.request_id, entry.deed)).collect();
        let expected = [
            ("req_a".to_owned(), deed(Tier::Registered, Tier::Pro)),
            ("req_d".to_owned(), deed(Tier::Pro, Tier::Registered)),
        ];
        assert_eq!(did, expected);
    }
}
