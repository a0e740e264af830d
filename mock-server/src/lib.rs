//! The CloudNestle marketplace, small enough for a laptop and real enough to test against.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use cloudnestle_mock_server::MockServer;
//!
//! let server = MockServer::start().await?;
//! println!("listening at {}", server.url());
//! # #[cfg(feature = "control")] {
//! let pair = server.token_pair("cus_ravi", "sol_faiss_search").await?;
//! # assert!(pair.refresh_token.expose().starts_with("cnrt_test_"));
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! A server is a value: many may run in one process, they share nothing, and dropping one shuts it
//! down. Each begins with the [built-in world](MockWorld::solutions): three solutions and a
//! customer in every tier. With the feature `control` (on by default) tests hold its clock, its
//! fault plan and its journal, in Rust through [`MockServer`] and elsewhere through `/mock/…`.
//!
//! Inside, `api` speaks HTTP, `domain` knows what the marketplace means, `store` keeps facts, and
//! `world` is everything a test wants to hold.

#![forbid(unsafe_code)]

mod agenda;
mod api;
#[cfg(feature = "control")]
mod control;
mod domain;
mod facts;
mod market;
#[cfg(feature = "planted")]
#[doc(hidden)]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
mod server;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
mod world;

pub use agenda::{Fired, Task};
#[cfg(feature = "control")]
pub use control::{
    ControlError, Expected, Flaw, Happened, NearMiss, NewWorld, Search, Snapshot, SnapshotError,
    UnmetCalls, Unverified,
};
pub use market::{CustomerInfo, SolutionInfo};
pub use server::{Builder, MockServer, MockWorld, StartError};
#[cfg(feature = "control")]
pub use world::{
    Because, JournalCall, JournalEntry, NotShown, RecordedAnswer, RecordedRequest, Unanswered,
};
pub use world::{Callers, RateLimit};
#[cfg(feature = "control")]
pub use world::{Fault, FaultReport, PlannedFault, UnmetFaults, UsedFault, When};
