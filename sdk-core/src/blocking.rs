//! The SDK for programs without async: the same calls, which wait.
//!
//! The work is done on the SDK's own thread, so these may be called from anywhere, tasks of an async
//! runtime included; there they hold that thread up, which [`crate::MarketplaceSdk`] does not.
//!
//! ```
//! # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
//! # example::run_blocking(|sdk, token, _pair| {
//! let user = sdk.validate_user(token)?;
//! sdk.track_usage(token, "search")?;
//! println!("{} is a {:?} customer", user.customer_id, user.tier);
//!
//! let report = sdk.close(std::time::Duration::from_secs(2));
//! assert_eq!(report.usage.pending, 0);
//! # Ok(()) });
//! ```
//!
//! Outside of these examples, `sdk` is [`MarketplaceSdk::from_env`], or made of the other one:
//! `blocking::MarketplaceSdk::from(builder.build()?)`.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::model::Page;
use crate::{
    Answer, Bucket, CloseReport, CountedEvent, Diagnosis, Event, EventRef, Quota, RejectedUsage,
    Result, Secret, Stats, TokenPair, Usage, UsageBucket, UsageFilter, UsageStats, User,
    UserContext,
};

/// [`crate::MarketplaceSdk`], whose documentation says what the calls do and promise.
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # example::run_blocking(|sdk, token, pair| {
/// use cloudnestle_marketplace::{Code, Usage};
///
/// let context = sdk.get_user_context(token)?;
/// println!("{} may {:?}", context.customer_id, context.entitlements);
///
/// let receipt = sdk.track_usage(token, Usage::of("index").quantity(512))?;
/// receipt.persisted()?;
/// sdk.flush()?;
/// assert_eq!(sdk.stats().usage.delivered, 1);
/// println!("{:?}", sdk.quotas("cus_asha")?);
///
/// let visitor = sdk.create_visitor()?;
/// assert!(sdk.exchange_code("made up", None).is_err());
/// # let _ = visitor;
///
/// let renewed = sdk.refresh(&pair)?;
/// sdk.revoke_token(renewed.access_token.expose())?;
/// let error = sdk.validate_user(renewed.access_token.expose()).unwrap_err();
/// assert_eq!(error.code(), Code::TokenRevoked);
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct MarketplaceSdk(crate::MarketplaceSdk);

/// The acknowledgement of an event, as [`crate::Receipt`].
#[derive(Clone, Debug)]
pub struct Receipt(crate::Receipt);

/// That they may, and it is noted, as [`crate::Consumed`].
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # example::run_blocking(|sdk, token, _pair| {
/// let consumed = sdk.consume(token, "export")?;
/// assert!(!consumed.is_overage());
/// sdk.flush()?;
/// consumed.receipt().delivered()?;
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct Consumed(crate::Consumed);

/// A pair that is kept fresh, as [`crate::TokenSource`].
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # example::run_blocking(|sdk, _token, pair| {
/// let source = sdk.keep_fresh(pair);
/// let token = source.access_token()?; // good now, whenever that is
/// sdk.validate_user(token.expose())?;
/// assert_eq!(source.pair().access_token, token);
///
/// let context = source.call(|token| sdk.get_user_context(token))?; // again with a new one if refused
/// assert_eq!(context.customer_id, "cus_asha");
///
/// let other = source.replace(&token)?; // somebody has refused it
/// assert_ne!(other, token);
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct TokenSource(crate::TokenSource);

/// What the SDK does by itself, from the moment of [`MarketplaceSdk::events`] on. The iterator waits
/// for the next event, and ends with the SDK.
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # example::run_blocking(|sdk, token, _pair| {
/// use cloudnestle_marketplace::Event;
///
/// let mut events = sdk.events();
/// sdk.track_usage(token, "search")?;
/// sdk.flush()?;
/// assert!(matches!(events.next(), Some(Event::UsageDelivered { count: 1 })));
/// # Ok(()) });
/// ```
#[derive(Debug)]
pub struct Events(crate::Events);

