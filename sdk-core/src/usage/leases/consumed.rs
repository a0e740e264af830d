//! What becomes of a wish to consume.

use crate::error::Error;
use crate::model::{Code, Quota, QuotaPolicy, Timestamp, Window};
use crate::usage::Receipt;

/// They may, and it is noted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Consumed {
    pub(in crate::usage) receipt: Receipt,
    pub(in crate::usage) overage: bool,
}

impl Consumed {
    /// The acknowledgement of the event, as [`track_usage`](crate::MarketplaceSdk::track_usage) gives it.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// let consumed = sdk.consume(token, "search").await?;
    /// println!("noted as {}", consumed.receipt().event_id());
    /// # sdk.flush().await?;
    /// # consumed.receipt().delivered().await?;
    /// # Ok(()) });
    /// ```
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Whether nobody knows if the limit has room for it: the marketplace can't be reached, no lease was
    /// left, and the solution allows the action all the same in an outage. It will count, be it beyond
    /// the limit.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// if sdk.consume(token, "search").await?.is_overage() {
    ///     println!("allowed in an outage; nothing costly now");
    /// }
    /// # Ok(()) });
    /// ```
    pub fn is_overage(&self) -> bool {
        self.overage
    }
}

/// Why they may not, in particulars: of an error with [`Code::QuotaExceeded`],
/// [`denial`](crate::Error::denial) tells. Of several limits that are in the way, this is the one that
/// begins anew last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Denial {
    /// What they wanted to do.
    pub action: String,
    /// The most they may, in one window.
    pub limit: u64,
    /// What they have used of it.
    pub used: u64,
    /// What is set aside for other programs that may use it, or have used it and not said so yet. What
    /// this program had not used of it was given back before it was denied, where that would have helped.
    pub leased: u64,
    /// What is left for whoever asks. Less than was wanted.
    pub remaining: u64,
    /// How long a window is.
    pub window: Window,
    /// When the next window begins.
    pub resets_at: Timestamp,
    /// Where they get a higher tier, if the solution has said so.
    pub upgrade_url: Option<String>,
}

impl Denial {
    /// How much is missing of what is wanted.
    pub(super) fn lacks(quantity: u64, quotas: &[Quota]) -> u64 {
        quotas.iter().map(|quota| lacks(quota, quantity)).max().unwrap_or(0)
    }

    /// The error that says that there is not so much left.
    pub(super) fn of(
        action: &str,
        quantity: u64,
        quotas: Vec<Quota>,
        upgrade_url: Option<String>,
    ) -> Error {
        let short = quotas.iter().filter(|quota| lacks(quota, quantity) > 0);
        let short = short.max_by_key(|quota| quota.resets_at);
        let Some((quota, limit)) = short.and_then(|quota| Some((quota, quota.limit?))) else {
            return Error::new(Code::QuotaExceeded); // others gave something back meanwhile
        };
        let Quota { used, leased, window, resets_at, .. } = *quota;
        let remaining = quota.remaining.unwrap_or_default();
        let words = format!(
            "{used} of {limit} are used ({action}) and {leased} set aside; the limit begins anew at \
             {resets_at}."
        );
        let action = action.to_owned();
        Error::because(Code::QuotaExceeded, words).denying(Denial {
            action,
            limit,
            used,
            leased,
            remaining,
            window,
            resets_at,
            upgrade_url,
        })
    }
}

fn lacks(quota: &Quota, quantity: u64) -> u64 {
    let remaining = quota.remaining.filter(|_| quota.policy == QuotaPolicy::Hard);
    remaining.map_or(0, |left| quantity.saturating_sub(left))
}
