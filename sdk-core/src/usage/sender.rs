//! Who sends usage: a solution's backend with its key, or a program that a customer holds with the
//! customer's token.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::auth::User;
use crate::error::{Error, Result};
use crate::http::{Call, Clock, Credential, SecretKey};
use crate::model::{Code, Secret, Timestamp};

/// With what a log is sent. It never changes hands: the marketplace counts for a principal.
pub(crate) enum Sender {
    /// The solution's backend.
    Solution(Arc<SecretKey>),
    /// A customer, in a program that has the customer's tokens only.
    Customer(Arc<CustomerToken>),
}

impl Sender {
    /// What usage is sent with now.
    pub(super) fn credential(&self, clock: &Clock) -> Result<Credential<'_>> {
        match self {
            Sender::Solution(key) => Ok(Credential::Solution(key)),
            Sender::Customer(token) => token.good(clock).map(Cow::Owned).map(Credential::Bearer),
        }
    }

    /// Learns from a failure whether what the call was made with is of no more use.
    pub(super) fn learn(&self, call: &Call<'_>, error: &Error) {
        if let (Sender::Customer(token), Some(used)) = (self, call.credential())
            && (error.refuses_user() || error.code() == Code::CredentialInvalid)
        {
            token.refuse(&used, error);
        }
    }
}

/// The newest good token of a customer that the program has had in hand. It is nowhere but in memory: who
/// has a spool has not what opens it.
pub(crate) struct CustomerToken(Mutex<Newest>);

struct Newest {
    token: Secret,
    expires_at: Timestamp,
    /// Why the marketplace does not take it.
    refused: Option<Error>,
}

impl CustomerToken {
    /// That of a token which was found good.
    pub(super) fn of(token: &str, user: &User) -> Arc<Self> {
        let newest =
            Newest { token: Secret::new(token), expires_at: user.expires_at, refused: None };
        Arc::new(CustomerToken(Mutex::new(newest)))
    }

    /// Takes another token of the customer that was found good, if it is the newer one, and says whether
    /// it is.
    pub(super) fn see(&self, token: &str, user: &User) -> bool {
        let mut newest = self.newest();
        let is_newer = token != newest.token.expose() && user.expires_at >= newest.expires_at;
        if is_newer {
            let token = Secret::new(token);
            *newest = Newest { token, expires_at: user.expires_at, refused: None };
        }
        is_newer
    }

    /// The token, if it still is good.
    fn good(&self, clock: &Clock) -> Result<Secret> {
        let newest = self.newest();
        match &newest.refused {
            Some(error) => Err(error.clone()),
            None if clock.now() >= newest.expires_at => Err(clock.refusal(Code::TokenExpired)),
            None => Ok(newest.token.clone()),
        }
    }

    fn refuse(&self, used: &Secret, error: &Error) {
        let mut newest = self.newest();
        if newest.token == *used {
            newest.refused = Some(error.clone());
        }
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
