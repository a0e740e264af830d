//! What the server counts of itself, for Prometheus: calls by operation and how they ended, how long
//! they took, how many are under way; what commits cost the store, and what waits to be done.
//!
//! Operations are those of the table of routes, so there are as many series as there are routes, whatever
//! is asked for. Labels hold nothing that a caller made up.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::store::Meter;

/// Upper bounds in seconds: a cached answer takes 50 µs, a commit a few milliseconds, and a call is
/// given up after 30 s.
const DURATIONS: [f64; 12] =
    [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// How a call ended.
const ENDS: [&str; 6] = ["reset", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The metrics of one server.
pub(crate) struct Metrics {
    registry: Registry,
    calls: Family<Labels<2>, Counter>,
    durations: Family<Labels<1>, Histogram, fn() -> Histogram>,
    under_way: Gauge,
    connections: Gauge,
    /// What the store measures.
    pub store: Meter,
    pending: Gauge,
    #[cfg(feature = "control")]
    journal: Gauge,
    /// By path, for each of its methods.
    operations: RwLock<HashMap<String, Vec<(&'static str, Operation)>>>,
}

/// A route's own, so that a call need not look for them by their labels.
#[derive(Clone)]
struct Operation {
    ends: [Counter; ENDS.len()],
    duration: Histogram,
}

/// A call that is under way until this is dropped.
pub(crate) struct UnderWay(Gauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("cloudnestle");
        let calls = Family::default();
        registry.register("calls", "Calls, by operation and how they ended", calls.clone());
        let new: fn() -> Histogram = || Histogram::new(DURATIONS);
        let durations = Family::new_with_constructor(new);
        let help = "How long calls took to answer, by operation";
        registry.register_with_unit("call_duration", help, Unit::Seconds, durations.clone());
        let under_way = Gauge::default();
        registry.register("calls_under_way", "Calls that are being answered", under_way.clone());
        let connections = Gauge::default();
        registry.register("connections", "Connections that are open", connections.clone());
        let store = Meter::default();
        let help =
            "How long commits to the database took to be answered, the wait for others included";
        let commits = store.durations.clone();
        registry.register_with_unit("commit_duration", help, Unit::Seconds, commits);
        let help =
            "How many commits shared a transaction of the database, and its wait for the disk";
        registry.register("commit_group_size", help, store.groups.clone());
        let pending = Gauge::default();
        let help = "Notes of usage that the counters don't show yet, as far as they were counted";
        registry.register("projections_pending", help, pending.clone());
        #[cfg(feature = "control")]
        let journal = Gauge::default();
        #[cfg(feature = "control")]
        registry.register("journal_entries", "Calls that the journal keeps", journal.clone());
        Metrics {
            registry,
            calls,
            durations,
            under_way,
            connections,
            store,
            pending,
            #[cfg(feature = "control")]
            journal,
            operations: RwLock::default(),
        }
    }
}

impl Metrics {
    /// A call begins.
    pub(crate) fn begin(&self) -> UnderWay {
        self.under_way.inc();
        UnderWay(self.under_way.clone())
    }

    /// A call of a route has ended, by an answer of that status or without one.
    pub(crate) fn count(
        &self,
        method: &'static str,
        path: &str,
        status: Option<u16>,
        took: Duration,
    ) {
        let operation = self.known(method, path).unwrap_or_else(|| self.learn(method, path));
        let end = status.map_or(0, |status| usize::from(status / 100).min(5));
        operation.ends[end].inc();
        operation.duration.observe(took.as_secs_f64());
    }

    pub(crate) fn set_connections(&self, open: usize) {
        self.connections.set(open as i64);
    }

    pub(crate) fn set_pending(&self, notes: usize) {
        self.pending.set(notes as i64);
    }

    #[cfg(feature = "control")]
    pub(crate) fn set_journal(&self, entries: usize) {
        self.journal.set(entries as i64);
    }

    /// The text that Prometheus reads.
    pub(crate) fn exposition(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn known(&self, method: &str, path: &str) -> Option<Operation> {
        let operations = self.operations.read().unwrap_or_else(PoisonError::into_inner);
        let of_path = operations.get(path)?.iter().find(|(known, _)| *known == method);
        of_path.map(|(_, operation)| operation.clone())
    }

    fn learn(&self, method: &'static str, path: &str) -> Operation {
        let name = format!("{method} {path}");
        let labels = |end: &str| Labels([("operation", name.clone()), ("end", end.to_owned())]);
        let operation = Operation {
            ends: ENDS.map(|end| self.calls.get_or_create_owned(&labels(end))),
            duration: self.durations.get_or_create_owned(&Labels([("operation", name.clone())])),
        };
        let mut operations = self.operations.write().unwrap_or_else(PoisonError::into_inner);
        operations.entry(path.to_owned()).or_default().push((method, operation.clone()));
        operation
    }
}

/// Names and values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Labels<const N: usize>([(&'static str, String); N]);

impl<const N: usize> EncodeLabelSet for Labels<N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.encode(encoder)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_exposed() {
        let metrics = Metrics::default();
        let call = metrics.begin();
        for (status, millis) in [(Some(200), 1), (Some(204), 3), (Some(429), 0), (None, 9000)] {
            metrics.count("GET", "/a/{id}", status, Duration::from_millis(millis));
        }
        metrics.count("POST", "/a/{id}", Some(500), Duration::ZERO);
        let text = metrics.exposition();
        for line in [
            r#"cloudnestle_calls_total{operation="GET /a/{id}",end="2xx"} 2"#,
            r#"cloudnestle_calls_total{operation="GET /a/{id}",end="4xx"} 1"#,
            r#"cloudnestle_calls_total{operation="GET /a/{id}",end="reset"} 1"#,
            r#"cloudnestle_calls_total{operation="POST /a/{id}",end="5xx"} 1"#,
            r#"cloudnestle_call_duration_seconds_bucket{le="0.001",operation="GET /a/{id}"} 2"#,
            r#"cloudnestle_call_duration_seconds_count{operation="GET /a/{id}"} 4"#,
            "cloudnestle_calls_under_way 1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
        drop(call);
        assert!(metrics.exposition().contains("cloudnestle_calls_under_way 0"));
    }
}