/// A list that is read as far as somebody reads on, as [`crate::Pages`].
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # example::run_blocking(|sdk, token, _pair| {
/// use cloudnestle_marketplace::{Bucket, UsageFilter};
///
/// sdk.track_usage(token, "search")?;
/// sdk.flush()?;
/// let searches = UsageFilter::all().action("search");
/// for event in sdk.usage_events("cus_asha", searches.clone()) {
///     println!("{}", event?.counts_at);
/// }
/// let mut days = sdk.usage_history("cus_asha", Bucket::Day, searches);
/// let page = days.next_page()?.expect("a page");
/// assert_eq!(page.items[0].quantity, 1);
/// assert_eq!(days.cursor(), None);
/// # Ok(()) });
/// ```
#[derive(Debug)]
pub struct Pages<T>(crate::Pages<T>);

impl MarketplaceSdk {
    /// An SDK set up by the `CLOUDNESTLE_*` environment alone (see [`Builder`](crate::Builder)).
    ///
    /// # Errors
    /// As [`crate::MarketplaceSdk::from_env`].
    pub fn from_env() -> Result<Self> {
        crate::MarketplaceSdk::from_env().map(MarketplaceSdk)
    }

    /// As [`crate::MarketplaceSdk::validate_user`], and with its errors.
    pub fn validate_user(&self, token: &str) -> Result<Answer<User>> {
        wait(self.0.validate_user(token))
    }

    /// As [`crate::MarketplaceSdk::get_user_context`], and with its errors.
    pub fn get_user_context(&self, token: &str) -> Result<Answer<UserContext>> {
        wait(self.0.get_user_context(token))
    }

    /// As [`crate::MarketplaceSdk::track_usage`], and with its errors.
    pub fn track_usage(&self, token: &str, usage: impl Into<Usage>) -> Result<Receipt> {
        wait(self.0.track_usage(token, usage)).map(Receipt)
    }

    /// As [`crate::MarketplaceSdk::consume`], and with its errors.
    pub fn consume(&self, token: &str, usage: impl Into<Usage>) -> Result<Consumed> {
        wait(self.0.consume(token, usage)).map(Consumed)
    }

    /// As [`crate::MarketplaceSdk::exchange_code`], and with its errors.
    pub fn exchange_code(&self, code: &str, verifier: Option<&str>) -> Result<TokenPair> {
        wait(self.0.exchange_code(code, verifier))
    }

    /// As [`crate::MarketplaceSdk::create_visitor`], and with its errors.
    pub fn create_visitor(&self) -> Result<TokenPair> {
        wait(self.0.create_visitor())
    }

    /// As [`crate::MarketplaceSdk::refresh`], and with its errors.
    pub fn refresh(&self, pair: &TokenPair) -> Result<TokenPair> {
        wait(self.0.refresh(pair))
    }

    /// As [`crate::MarketplaceSdk::keep_fresh`].
    pub fn keep_fresh(&self, pair: TokenPair) -> TokenSource {
        TokenSource(self.0.keep_fresh(pair))
    }

    /// As [`crate::MarketplaceSdk::revoke_token`], and with its errors.
    pub fn revoke_token(&self, token: &str) -> Result<()> {
        wait(self.0.revoke_token(token))
    }

    /// As [`crate::MarketplaceSdk::quotas`], and with its errors.
    pub fn quotas(&self, customer_id: &str) -> Result<Vec<Quota>> {
        wait(self.0.quotas(customer_id))
    }

    /// As [`crate::MarketplaceSdk::usage_history`].
    pub fn usage_history(
        &self,
        customer_id: &str,
        bucket: Bucket,
        filter: UsageFilter,
    ) -> Pages<UsageBucket> {
        Pages(self.0.usage_history(customer_id, bucket, filter))
    }

    /// As [`crate::MarketplaceSdk::usage_events`].
    pub fn usage_events(&self, customer_id: &str, filter: UsageFilter) -> Pages<CountedEvent> {
        Pages(self.0.usage_events(customer_id, filter))
    }

    /// As [`crate::MarketplaceSdk::flush`], and with its errors.
    pub fn flush(&self) -> Result<()> {
        wait(self.0.flush())
    }

    /// As [`crate::MarketplaceSdk::flush_before_return`].
    pub fn flush_before_return(&self, deadline: Duration) -> UsageStats {
        wait(self.0.flush_before_return(deadline))
    }

