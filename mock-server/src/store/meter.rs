//! What a store measures of itself. It counts for everybody who has a clone.

use prometheus_client::metrics::histogram::Histogram;

/// Upper bounds in seconds: a sync takes 0.3 ms on a good disk and 10 ms on a spinning one, and a commit
/// waits for the group before its own.
const DURATIONS: [f64; 10] = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];
/// Upper bounds in commits: the last is the most of a group.
const GROUPS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Measures of commits.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    /// From when a commit is handed over until it is answered.
    pub durations: Histogram,
    /// How many commits had one transaction of the file.
    pub groups: Histogram,
}

impl Default for Meter {
    fn default() -> Self {
        Meter { durations: Histogram::new(DURATIONS), groups: Histogram::new(GROUPS) }
    }
}
