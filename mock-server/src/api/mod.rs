//! The HTTP API: one file per resource. Each call is parsed, authorised, decided by the domain and
//! answered; no rule of the business is here.

mod audit;
pub(crate) mod caller;
mod context;
pub(crate) mod cursor;
pub(crate) mod encoding;
mod idempotency;
pub(crate) mod json;
pub(crate) mod launches;
pub(crate) mod layers;
mod leases;
pub(crate) mod limits;
mod metrics;
pub(crate) mod openapi;
mod page;
pub(crate) mod passwords;
pub(crate) mod problem;
pub(crate) mod query;
mod quotas;
mod revocations;
pub(crate) mod routes;
#[cfg(all(test, feature = "control"))]
mod secrecy;
mod secret_keys;
pub(crate) mod sessions;
mod tiers;
pub(crate) mod tokens;
pub(crate) mod usage;
mod user_solutions;
mod users;
mod version;

#[cfg(feature = "control")]
pub(crate) use json::Json;