    /// As [`crate::MarketplaceSdk::rejected_usage`], and with its errors.
    pub fn rejected_usage(&self) -> Result<Vec<RejectedUsage>> {
        wait(self.0.rejected_usage())
    }

    /// As [`crate::MarketplaceSdk::replay_rejected`], and with its errors.
    pub fn replay_rejected(&self) -> Result<u64> {
        wait(self.0.replay_rejected())
    }

    /// As [`crate::MarketplaceSdk::close_when_terminated`].
    pub fn close_when_terminated(&self, deadline: Duration) -> CloseReport {
        wait(self.0.close_when_terminated(deadline))
    }

    /// As [`crate::MarketplaceSdk::close`].
    pub fn close(&self, deadline: Duration) -> CloseReport {
        wait(self.0.close(deadline))
    }

    /// As [`crate::MarketplaceSdk::diagnose`].
    pub fn diagnose(&self) -> Diagnosis {
        wait(self.0.diagnose())
    }

    /// As [`crate::MarketplaceSdk::stats`].
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// As [`crate::MarketplaceSdk::events`].
    pub fn events(&self) -> Events {
        Events(self.0.events())
    }
}

impl From<crate::MarketplaceSdk> for MarketplaceSdk {
    fn from(sdk: crate::MarketplaceSdk) -> Self {
        MarketplaceSdk(sdk)
    }
}

impl Receipt {
    /// The event's id, `evt_…`, as the marketplace will have it.
    pub fn event_id(&self) -> &str {
        self.0.event_id()
    }

    /// As [`crate::Receipt::persisted`], and with its errors.
    pub fn persisted(&self) -> Result<()> {
        wait(self.0.persisted())
    }

    /// As [`crate::Receipt::delivered`], and with its errors.
    pub fn delivered(&self) -> Result<()> {
        wait(self.0.delivered())
    }

    /// As [`crate::Receipt::reference`], and with its errors.
    pub fn reference(&self) -> Result<EventRef> {
        wait(self.0.reference())
    }
}

impl Consumed {
    /// As [`crate::Consumed::receipt`].
    pub fn receipt(&self) -> Receipt {
        Receipt(self.0.receipt().clone())
    }

    /// As [`crate::Consumed::is_overage`].
    pub fn is_overage(&self) -> bool {
        self.0.is_overage()
    }
}

impl TokenSource {
    /// As [`crate::TokenSource::access_token`], and with its errors.
    pub fn access_token(&self) -> Result<Secret> {
        wait(self.0.access_token())
    }

    /// As [`crate::TokenSource::replace`], and with its errors.
    pub fn replace(&self, refused: &Secret) -> Result<Secret> {
        wait(self.0.replace(refused))
    }

    /// As [`crate::TokenSource::call`], and with its errors.
    pub fn call<T, F>(&self, call: F) -> Result<T>
    where
        F: FnOnce(&str) -> Result<T> + Clone,
    {
        wait(self.0.call(async move |token: &str| call(token)))
    }

    /// As [`crate::TokenSource::pair`].
    pub fn pair(&self) -> TokenPair {
        self.0.pair()
    }

    /// As [`crate::TokenSource::adopt`].
    pub fn adopt(&self, pair: TokenPair) -> bool {
        wait(self.0.adopt(pair))
    }
}

impl<T: DeserializeOwned + Send + Unpin + 'static> Pages<T> {
    /// As [`crate::Pages::next_page`], and with its errors.
    pub fn next_page(&mut self) -> Result<Option<Page<T>>> {
        wait(self.0.next_page())
    }

    /// As [`crate::Pages::cursor`].
    pub fn cursor(&self) -> Option<&str> {
        self.0.cursor()
    }
}

impl<T: DeserializeOwned + Send + Unpin + 'static> Iterator for Pages<T> {
    type Item = Result<T>;
    fn next(&mut self) -> Option<Result<T>> {
        wait(self.0.next())
    }
}

impl Iterator for Events {
    type Item = Event;
    fn next(&mut self) -> Option<Event> {
        wait(self.0.next())
    }
}

/// Runs a future of the SDK to its end. Its timers and sockets are the SDK's own, so parking this
/// thread is all there is to do, and no runtime of the caller's is asked: tokio's `block_on` would
/// panic within one.
fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
