//! Processes that die, and usage that must come out even: an event that `track_usage` acknowledged is
//! counted, and counted once, whatever dies when.
//!
//! ```text
//! writer processes ──► spool ──► server process ──► database
//!       │                                               │
//!       └──► lists of what was acknowledged ──► compared ┘
//! ```
//!
//! Nothing that is tested is believed: neither the SDK's accounts nor the server's answers. Each task
//! of a [`writer`] notes the ids it was given in a file of its own ([`acks`]); at the end the events
//! are read from the database's file itself ([`ledger`]).
//!
//! [`kills`] kills writers and servers at random moments; [`sweep`] lets each system call on the way be
//! the last one of its process, or fail; in [`quota`], programs that are killed spend what has a hard
//! limit ([`spender`]), and nobody spends more. The processes are this crate's binary,
//! `crash`; the tests are short slices of the campaigns that `cargo xtask crash` runs.

#![forbid(unsafe_code)]

pub mod acks;
pub mod crew;
pub mod kills;
pub mod ledger;
pub mod quota;
pub mod server;
pub mod spender;
pub mod stage;
pub mod strace;
#[cfg(target_os = "linux")]
pub mod sweep;
pub mod writer;

/// The solution whose usage is tracked, of the server's built-in world.
pub const SOLUTION: &str = "sol_faiss_search";
/// What is done again and again. It has no hard limit: nothing is rejected.
pub const ACTION: &str = "search";
