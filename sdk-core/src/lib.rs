//! The CloudNestle Marketplace SDK: *who is this user, may they do this, and note that they did it*.
//!
//! ```
//! # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
//! # example::run(async |sdk, token, _pair| {
//! use cloudnestle_marketplace::Usage;
//!
//! let user = sdk.validate_user(token).await?; // signature here, revocation by the feed
//! let context = sdk.get_user_context(token).await?; // tier, entitlements, quotas
//! sdk.track_usage(token, "search").await?; // written down now, delivered in the background
//! sdk.track_usage(token, Usage::of("index").quantity(512)).await?;
//! println!("{} may {:?}", user.customer_id, context.entitlements);
//!
//! sdk.close(std::time::Duration::from_secs(2)).await; // delivers what it can, keeps the rest
//! # Ok(()) });
//! ```
//!
//! Outside of these examples, `sdk` is [`MarketplaceSdk::from_env`] or
//! [`MarketplaceSdk::builder`], and `token` is what the marketplace hands a solution when a user
//! opens it. To try it on a laptop, run `cloudnestle-mock-server`.
//!
//! # What it promises
//!
//! * **A validated user is who the marketplace says**, as of at most 5 s ago; in an outage, as of
//!   at most 5 minutes ago, and the answer says so ([`Answer`]).
//! * **Acknowledged usage survives the process and counts once**, however often it has to be sent.
//! * **A hard limit is never exceeded** by all programs that [`consume`](MarketplaceSdk::consume) together, whichever of
//!   them dies; in an outage, unless the solution has chosen otherwise.
//! * **A renewed pair is never lost** to a caller that gave up, or to an answer that was.
//! * **[`close`](MarketplaceSdk::close) returns by its deadline.**
//! * **No secret is printed**: not in errors, logs or `Debug`.
//!
//! A program that its users hold, which has their tokens and no secret key, is a [`ClientSdk`].
//!
//! Every error has a stable [`Code`], says whether trying again can help, and what to do. When
//! nothing works at all, [`diagnose`](MarketplaceSdk::diagnose) says what is wrong.
//!
#![cfg_attr(
    feature = "native",
    doc = "Programs without async use [`blocking`], which has the same calls."
)]
//!
//! # Features
//!
//! `native` (default) brings sockets, files and threads by way of tokio, reqwest with rustls, and
//! moka. Without it the SDK runs on a [`Host`](host::Host) of your own, and has none of these; nor has it `blocking`.
//!
//! `backend` (part of `native`) is all that takes a secret key. Without it, and without `native`, there is
//! [`ClientSdk`] alone, at less than the size.
//!
//! `files` (part of `backend`) keeps usage on files. Without it, it waits in a [log](host::PlatformLog) that the platform keeps itself,
//! or in memory.
//!
//! `prose` (part of `native`) is what the error catalogue says in words. A program that has its own words for
//! each [`Code`] does without.
//!
//! `small` reads JSON in less code, and slower: for a module that browsers fetch.
//!
//! `sim` adds `host::sim`: a host for tests in which time passes at once, the disk forgets, and a seed
//! tells the whole story.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(feature = "backend"),
    allow(
        dead_code,
        unreachable_pub,
        unused_imports,
        reason = "of the parts that both share a client uses less; what nobody calls is not linked"
    )
)]

mod answer;
mod assembly;
mod auth;
#[cfg(feature = "native")]
pub mod blocking;
mod client;
mod config;
mod context;
#[cfg(feature = "backend")]
mod diagnose;
mod error;
mod events;
mod flights;
#[cfg(any(feature = "fuzz", all(test, feature = "native")))]
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "backend")]
mod history;
pub mod host;
mod http;
pub mod json;
mod memory;
pub mod model;
#[cfg(feature = "planted")]
#[doc(hidden)]
pub mod planted;
#[cfg(not(feature = "planted"))]
mod planted;
mod reach;
#[cfg(feature = "backend")]
mod sdk;
mod sync;
mod usage;

pub use answer::{Answer, Freshness, Verified};
pub use auth::{HeldActor, HeldUser, TokenSource, User, ValidationMode};
pub use client::{ClientSdk, ClientStats};
#[cfg(feature = "backend")]
pub use config::Builder;
pub use config::ClientBuilder;
#[cfg(feature = "backend")]
pub use diagnose::{Check, Diagnosis, Finding, Severity};
pub use error::{Error, Result};
pub use events::{Event, Events};
#[cfg(feature = "backend")]
pub use history::{Pages, UsageFilter};
pub use model::{
    Bucket, Code, CountedEvent, EventRef, Quota, Secret, Tier, TokenPair, UsageBucket, UserContext,
};
#[cfg(feature = "backend")]
pub use sdk::{Background, MarketplaceSdk, Stats};
pub use usage::{
    CloseReport, Durability, Losses, Overflow, Receipt, ReceiptLog, RejectedUsage, SpoolLimits,
    Usage, UsageStats,
};
#[cfg(feature = "backend")]
pub use usage::{Consumed, Denial, LeaseStats};
