//! What may be due.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that is due at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "task", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Task {
    /// A token is at the end of its life. Whether it was revoked before makes no difference.
    TokenExpires {
        /// `tok_…`
        token_id: String,
    },
    /// A lease that was neither used up nor given back may not be used any more. What of it is left stays
    /// charged until its producer has reported, or the window ends.
    LeaseEnds {
        /// `sol_…`
        solution_id: String,
        /// The producer that took it, `prd_…`
        producer: String,
        /// `lse_…`
        lease_id: String,
    },
}

impl Task {
    /// What it is called, in its name and where it is told.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Task::TokenExpires { .. } => "token_expires",
            Task::LeaseEnds { .. } => "lease_ends",
        }
    }

    /// What tells it from others of its kind.
    pub(super) fn whose(&self) -> String {
        match self {
            Task::TokenExpires { token_id } => token_id.clone(),
            Task::LeaseEnds { solution_id, producer, lease_id } => {
                format!("{solution_id}/{producer}/{lease_id}")
            }
        }
    }

    /// Whether it is told of, and changes nothing: many such tasks are taken off the agenda in one commit.
    pub(super) fn is_only_told(&self) -> bool {
        match self {
            Task::TokenExpires { .. } | Task::LeaseEnds { .. } => true,
        }
    }
}
