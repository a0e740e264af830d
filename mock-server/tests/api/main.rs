//! The server as its callers see it: real HTTP, on both stores.
#![cfg(feature = "control")]

mod accounts;
mod bodies;
mod browsers;
mod clients;
mod clock;
mod common;
mod connections;
mod consume;
mod control;
mod corrections;
mod events;
mod fault_kinds;
mod faults;
mod history;
mod idempotency;
mod journal;
mod launches;
mod leases;
mod limits;
mod metrics;
mod page;
mod problems;
mod rate_limits;
mod resets;
mod revocations;
mod seed;
mod snapshots;
mod tiers;
mod tokens;
mod usage;
mod verify;
mod versions;
mod worlds;
