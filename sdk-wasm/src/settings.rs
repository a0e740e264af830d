//! How the face sets the core up: what a program has given it, and what it found in the environment.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "backend")]
use cloudnestle_marketplace::ValidationMode;
use cloudnestle_marketplace::{Durability, Overflow, Result, SpoolLimits};
use serde::Deserialize;

use crate::Sdk;
use crate::host::WebHost;

/// Forms are the face's to check: it has types, and this its words.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Settings {
    #[cfg(feature = "backend")]
    secret_key: Option<String>,
    /// The face provides the key that has replaced it.
    #[cfg(feature = "backend")]
    provides_key: bool,
    #[cfg(feature = "backend")]
    validation: Validation,
    #[cfg(not(feature = "backend"))]
    publishable_key: Option<String>,
    solution: Option<String>,
    url: Option<String>,
    issuer: Option<String>,
    deadline_ms: Option<f64>,
    spool_dir: Option<String>,
    spool_in_memory: bool,
    spool_events: Option<f64>,
    spool_bytes: Option<f64>,
    spool_age_ms: Option<f64>,
    overflow: OnOverflow,
    durable: bool,
}

#[cfg(feature = "backend")]
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Validation {
    #[default]
    Connected,
    Online,
    Local,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum OnOverflow {
    #[default]
    Reject,
    DropOldest,
    DropNewest,
}

impl Settings {
    pub(crate) fn build(self, host: Arc<WebHost>) -> Result<Sdk> {
        let mut builder = Sdk::builder().host(host.clone());
        #[cfg(feature = "backend")]
        {
            if self.provides_key {
                builder = builder.secret_key_provider(move || host.newer_key());
            }
            if let Some(key) = self.secret_key {
                builder = builder.secret_key(key);
            }
            builder = builder.validation(match self.validation {
                Validation::Connected => ValidationMode::Connected,
                Validation::Online => ValidationMode::Online,
                Validation::Local => ValidationMode::Local,
            });
        }
        #[cfg(not(feature = "backend"))]
        if let Some(key) = self.publishable_key {
            builder = builder.publishable_key(key);
        }
        if let Some(solution) = self.solution {
            builder = builder.solution(solution);
        }
        if let Some(url) = self.url {
            builder = builder.url(url);
        }
        if let Some(issuer) = self.issuer {
            builder = builder.issuer(issuer);
        }
        if let Some(millis) = self.deadline_ms {
            builder = builder.deadline(duration(millis));
        }
        if let Some(dir) = self.spool_dir {
            builder = builder.spool_dir(dir);
        }
        if self.spool_in_memory {
            builder = builder.spool_in_memory();
        }
        let mut limits = SpoolLimits::default().overflow(match self.overflow {
            OnOverflow::Reject => Overflow::Reject,
            OnOverflow::DropOldest => Overflow::DropOldest,
            OnOverflow::DropNewest => Overflow::DropNewest,
        });
        if let Some(events) = self.spool_events {
            limits = limits.events(events as u64);
        }
        if let Some(bytes) = self.spool_bytes {
            limits = limits.bytes(bytes as u64);
        }
        if let Some(millis) = self.spool_age_ms {
            limits = limits.age(duration(millis));
        }
        builder
            .spool_limits(limits)
            .durability(if self.durable { Durability::Durable } else { Durability::Fast })
            .build()
    }
}

/// JavaScript's milliseconds. What is no time, or longer than can be counted, is as long as can be.
pub(crate) fn duration(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis.max(0.0) / 1000.0).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javascripts_milliseconds_are_never_too_many() {
        assert_eq!(duration(1.5), Duration::from_micros(1500));
        assert_eq!(duration(-1.0), Duration::ZERO);
        assert_eq!(duration(f64::INFINITY), Duration::MAX);
    }
}
