//! How often and after how long a call is tried again. What is tried again, the client decides by the
//! answer.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use crate::host::Host;

/// The longest wait that a call is made to wait by the marketplace: the bound of OpenAI's SDKs is one
/// minute in JavaScript, two in Python. Whoever asks for more gets no second attempt, and the caller
/// gets the error, which says how long.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How often and how long a call is tried again. backon gives the delays; the waiting and the
/// randomness are the host's, so that a simulation can hold both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryPolicy {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    pub(crate) retries: usize,
}

impl RetryPolicy {
    /// For a call somebody waits for: two retries, as the SDKs of OpenAI and Stripe have, but after
    /// 0.2 s in place of their 0.5 s, because a page waits for a validation.
    pub(crate) const CALL: RetryPolicy = RetryPolicy {
        first: Duration::from_millis(200),
        longest: Duration::from_secs(2),
        retries: 2,
    };

    /// For usage that is safe on disk: as long as it takes, one attempt in 30 s in the end.
    pub(crate) const UPLOAD: RetryPolicy = RetryPolicy {
        first: Duration::from_millis(500),
        longest: Duration::from_secs(30),
        retries: usize::MAX,
    };

    pub(crate) fn delays(&self) -> impl Iterator<Item = Duration> + Send + Sync + use<> {
        let builder =
            ExponentialBuilder::new().with_min_delay(self.first).with_max_delay(self.longest);
        match self.retries {
            usize::MAX => builder.without_max_times(),
            retries => builder.with_max_times(retries),
        }
        .build()
    }
}

/// A moment between now and `delay`: clients that failed together must not come back together
/// ("full jitter", AWS Architecture Blog, "Exponential Backoff And Jitter").
pub(crate) fn full_jitter(host: &dyn Host, delay: Duration) -> Duration {
    let mut random = [0; 8];
    host.random(&mut random);
    delay.mul_f64(u64::from_le_bytes(random) as f64 / u64::MAX as f64)
}
