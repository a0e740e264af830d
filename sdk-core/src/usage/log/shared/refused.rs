//! What the log notes of numbers that were not counted, for whoever else has it.

use serde::{Deserialize, Serialize};

use crate::json;
use crate::model::{Code, LossReason, UsageEvent};
use crate::usage::range::{Outcome, Told};
use crate::usage::rejected::RejectedUsage;

/// What is noted of numbers that were not counted.
#[derive(Serialize, Deserialize)]
pub(super) struct Refused {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    through: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<LossReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<UsageEvent>,
}

impl Refused {
    /// What is noted of an answer: each rejected event by itself, so that it can be replayed.
    pub(super) fn notes(
        outcomes: &[Told],
        rejected: &[(u64, RejectedUsage)],
    ) -> Vec<(u64, String)> {
        let lost = outcomes.iter().filter_map(|(numbers, outcome)| {
            let Outcome::Lost(reason) = outcome else { return None };
            let through = Some(*numbers.end()).filter(|end| end > numbers.start());
            Some((
                *numbers.start(),
                Refused { through, lost: Some(*reason), code: None, event: None },
            ))
        });
        let rejected = rejected.iter().map(|(number, usage)| {
            let (code, event) = (Some(usage.code), Some(usage.event.clone()));
            (*number, Refused { code, event, through: None, lost: None })
        });
        let notes = lost.chain(rejected);
        notes.map(|(number, note)| (number, json::write(&note))).collect()
    }

    /// The event that was rejected, if that is what a note is about.
    pub(super) fn event(note: &str) -> Option<RejectedUsage> {
        let Refused { code, event, .. } = json::read(note.as_bytes()).ok()?;
        Some(RejectedUsage { code: code?, event: event? })
    }

    pub(super) fn told(number: u64, note: &str) -> Option<Told> {
        let Refused { through, code, lost, .. } = json::read(note.as_bytes()).ok()?;
        let outcome = lost.map(Outcome::Lost).or(code.map(Outcome::Rejected))?;
        Some((number..=through.unwrap_or(number), outcome))
    }
}
