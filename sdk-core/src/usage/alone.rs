//! For tests: a tracker over any host, without the rest of the SDK.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Durability, FileSpool, Receipt, Sender, Spool, SpoolLimits, Uplink, Usage, UsageTracker,
};
use crate::auth::User;
use crate::events::{Announcer, Events};
use crate::host::{Files, Host};
use crate::http::{Clock, HttpClient, RetryPolicy, SecretKey};
use crate::model::{Secret, Tier};
use crate::reach::Reach;

/// A tracker that sends to `url`, and what it tells.
pub(super) fn tracker(
    host: Arc<dyn Host>,
    files: Arc<dyn Files>,
    url: &str,
    durability: Durability,
    limits: SpoolLimits,
) -> (UsageTracker, Events) {
    let dir = PathBuf::from("spool");
    let spool = FileSpool { host: host.clone(), files, dir, limits, in_memory: false };
    tracker_of(Arc::new(spool), host, url, durability)
}

/// A tracker of what waits there.
pub(super) fn tracker_of(
    spool: Arc<dyn Spool>,
    host: Arc<dyn Host>,
    url: &str,
    durability: Durability,
) -> (UsageTracker, Events) {
    let clock = Arc::new(Clock::new(host.clone(), None));
    let announcer = Arc::new(Announcer::default());
    let events = announcer.subscribe();
    let (url, solution) = (url.to_owned(), "sol_x".to_owned());
    let (told, policy) = (announcer.clone(), RetryPolicy::CALL);
    let http = HttpClient::new(host.clone(), clock.clone(), told, url, solution, policy);
    let uplink = Uplink {
        host: host.clone(),
        clock,
        http: Arc::new(http),
        reach: Arc::new(Reach::new(host.clone(), announcer.clone())),
        announcer,
        sender: Sender::Solution(SecretKey::new(host, Secret::new("cnsk_test_x"), None)),
    };
    let deadline = Duration::from_secs(5);
    (UsageTracker::new(Arc::new(uplink), spool, durability, deadline), events)
}

/// Notes a search of a customer whose token was found good on that host.
pub(super) async fn track(tracker: &UsageTracker, host: &dyn Host) -> crate::Result<Receipt> {
    let user = User {
        customer_id: "cus_asha".to_owned(),
        tier: Tier::Pro,
        solution_id: "sol_x".to_owned(),
        token_id: "tok_x".to_owned(),
        expires_at: host.wall() + Duration::from_secs(60),
    };
    tracker.track(&user, Usage::of("search")).await
}
