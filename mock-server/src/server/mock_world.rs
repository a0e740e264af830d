//! One marketplace of a server, in the hands of whoever holds it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
#[cfg(feature = "control")]
use std::sync::Weak;

use cloudnestle_marketplace::model::Secret;

use crate::market::{CustomerInfo, Market, SolutionInfo};

/// A marketplace of a [`MockServer`](crate::MockServer): its own, or one that was made beside it.
///
/// One that was made beside it is forgotten when this is dropped.
pub struct MockWorld {
    pub(crate) market: Arc<Market>,
    /// The server's own marketplace, beside which this one was made; nobody's if it is that one. It is not
    /// held, so that a server that was stopped has closed its file.
    #[cfg(feature = "control")]
    pub(crate) beside: Weak<Market>,
}

impl MockWorld {
    /// A server's own.
    pub(super) fn new(market: Arc<Market>) -> MockWorld {
        MockWorld {
            market,
            #[cfg(feature = "control")]
            beside: Weak::new(),
        }
    }

    /// Where it can be reached, and the `iss` of its tokens: no slash at the end.
    pub fn url(&self) -> &str {
        &self.market.url
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.market.address
    }

    /// The solutions it was founded with, with their secret keys. They stay the same as long as
    /// the database does.
    pub fn solutions(&self) -> Vec<SolutionInfo> {
        self.market.solutions.clone()
    }

    /// The customers it was founded with, as they were when it was started.
    pub fn customers(&self) -> Vec<CustomerInfo> {
        self.market.customers.clone()
    }

    /// The secret key of a solution, if the marketplace was founded with it.
    pub fn secret_key(&self, solution_id: &str) -> Option<Secret> {
        self.solutions().into_iter().find(|it| it.id == solution_id).map(|it| it.secret_key)
    }

    /// The key of the marketplace's own people, who may do everything. It stays the same as long as
    /// the database does.
    pub fn admin_key(&self) -> Secret {
        self.market.keys.test_admin_key()
    }
}

impl fmt::Debug for MockWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MockWorld({})", self.url())
    }
}
