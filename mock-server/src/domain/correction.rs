//! Putting right what was counted: amendments and voids.
//!
//! The ledger keeps every event as it came. A correction is an event of its own, and counts as the
//! difference it makes, in the windows in which the original occurred. What has become of an original
//! is kept beside it, so that several corrections are made one after the other, each on what the one
//! before has left.
//!
//! What a reset has forgiven of an event stays forgiven: in the quotas of that reset's windows, only what
//! goes beyond it counts. History, which resets don't change, counts the whole difference.

use std::collections::BTreeMap;

use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::{Timestamp, UsageEvent};
use serde::{Deserialize, Serialize};

use super::usage::MAX_AGE;

/// What is left of an event that was corrected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Corrected {
    /// This quantity.
    To(u64),
    /// This quantity, of which resets have forgiven some: by the names of their periods.
    Forgiven { quantity: u64, by_period: BTreeMap<String, Forgiven> },
    /// Nothing, for good.
    Voided,
}

impl Corrected {
    /// How much that is.
    pub(crate) fn left(&self) -> u64 {
        match self {
            Corrected::To(quantity) | Corrected::Forgiven { quantity, .. } => *quantity,
            Corrected::Voided => 0,
        }
    }

    /// As much, of which resets have forgiven this.
    pub(crate) fn forgiven(self, by_period: BTreeMap<String, Forgiven>) -> Corrected {
        match self {
            Corrected::To(quantity) if !by_period.is_empty() => {
                Corrected::Forgiven { quantity, by_period }
            }
            other => other,
        }
    }
}

/// What a reset has forgiven of an event in one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forgiven {
    /// When the reset was.
    pub at: Timestamp,
    pub amount: u64,
}

impl Forgiven {
    /// What the reset at `at` has forgiven of an event of which `left` is left, and of which the
    /// corrections so far knew `known`. Nothing was corrected since a reset that none of them knew.
    pub(crate) fn by(at: Timestamp, left: u64, known: Option<Forgiven>) -> Forgiven {
        known.filter(|known| known.at == at).unwrap_or(Forgiven { at, amount: left })
    }

    /// What it changes of a quota that of `before` there is `after` left.
    pub(crate) fn change(self, before: u64, after: u64) -> i64 {
        let counts = |left: u64| left.saturating_sub(self.amount) as i64;
        counts(after) - counts(before)
    }
}

/// What a correction adds to what was counted, and in the windows of which moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Difference {
    pub amount: i64,
    pub occurred_at: Timestamp,
}

/// What `event` makes of `original`, the event it names if that counted, of which `before` was left.
pub(crate) fn correct(
    event: &UsageEvent,
    original: Option<&UsageEvent>,
    before: Option<&Corrected>,
    now: Timestamp,
) -> Result<(Corrected, Difference), Code> {
    let is_correction = |event: &UsageEvent| event.amends.is_some() || event.voids.is_some();
    let original = original
        .filter(|original| original.customer_id == event.customer_id)
        .filter(|original| original.action == event.action)
        .filter(|original| !is_correction(original))
        .ok_or(Code::OriginalUnknown)?;
    if original.occurred_at < now - MAX_AGE {
        return Err(Code::OccurredOutOfRange);
    }
    let left = match before {
        Some(Corrected::Voided) => return Err(Code::OriginalVoided),
        Some(before) => before.left(),
        None => original.quantity,
    };
    let after = match event.voids {
        Some(_) => Corrected::Voided,
        None => Corrected::To(event.quantity),
    };
    // Quantities are bounded, far below 2^63.
    let amount = after.left() as i64 - left as i64;
    Ok((after, Difference { amount, occurred_at: original.occurred_at }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cloudnestle_marketplace::model::EventRef;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn original() -> UsageEvent {
        UsageEvent {
            id: "evt_1".to_owned(),
            customer_id: "cus_a".to_owned(),
            token_id: "tok_a".to_owned(),
            action: "search".to_owned(),
            quantity: 10,
            occurred_at: NOW - Duration::from_secs(86_400),
            idempotency_key: None,
            metadata: None,
            amends: None,
            voids: None,
            lease: None,
            overage: false,
        }
    }

    fn named() -> Option<Box<EventRef>> {
        Some(Box::new(EventRef::Single { id: "evt_1".to_owned() }))
    }

    fn amendment(quantity: u64) -> UsageEvent {
        UsageEvent { quantity, occurred_at: NOW, amends: named(), ..original() }
    }

    fn void() -> UsageEvent {
        UsageEvent { quantity: 1, occurred_at: NOW, voids: named(), ..original() }
    }

    fn made(event: &UsageEvent, before: Option<Corrected>) -> Result<(Corrected, i64), Code> {
        let (after, difference) = correct(event, Some(&original()), before.as_ref(), NOW)?;
        assert_eq!(difference.occurred_at, original().occurred_at);
        Ok((after, difference.amount))
    }

    #[test]
    fn a_correction_counts_as_the_difference_to_what_was_left() {
        assert_eq!(made(&amendment(4), None), Ok((Corrected::To(4), -6)));
        assert_eq!(made(&amendment(15), None), Ok((Corrected::To(15), 5)));
        assert_eq!(made(&amendment(10), None), Ok((Corrected::To(10), 0)));
        assert_eq!(made(&amendment(15), Some(Corrected::To(4))), Ok((Corrected::To(15), 11)));
        assert_eq!(made(&void(), None), Ok((Corrected::Voided, -10)));
        assert_eq!(made(&void(), Some(Corrected::To(4))), Ok((Corrected::Voided, -4)));
    }

    #[test]
    fn what_is_void_stays_void() {
        assert_eq!(made(&void(), Some(Corrected::Voided)), Err(Code::OriginalVoided));
        assert_eq!(made(&amendment(1), Some(Corrected::Voided)), Err(Code::OriginalVoided));
    }

    #[test]
    fn what_a_reset_has_forgiven_stays_forgiven_and_what_goes_beyond_counts() {
        let reset = Forgiven::by(NOW, 5, None);
        assert_eq!(reset.change(5, 0), 0, "given back before");
        assert_eq!(reset.change(5, 1), 0);
        assert_eq!(reset.change(1, 5), 0, "and not charged again");
        assert_eq!(reset.change(5, 8), 3);
        assert_eq!(reset.change(8, 1), -3);
        // The corrections after it don't change what it has forgiven; the next reset does.
        assert_eq!(Forgiven::by(NOW, 1, Some(reset)), reset);
        let next = Forgiven::by(NOW + Duration::from_secs(1), 8, Some(reset));
        assert_eq!(next.change(8, 5), 0);
    }

    #[test]
    fn a_correction_names_an_event_that_counted_for_this_customer_and_action() {
        let refused = |original: Option<&UsageEvent>| {
            correct(&void(), original, None, NOW).map(|(after, _)| after)
        };
        assert_eq!(refused(None), Err(Code::OriginalUnknown));
        let of_another = UsageEvent { customer_id: "cus_b".to_owned(), ..original() };
        assert_eq!(refused(Some(&of_another)), Err(Code::OriginalUnknown));
        let something_else = UsageEvent { action: "index".to_owned(), ..original() };
        assert_eq!(refused(Some(&something_else)), Err(Code::OriginalUnknown));
        assert_eq!(refused(Some(&amendment(4))), Err(Code::OriginalUnknown), "no chains");
        let long_ago = NOW - MAX_AGE - Duration::from_millis(1);
        let long_ago = UsageEvent { occurred_at: long_ago, ..original() };
        assert_eq!(refused(Some(&long_ago)), Err(Code::OccurredOutOfRange));
    }
}
