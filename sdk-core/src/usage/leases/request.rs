//! Asks for leases: one request for all who need one of the same customer and action at the same time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Denial, Holder, LeaseStats};
use crate::error::{Error, Result};
use crate::host::Moment;
use crate::http::Call;
use crate::model::{
    Code, LeaseAnswer, QuotaPolicy, TakeLease, UsageEvent, WhenOffline, is_id, new_id,
};
use crate::usage::pipelines::Pipelines;

/// The most actions whose policies are remembered. A solution has a few.
const MOST_ACTIONS: usize = 1_000;

/// Asks for leases, and gives them back.
pub(crate) struct Leases {
    pub(super) pipelines: Arc<Pipelines>,
    /// How long a request may take.
    pub(super) deadline: Duration,
    /// What the solution wants done in an outage, by action, as it was last told.
    offline: Mutex<HashMap<String, WhenOffline>>,
    taken: AtomicU64,
    pub(super) returned: AtomicU64,
}

/// What a request for a lease came to.
#[derive(Clone)]
pub(crate) enum Reply {
    /// There is a lease now, of which others may take a part.
    Granted,
    /// There is not so much left.
    Denied {
        /// So much was needed.
        least: u64,
        error: Error,
    },
}

/// What a lease is needed for.
struct Need {
    customer_id: String,
    token_id: String,
    action: String,
    quantity: u64,
}

impl Leases {
    pub(crate) fn new(pipelines: Arc<Pipelines>, deadline: Duration) -> Arc<Self> {
        let (offline, taken, returned) = (Mutex::default(), AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Leases { pipelines, deadline, offline, taken, returned })
    }

    /// Asks for a lease that pays for the event.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        holder: &Arc<Holder>,
        event: &UsageEvent,
    ) -> Result<Reply> {
        let request = || self.clone().request(holder.clone(), Need::of(event));
        holder.requests.join(&key(event), request).await
    }

    /// Asks for the next lease, for events like this one, and waits for nobody.
    pub(crate) fn ask_ahead(self: &Arc<Self>, holder: &Arc<Holder>, event: &UsageEvent) {
        let request = || self.clone().request(holder.clone(), Need::of(event));
        holder.requests.launch(&key(event), request);
    }

    /// How long whoever consumes waits for a lease.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Whether the solution wants the action allowed without a lease, because nobody answers.
    pub(crate) fn allows_without(&self, error: &Error, action: &str) -> bool {
        if !matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded) {
            return false; // it was answered
        }
        let offline = self.offline.lock().unwrap_or_else(PoisonError::into_inner);
        offline.get(action) == Some(&WhenOffline::Overage)
    }

    async fn request(self: Arc<Self>, holder: Arc<Holder>, need: Need) -> Result<Reply> {
        let uplink = &self.pipelines.uplink;
        if !is_id(&need.customer_id, "cus_") {
            return Err(Error::because(Code::RequestInvalid, "A customer's id looks like cus_…."));
        }
        // Whoever finds the log without its owner has to know that there may be leases.
        holder.pipeline.producer().take_leases()?;
        let mut random = [0; 10];
        uplink.host.random(&mut random);
        let id = new_id("lse", uplink.clock.now(), random);
        let now = Moment::now(&*uplink.host);
        let wanted =
            holder.books().book.wanted(&need.customer_id, &need.action, need.quantity, now);
        let request = TakeLease {
            id: id.clone(),
            producer: holder.pipeline.producer_id().to_owned(),
            epoch: holder.pipeline.producer().epoch,
            token_id: need.token_id,
            action: need.action.clone(),
            least: need.quantity,
            wanted,
        };
        let path = format!("/api/quotas/{}/{}/leases", need.customer_id, uplink.http.solution());
        let mut was_sent = false;
        let answer = uplink.reach.attempt(async {
            was_sent = true;
            // Who asks again under the lease's id gets the same lease, and is told what is left of its time.
            let call = Call::post(&path, &request)?.with_key(&uplink.secret_key).without_effect();
            uplink.http.call_dated::<LeaseAnswer>(call, self.deadline).await
        });
        let answer = answer.await.and_then(|(answer, sent)| match &answer.lease {
            Some(lease) if !is_what_was_asked(lease, &request) => {
                Err(Error::because(Code::AnswerInvalid, "The lease is not the one asked for."))
            }
            _ => Ok((answer, sent)),
        });
        let (answer, sent) = match answer {
            Ok(answered) => answered,
            Err(error) => {
                if was_sent && error.code().is_retryable() {
                    holder.books().book.add_unheard(&need.customer_id, &id);
                    self.look_after(&holder);
                }
                if error.code() == Code::EpochSuperseded {
                    holder.pipeline.make_way(uplink, error.clone());
                }
                return Err(error);
            }
        };
        self.remember(&need.action, answer.when_offline);
        let LeaseAnswer { lease, code, quotas, upgrade_url, .. } = answer;
        let Some(lease) = lease else {
            let error = match code {
                Some(Code::QuotaExceeded) | None => {
                    Denial::of(&need.action, need.quantity, quotas, upgrade_url)
                }
                Some(code) => Error::new(code),
            };
            return Ok(Reply::Denied { least: need.quantity, error });
        };
        self.taken.fetch_add(1, Ordering::Relaxed);
        // Where no limit is hard, nothing is set aside.
        let is_kept = quotas.iter().any(|quota| quota.policy != QuotaPolicy::Soft);
        holder.books().book.add(&need.customer_id, &need.action, lease, is_kept, sent);
        self.look_after(&holder);
        Ok(Reply::Granted)
    }

    fn remember(&self, action: &str, policy: WhenOffline) {
        let mut offline = self.offline.lock().unwrap_or_else(PoisonError::into_inner);
        if offline.get(action) != Some(&policy) && offline.len() < MOST_ACTIONS {
            offline.insert(action.to_owned(), policy);
        }
    }

    /// The accounts, of which `holder` has what is held now.
    pub(crate) fn stats(&self, holder: Option<&Holder>) -> LeaseStats {
        LeaseStats {
            taken: self.taken.load(Ordering::Relaxed),
            returned: self.returned.load(Ordering::Relaxed),
            held: holder.map_or(0, |holder| holder.books().book.held()),
        }
    }
}

impl Need {
    fn of(event: &UsageEvent) -> Self {
        Need {
            customer_id: event.customer_id.clone(),
            token_id: event.token_id.clone(),
            action: event.action.clone(),
            quantity: event.quantity,
        }
    }
}

fn key(event: &UsageEvent) -> String {
    format!("{}/{}", event.customer_id, event.action)
}

fn is_what_was_asked(lease: &crate::model::Lease, request: &TakeLease) -> bool {
    lease.id == request.id && lease.granted.is_none_or(|granted| granted >= request.least)
}
