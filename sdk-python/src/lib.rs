//! The core for Python. It lends the core an interpreter and adds no behaviour: calls cross here, what they
//! answer becomes Python's, and the rest is the face in `python/cloudnestle_marketplace`.
//!
//! * A call is a `Call`, which a thread waits for with the interpreter given back, or a task
//!   awaits. What needs no waiting is answered at once, without another thread.
//! * The SDK of a program is at `Home` in one process. A forked child builds its own when it is
//!   first used.

mod call;
mod core;
mod errors;
mod events;
mod history;
mod home;
mod logging;
mod model;
mod receipt;
mod settings;
mod source;
mod usage;

use pyo3::prelude::*;

/// What the face is made over. Use `cloudnestle_marketplace`.
#[pymodule]
pub mod _native {
    #[pymodule_export]
    use crate::call::{Call, settle, stop_telling};
    #[pymodule_export]
    use crate::core::Core;
    #[pymodule_export]
    use crate::errors::error_of;
    #[pymodule_export]
    use crate::events::Events;
    #[pymodule_export]
    use crate::history::{CountedEvent, Items, UsageBucket};
    #[pymodule_export]
    use crate::home::forked;
    #[pymodule_export]
    use crate::model::{
        CloseReport, Denial, Diagnosis, EventRef, Finding, LeaseStats, Losses, Quota,
        RejectedUsage, Stats, TokenPair, UsageEvent, UsageStats, User, UserContext,
    };
    #[pymodule_export]
    use crate::receipt::Receipt;
    #[pymodule_export]
    use crate::source::TokenSource;
}
