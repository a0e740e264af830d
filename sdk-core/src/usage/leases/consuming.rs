//! What of a tracker is about leases.

use std::sync::PoisonError;
use std::time::Duration;

use super::{Consumed, LeaseStats};
use crate::auth::User;
use crate::error::{Error, Result};
use crate::model::Code;
use crate::usage::event::Usage;
use crate::usage::tracker::UsageTracker;

impl UsageTracker {
    /// Notes the usage if a lease allows it, or one that is granted `until` then.
    pub(crate) async fn consume(
        &self,
        user: &User,
        usage: Usage,
        until: Duration,
    ) -> Result<Consumed> {
        let event = self.event(user, usage)?;
        if event.amends.is_some() || event.voids.is_some() {
            let words =
                "A correction is tracked, not consumed: it gives back, or was done already.";
            return Err(Error::because(Code::RequestInvalid, words));
        }
        let event_id = event.id.clone();
        let paid = self.leases.pay(event, until, || self.own()).await?;
        let receipt = self.receipt(event_id, &paid.holder, paid.taken);
        self.as_durable_as_asked(&receipt).await?;
        Ok(Consumed { receipt, overage: paid.overage })
    }

    pub(crate) fn lease_stats(&self) -> LeaseStats {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        self.leases.stats(own.as_deref())
    }
}
