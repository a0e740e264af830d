//! In whose name usage is numbered.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::usage::Sender;

/// Who sends usage. Numbers, event ids and idempotency keys are the principal's: a user with a token
/// can't advance a backend's fence or use up its keys. They are not the key's or the token's, so that
/// changing either keeps the fence. In this release all are of the test environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Principal {
    SecretKey { solution_id: String },
    SolutionToken { customer_id: String, solution_id: String },
}

impl Principal {
    pub(crate) fn solution_id(&self) -> &str {
        match self {
            Principal::SecretKey { solution_id } => solution_id,
            Principal::SolutionToken { solution_id, .. } => solution_id,
        }
    }

    pub(crate) fn sender(&self) -> Sender<'_> {
        match self {
            Principal::SecretKey { .. } => Sender::Solution,
            Principal::SolutionToken { customer_id, .. } => Sender::Customer(customer_id),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::SecretKey { solution_id } => write!(f, "{solution_id}/test/secret_key"),
            Principal::SolutionToken { customer_id, solution_id } => {
                write!(f, "{customer_id}/{solution_id}/test/token")
            }
        }
    }
}
