//! A lease as its holder sees it: how much is left of it, and until when. No I/O.

use std::sync::Arc;
use std::time::Duration;

use super::returns::Rest;
use crate::host::Moment;
use crate::model::Lease;
use crate::usage::log::Ticket;

/// How long a lease is used at most, whatever it says: a token that is revoked, a tier or a limit that is
/// another is found out by then at the latest by whoever asks for the next.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// The least time by which a lease ends earlier here than where it was granted.
const LEAST_MARGIN: Duration = Duration::from_secs(1);

/// The part of its time by which it ends earlier: no clock that is not broken gains or loses a hundredth.
const MARGIN_PART: u32 = 100;

#[derive(Debug)]
pub(super) struct Block {
    pub(super) id: Arc<str>,
    /// `None` is without limit.
    granted: Option<u64>,
    used: u64,
    /// How often.
    draws: u64,
    /// When the request was sent that was answered with it.
    sent: Moment,
    /// How long it may be used after that.
    lasts: Duration,
    /// The first and the last record that was allowed by it.
    allowed: Option<(Ticket, Ticket)>,
    /// Whether the marketplace keeps it, and has to be told when nobody uses it any more.
    kept: bool,
    /// Some of what was allowed by it has a name that counts once: whether it was the first one, its answer
    /// does not tell.
    is_named: bool,
    /// The next one was asked for.
    renewed: bool,
}

impl Block {
    /// A lease that was asked for then.
    pub(super) fn new(lease: Lease, sent: Moment) -> Self {
        let ttl = Duration::from_millis(lease.ttl_ms).min(LONGEST);
        // Shortly before a window ends there is no room for the whole margin.
        let margin = LEAST_MARGIN.max(ttl / MARGIN_PART).min(ttl / 2);
        Block {
            id: lease.id.into(),
            granted: lease.granted,
            used: 0,
            draws: 0,
            sent,
            lasts: ttl - margin,
            allowed: None,
            kept: lease.kept,
            is_named: false,
            renewed: false,
        }
    }

    /// Whether it may still be used.
    pub(super) fn is_live(&self, now: Moment) -> bool {
        now.monotonic < self.ends_at() && now.wall < self.sent.wall + self.lasts
    }

    /// When it ends, if the wall clock does not say so earlier.
    pub(super) fn ends_at(&self) -> Duration {
        self.sent.monotonic + self.lasts
    }

    /// Whether there is enough left of it.
    pub(super) fn has(&self, quantity: u64) -> bool {
        self.left().is_none_or(|left| left >= quantity)
    }

    fn left(&self) -> Option<u64> {
        Some(self.granted?.saturating_sub(self.used))
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.left() == Some(0)
    }

    /// Takes so much of it, for the record that `ticket` stands for, which may have a name that counts once.
    pub(super) fn draw(&mut self, quantity: u64, ticket: Ticket, is_named: bool) {
        self.used = self.used.saturating_add(quantity);
        self.draws += 1;
        self.allowed = Some((self.allowed.map_or(ticket, |(first, _)| first), ticket));
        self.is_named |= is_named;
    }

    /// Whether to ask for the next one, which is answered with yes once: less than half of it is left, or
    /// half of its time is over. Not before its second use, since who comes once needs no other.
    pub(super) fn is_to_be_renewed(&mut self, now: Moment) -> bool {
        let is_due = self.draws > 1 && (self.runs_low() || !self.is_young(now));
        is_due && !std::mem::replace(&mut self.renewed, true)
    }

    /// How large the next one should be: twice as large if this one is used up before half of its time,
    /// else what was used of this one.
    pub(super) fn next_size(&self, now: Moment) -> u64 {
        match self.granted {
            Some(granted) if self.runs_low() && self.is_young(now) => granted.saturating_mul(2),
            _ => self.used,
        }
    }

    fn runs_low(&self) -> bool {
        self.left().is_some_and(|left| left < self.used)
    }

    fn is_young(&self, now: Moment) -> bool {
        now.monotonic < self.sent.monotonic + self.lasts / 2
    }

    /// What the marketplace will find of it when nobody uses it any more; `None` if it does not keep it.
    pub(super) fn rest(&self) -> Option<Rest> {
        let rest = match self.is_used_up() && !self.is_named {
            true => Rest::UsedUp,
            false => Rest::Left(self.left().unwrap_or(0)),
        };
        self.kept.then_some(rest)
    }

    /// The first and the last record that was allowed by it.
    pub(super) fn allowed(&self) -> Option<(Ticket, Ticket)> {
        self.allowed
    }
}
