//! The core of the SDK for JavaScript: `cloudnestle-marketplace` on primitives that JavaScript brings.
//!
//! ```text
//! MarketplaceSDK (TypeScript) ──► Core: calls ──► cloudnestle-marketplace
//!      ▲        ▲                                      │
//!      │        └── answered, event ◄── tasks          │
//!      └── clock, timers, fetch, crypto, files or a log ◄── host ◄┘
//! ```
//!
//! Nothing here waits for JavaScript in the middle of a call: what takes time is asked for under a number
//! and told by another call (`sent`, `woken`, `verified`). So every way in is an export of [`Core`], which
//! the TypeScript face guards: when the core panics, the face knows, and begins another.
//!
//! Answers cross as JSON, because copying text once costs less than building objects field by field.

#![forbid(unsafe_code)]

mod answers;
mod asked;
mod calls;
mod drawn;
#[cfg(feature = "backend")]
mod files;
mod host;
mod js;
mod kept;
#[cfg(not(feature = "backend"))]
mod log;
mod settings;
mod tasks;
mod waiting;

pub use calls::Core;

#[cfg(not(feature = "backend"))]
use cloudnestle_marketplace::ClientSdk as Sdk;
#[cfg(feature = "backend")]
use cloudnestle_marketplace::MarketplaceSdk as Sdk;
