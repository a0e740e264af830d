//! Usage in a program that its users hold: each customer's apart from every other's.
//!
//! What a token may send is its customer's, so each customer has logs of their own, below a folder of their
//! own, which are sent with the newest good token of that customer that the program has had in hand. Without
//! one, usage waits. What a customer has left in an earlier run waits until they are seen again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;

use super::event::Usage;
use super::limits::Durability;
use super::receipt::Receipt;
use super::rejected::RejectedUsage;
use super::sender::{CustomerToken, Sender};
use super::spool::Spool;
use super::stats::{CloseReport, UsageStats};
use super::together;
use super::tracker::UsageTracker;
use super::uploader::Uplink;
use crate::auth::User;
use crate::error::{Error, Result};
use crate::events::Announcer;
use crate::host::Host;
use crate::http::{Clock, HttpClient};
use crate::model::{Code, is_id};
use crate::reach::Reach;

pub(crate) struct Customers {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) http: Arc<HttpClient>,
    pub(crate) reach: Arc<Reach>,
    pub(crate) announcer: Arc<Announcer>,
    /// The solution's: the customers' are below it.
    pub(crate) spool: Arc<dyn Spool>,
    pub(crate) durability: Durability,
    pub(crate) deadline: Duration,
    pub(crate) seen: Seen,
}

/// The customers whose tokens were seen.
#[derive(Default)]
pub(crate) struct Seen {
    customers: Mutex<BTreeMap<String, Arc<Customer>>>,
    /// No more usage is taken.
    closed: AtomicBool,
}

struct Customer {
    token: Arc<CustomerToken>,
    usage: UsageTracker,
}

impl Customers {
    /// Notes usage of the customer whose token this is.
    pub(crate) async fn track(&self, token: &str, user: &User, usage: Usage) -> Result<Receipt> {
        self.meet(token, user)?.usage.track(user, usage).await
    }

    /// Has what waits for a token of this customer sent with this one, which was found good.
    pub(crate) fn see(&self, token: &str, user: &User) {
        // Whose usage could not be kept has none that waits, and is told when there is some.
        drop(self.meet(token, user));
    }

    fn meet(&self, token: &str, user: &User) -> Result<Arc<Customer>> {
        let mut customers = self.customers();
        if let Some(customer) = customers.get(&user.customer_id).cloned() {
            drop(customers);
            if customer.token.see(token, user) {
                customer.usage.try_now();
            }
            return Ok(customer);
        }
        if self.seen.closed.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Closed));
        }
        // It becomes the name of a folder.
        if !is_id(&user.customer_id, "cus_") {
            return Err(Error::because(Code::TokenMalformed, "A customer's id looks like cus_…."));
        }
        let token = CustomerToken::of(token, user);
        let uplink = Uplink {
            host: self.host.clone(),
            clock: self.clock.clone(),
            http: self.http.clone(),
            reach: self.reach.clone(),
            announcer: self.announcer.clone(),
            sender: Sender::Customer(token.clone()),
        };
        let spool = self.spool.of_customer(&user.customer_id);
        let usage = UsageTracker::new(Arc::new(uplink), spool, self.durability, self.deadline);
        let customer = Arc::new(Customer { token, usage });
        customers.insert(user.customer_id.clone(), customer.clone());
        Ok(customer)
    }

    /// Completes when everything of these customers is answered for.
    pub(crate) async fn flush(&self) -> Result<()> {
        let all = self.all();
        together::all(all.iter().map(|customer| customer.usage.flush().boxed())).await
    }

    pub(crate) async fn flush_within(&self, deadline: Duration) -> UsageStats {
        let all = self.all();
        let flushed = all.iter().map(|customer| {
            let flushed = customer.usage.flush_within(deadline);
            flushed.map(|_| Ok(())).boxed()
        });
        let _none_fails = together::all(flushed).await;
        self.stats()
    }

    pub(crate) async fn close(&self, deadline: Duration) -> CloseReport {
        self.seen.closed.store(true, Ordering::Relaxed);
        let all = self.all();
        let closed = all.iter().map(|customer| {
            let closed = customer.usage.close(deadline);
            closed.map(|_| Ok(())).boxed()
        });
        let _none_fails = together::all(closed).await;
        CloseReport { usage: self.stats() }
    }

    pub(crate) fn stats(&self) -> UsageStats {
        sum(self.all().iter().map(|customer| customer.usage.stats()))
    }

    pub(crate) async fn rejected(&self) -> Result<Vec<RejectedUsage>> {
        let mut rejected = Vec::new();
        for customer in self.all() {
            rejected.extend(customer.usage.rejected().await?);
        }
        Ok(rejected)
    }

    pub(crate) async fn replay_rejected(&self) -> Result<u64> {
        let mut replayed = 0;
        for customer in self.all() {
            replayed += customer.usage.replay_rejected().await?;
        }
        Ok(replayed)
    }

    fn all(&self) -> Vec<Arc<Customer>> {
        self.customers().values().cloned().collect()
    }

    fn customers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Customer>>> {
        self.seen.customers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sum(stats: impl IntoIterator<Item = UsageStats>) -> UsageStats {
    stats.into_iter().fold(UsageStats::default(), |sum, stats| sum + stats)
}
