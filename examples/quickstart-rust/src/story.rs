use std::cell::Cell;
use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use cloudnestle_marketplace::{
    Answer, Freshness, MarketplaceSdk, Receipt, TokenPair, UsageStats, User, UserContext,
};

/// Tells what was asked, what came back, how long it took, and whether the network was needed.
pub(crate) struct Story<'a> {
    sdk: &'a MarketplaceSdk,
    last_answer: Cell<Instant>,
}

impl<'a> Story<'a> {
    pub(crate) fn of(sdk: &'a MarketplaceSdk) -> Self {
        println!("\n  {:<32} {:>9}  {:<11} what came back", "what was asked", "it took", "from");
        Story { sdk, last_answer: Cell::new(Instant::now()) }
    }

    pub(crate) fn chapter(&self, title: &str) {
        println!("\n{title}");
    }

    pub(crate) async fn tell<T: InWords, E: Display>(
        &self,
        asked: &str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let requests = self.sdk.stats().requests;
        let started = Instant::now();
        let result = call.await;
        let took = started.elapsed();
        let source = match self.sdk.stats().requests - requests {
            _ if result.as_ref().is_ok_and(T::was_remembered) => T::WITHOUT_REQUEST.to_owned(),
            0 if result.is_ok() => T::WITHOUT_REQUEST.to_owned(),
            0 => "here".to_owned(),
            1 => "network".to_owned(),
            n => format!("network × {n}"),
        };
        let came_back = match &result {
            Ok(value) => value.in_words(),
            Err(error) => format!("refused – {error}"),
        };
        println!("  {asked:<32} {:>9}  {source:<11} {came_back}", format!("{took:.1?}"));
        self.last_answer.set(Instant::now());
        result
    }

    /// Answers are given again for 5 s without asking.
    pub(crate) async fn wait_for_fresh_answers(&self) {
        let left = Duration::from_millis(5_100).saturating_sub(self.last_answer.get().elapsed());
        println!("  (waiting {left:.1?}, until remembered answers are no longer fresh)");
        tokio::time::sleep(left).await;
    }

    /// What is fetched behind an answer takes no longer than any other request.
    pub(crate) async fn wait_for_the_newer_one(&self) {
        println!("  (waiting 0.2 s for the newer one)");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    /// Waits for whoever plays the marketplace.
    pub(crate) fn ask_for(&self, deed: &str) -> Result<()> {
        println!("\nPlease {deed}, and press Enter.");
        std::io::stdout().flush()?;
        std::io::stdin().read_line(&mut String::new())?;
        Ok(())
    }
}

/// A result, in a few words.
pub(crate) trait InWords {
    /// Where it comes from when no request was made for it.
    const WITHOUT_REQUEST: &str = "here";

    /// Whether it was given without waiting for the request that was made meanwhile.
    fn was_remembered(&self) -> bool {
        false
    }

    fn in_words(&self) -> String;
}

impl InWords for () {
    fn in_words(&self) -> String {
        "done".to_owned()
    }
}

impl InWords for Answer<User> {
    const WITHOUT_REQUEST: &str = "cache";

    fn in_words(&self) -> String {
        let age = match self.freshness() {
            Freshness::Fresh => String::new(),
            _ => format!(", {:.0?} old because the marketplace is away", self.age()),
        };
        format!("{} is {:?} (verified {:?}{age})", self.customer_id, self.tier, self.verified())
    }
}

impl InWords for Answer<UserContext> {
    const WITHOUT_REQUEST: &str = "cache";

    fn was_remembered(&self) -> bool {
        self.freshness() == Freshness::Stale
    }

    fn in_words(&self) -> String {
        let quotas = self.quotas.iter().map(|quota| match quota.limit {
            Some(limit) => format!("{} {} of {limit}", quota.action, quota.used),
            None => format!("{} {}", quota.action, quota.used),
        });
        let age = match self.freshness() {
            Freshness::Fresh => String::new(),
            Freshness::Stale => {
                format!(" (as it was {:.0?} ago; a newer one is being fetched)", self.age())
            }
            _ => format!(" ({:.0?} old because the marketplace is away)", self.age()),
        };
        format!("used: {}{age}", quotas.collect::<Vec<_>>().join(", "))
    }
}

impl InWords for Receipt {
    const WITHOUT_REQUEST: &str = "disk";

    fn in_words(&self) -> String {
        format!("acknowledged as {}", self.event_id())
    }
}

impl InWords for TokenPair {
    fn in_words(&self) -> String {
        format!("a new pair, good until {}", self.expires_at)
    }
}

impl InWords for UsageStats {
    fn in_words(&self) -> String {
        let UsageStats { tracked, delivered, pending, .. } = self;
        format!("tracked {tracked} = delivered {delivered} + pending {pending}")
    }
}
