//! Asks for leases: one request for all who need one of the same customer and action at the same time.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::warnings::Warnings;
use super::{Denial, Holder, LeaseStats};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::host::Moment;
use crate::http::Call;
use crate::model::{
    Code, Lease, LeaseAnswer, Quota, TakeLease, UsageEvent, WhenOffline, is_id, new_id,
};
use crate::sync::{AtomicU64, Mutex};
use crate::usage::pipelines::Pipelines;
use crate::usage::spool::LeaseRight;

/// The most actions whose policies are remembered. A solution has a few.
const MOST_ACTIONS: usize = 1_000;

/// Asks for leases, and gives them back.
pub(crate) struct Leases {
    pub(super) pipelines: Arc<Pipelines>,
    /// How long a request may take.
    pub(super) deadline: Duration,
    /// What the solution wants done in an outage, by action, as it was last told.
    offline: Mutex<HashMap<String, WhenOffline>>,
    warnings: Mutex<Warnings>,
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
        /// So much is missing; `u64::MAX` where more would not help.
        lacks: u64,
        error: Error,
    },
    /// Nobody answers. What the marketplace itself says is an answer, be it that it is busy: who asks too
    /// much of it must not get beyond a limit by that.
    Unreachable(Error),
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
        let (offline, warnings) = (Mutex::default(), Mutex::default());
        let (taken, returned) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Leases { pipelines, deadline, offline, warnings, taken, returned })
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

    /// Whether the solution wants the action allowed where nobody answers.
    pub(super) fn allows_unasked(&self, action: &str) -> bool {
        let offline = self.offline.lock().unwrap_or_else(PoisonError::into_inner);
        offline.get(action) == Some(&WhenOffline::Overage)
    }

    async fn request(self: Arc<Self>, holder: Arc<Holder>, need: Need) -> Result<Reply> {
        if !is_id(&need.customer_id, "cus_") {
            return Err(Error::because(Code::RequestInvalid, "A customer's id looks like cus_…."));
        }
        // A log that others send, too, is no lessee.
        let lessee = holder.pipeline.log().lessee().ok_or_else(|| Error::new(Code::SpoolFailed))?;
        let request = self.question(lessee.lease_right()?, &holder, &need);
        let uplink = &self.pipelines.uplink;
        match uplink.reach.attempt(self.send(&need.customer_id, &request)).await {
            Ok((answer, sent)) => Ok(self.learn(&holder, need, answer, sent)),
            Err(error) => {
                if error.may_have_had_effect() {
                    holder.books().book.add_unheard(&need.customer_id, &need.action, &request.id);
                    self.look_after(&holder);
                }
                if error.code() == Code::EpochSuperseded {
                    holder.pipeline.make_way(uplink, error.clone());
                }
                match error.is_without_answer() {
                    true => Ok(Reply::Unreachable(error)),
                    false => Err(error),
                }
            }
        }
    }

    fn question(&self, right: LeaseRight<'_>, holder: &Holder, need: &Need) -> TakeLease {
        let uplink = &self.pipelines.uplink;
        let mut random = [0; 10];
        uplink.host.random(&mut random);
        let Need { customer_id, token_id, action, quantity } = need;
        let now = Moment::now(&*uplink.host);
        TakeLease {
            id: new_id("lse", uplink.clock.now(), random),
            producer: right.producer_id().to_owned(),
            epoch: right.epoch(),
            token_id: token_id.clone(),
            action: action.clone(),
            least: *quantity,
            wanted: holder.books().book.wanted(customer_id, action, *quantity, now),
        }
    }

    /// The answer, and when the attempt was sent that it answers.
    async fn send(&self, customer_id: &str, request: &TakeLease) -> Result<(LeaseAnswer, Moment)> {
        let uplink = &self.pipelines.uplink;
        let path = format!("/api/quotas/{customer_id}/{}/leases", uplink.http.solution());
        // Who asks again under the lease's id gets the same lease, and is told what is left of its time.
        let call = Call::post(&path, request).by(uplink.credential()?).without_effect();
        let (answer, sent): (LeaseAnswer, _) = uplink.http.call_dated(call, self.deadline).await?;
        let fits = |lease: &Lease| {
            let is_enough = lease.granted.is_none_or(|granted| granted >= request.least);
            lease.id == request.id && is_enough
        };
        match answer.lease.as_ref().is_none_or(fits) {
            true => Ok((answer, sent)),
            false => {
                let words = "The lease is not the one asked for.";
                Err(Error::because(Code::AnswerInvalid, words).with_effect(true))
            }
        }
    }

    fn learn(
        self: &Arc<Self>,
        holder: &Arc<Holder>,
        need: Need,
        answer: LeaseAnswer,
        sent: Moment,
    ) -> Reply {
        let LeaseAnswer { lease, code, quotas, when_offline, upgrade_url } = answer;
        self.remember(&need.action, when_offline);
        self.warn(&need, &quotas);
        let Need { customer_id, action, quantity: least, .. } = need;
        let Some(lease) = lease else {
            return match code {
                Some(Code::QuotaExceeded) | None => {
                    let lacks = Denial::lacks(least, &quotas);
                    let error = Denial::of(&action, least, quotas, upgrade_url);
                    Reply::Denied { least, lacks, error }
                }
                Some(code) => Reply::Denied { least, lacks: u64::MAX, error: Error::new(code) },
            };
        };
        self.taken.fetch_add(1, Ordering::Relaxed);
        holder.books().book.add(&customer_id, &action, lease, sent);
        self.look_after(holder);
        Reply::Granted
    }

    /// Says it if the customer comes near a limit.
    fn warn(&self, need: &Need, quotas: &[Quota]) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let due = warnings.due(&need.customer_id, quotas);
        drop(warnings);
        if let Some((used, limit)) = due {
            let (customer_id, action) = (need.customer_id.clone(), need.action.clone());
            let event = Event::QuotaWarning { customer_id, action, used, limit };
            self.pipelines.uplink.announcer.announce(event);
        }
    }

    fn remember(&self, action: &str, policy: WhenOffline) {
        let mut offline = self.offline.lock().unwrap_or_else(PoisonError::into_inner);
        if offline.get(action) != Some(&policy) && offline.len() < MOST_ACTIONS {
            offline.insert(action.to_owned(), policy);
        }
    }

    /// The accounts, of which `holder` has what is held now and can't be given back.
    pub(crate) fn stats(&self, holder: Option<&Holder>) -> LeaseStats {
        LeaseStats {
            taken: self.taken.load(Ordering::Relaxed),
            returned: self.returned.load(Ordering::Relaxed),
            held: holder.map_or(0, |holder| holder.books().book.held()),
            given_up: holder.map_or(0, |holder| holder.books().book.returns.given_up()),
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
