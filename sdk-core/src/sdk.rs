//! The calls of the SDK, each a sentence over the parts that make it true.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::answer::Answer;
use crate::assembly::Parts;
use crate::auth::{HeldActor, HeldUser, TokenSource, User};
use crate::config::{Builder, Config};
use crate::diagnose::{Diagnosing, Diagnosis};
use crate::error::Result;
use crate::events::Events;
use crate::history::{Pages, UsageFilter};
use crate::host::Host;
use crate::http::Credential;
use crate::model::{Bucket, CountedEvent, Quota, TokenPair, UsageBucket, UserContext};
use crate::usage::{CloseReport, Consumed, LeaseStats, Receipt, RejectedUsage, Usage, UsageStats};

/// The SDK: who is this user, may they do this, and note that they did it.
///
/// Cheap to clone; clones share everything. Build one for a program and keep it.
#[derive(Clone)]
pub struct MarketplaceSdk {
    parts: Arc<Parts>,
}

/// What the SDK has done since it was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests sent, each attempt counted.
    pub requests: u64,
    /// How far the marketplace's clock is ahead of this machine's, in milliseconds, as far as its
    /// answers tell; 0 when the difference is within what can be measured.
    pub clock_offset_ms: i64,
    /// What became of usage.
    pub usage: UsageStats,
    /// What became of leases.
    pub leases: LeaseStats,
}

impl MarketplaceSdk {
    /// Sets up an SDK; what is not set comes from the `CLOUDNESTLE_*` environment.
    ///
    /// ```
    /// use cloudnestle_marketplace::MarketplaceSdk;
    ///
    /// let sdk = MarketplaceSdk::builder()
    ///     .url("https://marketplace.example")
    ///     .secret_key("cnsk_test_0123456789")
    ///     .solution("sol_faiss_search")
    ///     .build()?;
    /// # Ok::<(), cloudnestle_marketplace::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// An SDK set up by the `CLOUDNESTLE_*` environment alone (see [`Builder`]).
    ///
    /// ```
    /// use cloudnestle_marketplace::{Code, MarketplaceSdk};
    ///
    /// match MarketplaceSdk::from_env() {
    ///     Ok(sdk) => println!("{sdk:?}"),
    ///     Err(error) => assert_eq!(error.code(), Code::ConfigInvalid), // and says which variable
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`](crate::Code::ConfigInvalid) when a variable is missing or wrong.
    pub fn from_env() -> Result<Self> {
        Self::builder().build()
    }

    /// Who is this user?
    ///
    /// The token's signature is checked on this machine, its revocation by the marketplace's feed,
    /// which is read every 2 s while tokens are validated: no request for each token, and no waiting
    /// unless what is known is older than 5 s. When the marketplace can't be reached, the answer says
    /// [`Freshness::Offline`](crate::Freshness::Offline) and how old it is, for up to 5 minutes.
    /// [`ValidationMode`](crate::ValidationMode) has the alternatives.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// let user = sdk.validate_user(token).await?;
    /// assert_eq!(user.customer_id, "cus_asha");
    ///
    /// let error = sdk.validate_user("not a token").await.unwrap_err();
    /// assert_eq!(error.code().as_str(), "token_malformed");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those that [refuse the user](crate::Error::refuses_user) say that the user must not be let in.
    /// Others say that nobody knows: [`Code::Unavailable`](crate::Code::Unavailable) when the
    /// marketplace can't be reached and what is known is too old.
    pub async fn validate_user(&self, token: &str) -> Result<Answer<User>> {
        self.parts.auth.validate(token).await
    }

    /// The user of a token that [`validate_user`](Self::validate_user) has just found good, for programs
    /// that keep tokens in a map of their own because copying one costs more than looking it up: a face of
    /// the SDK in another language. `None` if there is nothing to hold, and always with
    /// [`ValidationMode::Online`](crate::ValidationMode::Online).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// sdk.validate_user(token).await?;
    /// let held = sdk.hold_user(token).expect("it is good");
    /// assert_eq!(sdk.still_good(&held).expect("it still is").customer_id, "cus_asha");
    ///
    /// sdk.revoke_token(token).await?;
    /// assert!(sdk.still_good(&held).is_none()); // ask with the token
    /// # Ok(()) });
    /// ```
    pub fn hold_user(&self, token: &str) -> Option<HeldUser> {
        self.parts.auth.hold(token)
    }

    /// What [`validate_user`](Self::validate_user) would answer at once for a held user; `None` if it would
    /// have to look at the token, or would refuse it.
    pub fn still_good(&self, held: &HeldUser) -> Option<Answer<User>> {
        self.parts.auth.still(held)
    }

    /// May they do this? The user's tier, entitlements and quotas; at most 5 s old, or marked:
    /// [`Freshness::Stale`](crate::Freshness::Stale) up to 30 s, while a newer one is fetched for
    /// whoever asks next, and [`Freshness::Offline`](crate::Freshness::Offline) up to 5 minutes, when
    /// the marketplace can't be reached. A revoked token or another tier ends that at once.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// let context = sdk.get_user_context(token).await?;
    /// for quota in &context.quotas {
    ///     println!("{}: {} used, {:?} left", quota.action, quota.used, quota.remaining);
    /// }
    /// # assert!(!context.quotas.is_empty());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`validate_user`](Self::validate_user).
    pub async fn get_user_context(&self, token: &str) -> Result<Answer<UserContext>> {
        self.parts.context.get(token).await
    }

    /// Note that they did it. When this returns the event is written to the spool and survives the
    /// death of the process; it is sent in the background, until the marketplace has it, and counts
    /// once. Works while the marketplace can't be reached, for users of tokens whose signature can be
    /// checked: the marketplace's keys are fetched once, and kept by the process.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::Usage;
    ///
    /// sdk.track_usage(token, "search").await?;
    /// let receipt = sdk.track_usage(token, Usage::of("index").quantity(512)).await?;
    /// receipt.persisted().await?; // survives the loss of power, too
    /// sdk.flush().await?;
    /// assert_eq!(sdk.stats().usage.delivered, 2);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Nothing was noted if this is an error: the token is not good or can't be checked
    /// ([`Code::Unavailable`](crate::Code::Unavailable)), the event is out of bounds, or the spool can't
    /// take it ([`Code::SpoolFull`](crate::Code::SpoolFull),
    /// [`Code::SpoolFailed`](crate::Code::SpoolFailed)).
    pub async fn track_usage(&self, token: &str, usage: impl Into<Usage>) -> Result<Receipt> {
        let user = self.parts.auth.identify(token).await?;
        self.parts.usage.track(&user.user, usage.into()).await
    }

    /// Who does something by a token that [`track_usage`](Self::track_usage) has just taken, for programs that
    /// keep tokens in a map of their own, as [`hold_user`](Self::hold_user) has it. `None` if there is nobody to
    /// hold, and always with [`Durability::Durable`](crate::Durability::Durable).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// sdk.track_usage(token, "search").await?;
    /// let actor = sdk.hold_actor(token).expect("the token is good");
    /// let receipt = sdk.track_at_once(&actor, "search").expect("nothing to wait for")?;
    /// receipt.delivered().await?;
    /// # Ok(()) });
    /// ```
    pub fn hold_actor(&self, token: &str) -> Option<HeldActor> {
        let waits = self.parts.usage.waits_for_the_disk();
        (!waits).then(|| self.parts.auth.hold_actor(token)).flatten()
    }

    /// As [`track_usage`](Self::track_usage) of a token whose actor is held, without a future. `None` if the token
    /// has to be looked at.
    pub fn track_at_once(
        &self,
        actor: &HeldActor,
        usage: impl Into<Usage>,
    ) -> Option<Result<Receipt>> {
        let user = self.parts.auth.actor(actor)?;
        Some(self.parts.usage.track_at_once(user, usage.into()))
    }

    /// May they do this, and if so note that they did it: for what has a hard limit.
    ///
    /// The marketplace sets a block of the limit aside for this program, which spends it without asking, in
    /// microseconds: however many programs there are, together they have no more counted than the limit.
    /// Blocks grow while they are used up, and are one call's worth near the limit. What is not used is
    /// given back after a minute, and by [`close`](Self::close); what a program held that was killed, by
    /// whoever adopts its spool. A program gives back what it holds itself before it is denied.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::{Code, Usage};
    ///
    /// match sdk.consume(token, Usage::of("export").quantity(200)).await {
    ///     Ok(_) => println!("exported"),
    ///     Err(error) => eprintln!("{error}"),
    /// }
    ///
    /// let error = sdk.consume(token, "export").await.unwrap_err();
    /// assert_eq!(error.code(), Code::QuotaExceeded);
    /// if let Some(denial) = error.denial() {
    ///     println!("come back at {}, or see {:?}", denial.resets_at, denial.upgrade_url);
    /// }
    /// # assert!(error.denial().is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// A denial is the marketplace's own word whenever it can be reached. When it can't, what is set aside
    /// can be spent for up to 5 minutes, of which none may pass without use; then the solution has decided,
    /// for each action, whether it is refused, or allowed and recorded as [overage](Consumed::is_overage).
    /// A marketplace that answers that it is busy is no outage.
    ///
    /// What was allowed and is lost before it is counted is free again: what [`Overflow`](crate::Overflow)
    /// drops, what the loss of power takes from [`Durability::Fast`](crate::Durability::Fast), what is
    /// rejected, what a spool loses that is damaged or removed.
    ///
    /// What has no hard limit is allowed. It is the same event that [`track_usage`](Self::track_usage)
    /// notes, with the same promises: do not track it, too.
    ///
    /// # Errors
    /// They may not: [`Code::QuotaExceeded`](crate::Code::QuotaExceeded), with a
    /// [`denial`](crate::Error::denial) that says when they may again; or as
    /// [`validate_user`](Self::validate_user) refuses them. Nobody knows:
    /// [`Code::Unavailable`](crate::Code::Unavailable) and others that are
    /// [retryable](crate::Error::is_retryable). Or those of [`track_usage`](Self::track_usage). Nothing was
    /// noted if this is an error.
    pub async fn consume(&self, token: &str, usage: impl Into<Usage>) -> Result<Consumed> {
        let Parts { auth, usage: tracker, .. } = &*self.parts;
        let until = auth.host.monotonic().saturating_add(auth.deadline);
        let user = auth.validate(token).await?;
        tracker.consume(&user, usage.into(), until).await
    }

    /// The token pair for a launch code: the marketplace has sent a customer's browser to the
    /// solution's registered URL with `?code=…`. `verifier` is what the launch's `code_challenge` was
    /// made of, if it had one (PKCE). A code is good for a minute, and once.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, _pair| {
    /// use cloudnestle_marketplace::{Code, MarketplaceSdk, Result, TokenPair};
    ///
    /// /// What answers `GET /launch?code=…`.
    /// async fn launched(sdk: &MarketplaceSdk, code: &str) -> Result<TokenPair> {
    ///     let pair = sdk.exchange_code(code, None).await?;
    ///     let user = sdk.validate_user(pair.access_token.expose()).await?;
    ///     println!("welcome, {}", user.customer_id);
    ///     Ok(pair)
    /// }
    ///
    /// let error = launched(&sdk, "made up").await.unwrap_err();
    /// assert_eq!(error.code(), Code::LaunchCodeInvalid);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Code::LaunchCodeInvalid`](crate::Code::LaunchCodeInvalid): let the customer open the
    /// solution again.
    pub async fn exchange_code(&self, code: &str, verifier: Option<&str>) -> Result<TokenPair> {
        self.parts.opening.exchange(code, verifier).await
    }

    /// A pair for somebody who comes by without an account: a new anonymous visitor, with the quotas
    /// of the anonymous tier. Keep the pair with the visitor. A visitor who registers
    /// (`POST /api/users/convert`) stays the same customer, and what was used stays used.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, _pair| {
    /// use cloudnestle_marketplace::Tier;
    ///
    /// let pair = sdk.create_visitor().await?;
    /// let visitor = sdk.validate_user(pair.access_token.expose()).await?;
    /// assert_eq!(visitor.tier, Tier::Anonymous);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Code::TierNotOffered`](crate::Code::TierNotOffered) if the solution is for registered
    /// customers only.
    pub async fn create_visitor(&self) -> Result<TokenPair> {
        self.parts.opening.welcome().await
    }

    /// Renews a pair. However many tasks ask with the same pair, one request is made and all get
    /// its result; a caller that gives up does not lose the new pair for the others. Keep the pair
    /// that comes back in place of the old one.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, pair| {
    /// let renewed = sdk.refresh(&pair).await?;
    /// sdk.validate_user(renewed.access_token.expose()).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Code::RefreshTokenInvalid`](crate::Code::RefreshTokenInvalid) and
    /// [`Code::RefreshTokenReused`](crate::Code::RefreshTokenReused): the user has to open the
    /// solution again. Others are passing; the old pair stays good for another attempt.
    pub async fn refresh(&self, pair: &TokenPair) -> Result<TokenPair> {
        self.parts.refresher.refresh(pair).await
    }

    /// Keeps a pair good: the handle gives out its access token, and renews it before it ends.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, pair| {
    /// let source = sdk.keep_fresh(pair);
    /// let token = source.access_token().await?; // good now, whenever that is
    /// sdk.validate_user(token.expose()).await?;
    /// # Ok(()) });
    /// ```
    pub fn keep_fresh(&self, pair: TokenPair) -> TokenSource {
        let Parts { auth, clock, refresher, .. } = &*self.parts;
        TokenSource::new(auth.host.clone(), clock.clone(), refresher.clone(), pair)
    }

    /// Ends a token and everything it can be refreshed to, for example when a user signs out. From
    /// then on [`validate_user`](Self::validate_user) and [`get_user_context`](Self::get_user_context)
    /// refuse it without asking; the marketplace refuses it at once, and other processes within 5 s.
    /// What was done before can still be [tracked](Self::track_usage).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// sdk.revoke_token(token).await?;
    ///
    /// let error = sdk.validate_user(token).await.unwrap_err();
    /// assert_eq!(error.code().as_str(), "token_revoked");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Code::RequestInvalid`](crate::Code::RequestInvalid) for what is no token of the marketplace,
    /// [`Code::Forbidden`](crate::Code::Forbidden) for one of another solution. After any other error
    /// the token may be revoked or not; revoking it again does no harm.
    pub async fn revoke_token(&self, token: &str) -> Result<()> {
        self.parts.auth.revoke(token, &self.parts.secret_key).await?;
        self.parts.context.refuse(token);
        Ok(())
    }

    /// What a customer may use of the solution, has used, and when it begins anew: for a page of your
    /// own, or a job that runs without the user. Asks the marketplace each time.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, _pair| {
    /// for quota in sdk.quotas("cus_asha").await? {
    ///     println!("{}: {:?} left until {}", quota.action, quota.remaining, quota.resets_at);
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Code::Forbidden`](crate::Code::Forbidden) when the customer has no subscription to the
    /// solution, [`Code::RequestInvalid`](crate::Code::RequestInvalid) for what is no customer's id.
    pub async fn quotas(&self, customer_id: &str) -> Result<Vec<Quota>> {
        let credential = Credential::Solution(&self.parts.secret_key);
        self.parts.context.quotas(customer_id, credential).await
    }

    /// What a customer has used of the solution, by hour, day or month of the solution's time zone: for
    /// each action, in the order of time. Asks the marketplace, which shows what has been delivered.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::{Bucket, UsageFilter};
    ///
    /// # sdk.track_usage(token, "search").await?;
    /// # sdk.flush().await?;
    /// let searches = UsageFilter::all().action("search");
    /// let mut days = sdk.usage_history("cus_asha", Bucket::Day, searches);
    /// while let Some(day) = days.next().await {
    ///     let day = day?;
    ///     println!("{} searches from {}", day.quantity, day.begins_at);
    ///     # assert_eq!(day.quantity, 1);
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The list's: [`Code::RequestInvalid`](crate::Code::RequestInvalid) for what is no customer's id or
    /// a time that ends before it begins, [`Code::CursorInvalid`](crate::Code::CursorInvalid) for the
    /// cursor of another list, [`Code::Forbidden`](crate::Code::Forbidden) for a customer without a
    /// subscription, [`Code::ActionUnknown`](crate::Code::ActionUnknown) for an action the solution does
    /// not have.
    pub fn usage_history(
        &self,
        customer_id: &str,
        bucket: Bucket,
        filter: UsageFilter,
    ) -> Pages<UsageBucket> {
        self.parts.history.buckets(customer_id, bucket, filter)
    }

    /// The events of which [that](Self::usage_history) is the sum, newest first (by the hour they count
    /// in, and in it as they came). Corrections are events of their own; what they correct tells what is
    /// [`left`](crate::CountedEvent::left) of it.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::{Usage, UsageFilter};
    ///
    /// sdk.track_usage(token, Usage::of("search").quantity(50)).await?;
    /// sdk.flush().await?;
    ///
    /// // That was five: put it right.
    /// let mut events = sdk.usage_events("cus_asha", UsageFilter::all().action("search"));
    /// let wrong = events.next().await.expect("an event")?;
    /// sdk.track_usage(token, Usage::of("search").quantity(5).amends(wrong.reference)).await?;
    /// # sdk.flush().await?;
    /// # let mut events = sdk.usage_events("cus_asha", UsageFilter::all());
    /// # assert_eq!(events.next().await.expect("an event")?.counts, -45);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`usage_history`](Self::usage_history).
    pub fn usage_events(&self, customer_id: &str, filter: UsageFilter) -> Pages<CountedEvent> {
        self.parts.history.events(customer_id, filter)
    }

    /// Sends what is in the spool now, and completes when the marketplace has answered for all of
    /// it; gives up after 10 s, or at once where waiting does not mend what is wrong.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// sdk.track_usage(token, "search").await?;
    /// sdk.flush().await?;
    /// assert_eq!(sdk.stats().usage.pending, 0);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Why the last attempt failed. Nothing is lost: the uploader goes on trying.
    pub async fn flush(&self) -> Result<()> {
        self.parts.usage.flush().await
    }

    /// Delivers what it can, and returns by the deadline; what is not delivered is safe on disk. For a
    /// function that the platform freezes as soon as it has answered, as AWS Lambda does: nothing runs
    /// in the background until the next call.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use std::time::Duration;
    ///
    /// async fn handler(sdk: &cloudnestle_marketplace::MarketplaceSdk, token: &str) -> String {
    ///     let noted = sdk.track_usage(token, "search").await;
    ///     sdk.flush_before_return(Duration::from_millis(300)).await;
    ///     format!("noted: {}", noted.is_ok())
    /// }
    /// # assert_eq!(handler(&sdk, token).await, "noted: true");
    /// # assert_eq!(sdk.stats().usage.pending, 0);
    /// # Ok(()) });
    /// ```
    pub async fn flush_before_return(&self, deadline: Duration) -> UsageStats {
        self.parts.usage.flush_within(deadline).await
    }

    /// What the marketplace has refused for good, the event and the reason: an action that was
    /// misspelt, a hard limit, a token that did not cover it. It is kept in the spool's folder
    /// `rejected` until it is [replayed](Self::replay_rejected), or you delete the files. Of very many,
    /// the oldest 10,000 or a few more.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// sdk.track_usage(token, "serach").await?;
    /// sdk.flush().await?;
    /// for rejected in sdk.rejected_usage().await? {
    ///     println!("{}: {}", rejected.event.action, rejected.code.advice());
    /// }
    /// # assert_eq!(sdk.rejected_usage().await?.len(), 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Code::SpoolFailed`](crate::Code::SpoolFailed) when the files can't be read.
    pub async fn rejected_usage(&self) -> Result<Vec<RejectedUsage>> {
        self.parts.usage.rejected().await
    }

    /// Sends what was rejected once more, after a fix: the solution now declares the action, say. The
    /// events keep the time they happened at. Returns how many there are; those that are rejected
    /// again are kept again. One that is replayed twice counts once.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// # sdk.track_usage(token, "serach").await?;
    /// # sdk.flush().await?;
    /// let replayed = sdk.replay_rejected().await?;
    /// sdk.flush().await?;
    /// println!("{replayed} sent again, {} still rejected", sdk.rejected_usage().await?.len());
    /// # assert_eq!(replayed, 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`track_usage`](Self::track_usage). What was not replayed is still kept.
    pub async fn replay_rejected(&self) -> Result<u64> {
        self.parts.usage.replay_rejected().await
    }

    /// Waits until the process is asked to end (SIGTERM or Ctrl-C), then [closes](Self::close). The
    /// process is the program's to end.
    ///
    /// ```no_run
    /// # async fn serve() {}
    /// # async fn example(sdk: cloudnestle_marketplace::MarketplaceSdk) {
    /// tokio::select! {
    ///     () = serve() => {}
    ///     report = sdk.close_when_terminated(std::time::Duration::from_secs(5)) => {
    ///         println!("{} events wait for the next start", report.usage.pending);
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn close_when_terminated(&self, deadline: Duration) -> CloseReport {
        self.parts.auth.host.terminated().await;
        self.close(deadline).await
    }

    /// Takes no more usage, delivers what it can, and returns by the deadline with a report. What
    /// is not delivered stays in the spool, and the next process to use it delivers it.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// # sdk.track_usage(token, "search").await?;
    /// let report = sdk.close(std::time::Duration::from_secs(2)).await;
    /// assert_eq!(report.usage.pending, 0);
    /// # Ok(()) });
    /// ```
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        self.parts.usage.close(deadline).await
    }

    /// What stands between this program and the marketplace: whether it can be reached, speaks the
    /// same version and time, issues its tokens under the expected name, accepts the key and tells of
    /// revocations; and how the spool is. For whoever sets a program up, and for support: the report holds no secret.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, _pair| {
    /// let diagnosis = sdk.diagnose().await;
    /// println!("{diagnosis}");
    /// # assert_eq!(diagnosis.severity(), cloudnestle_marketplace::Severity::Good, "{diagnosis}");
    /// # Ok(()) });
    /// ```
    ///
    /// It asks the marketplace for its keys, about a text that is no token and for its revocations, and
    /// writes and removes a file in the spool's folder. Each question has the [deadline](Builder::deadline) of a call.
    pub async fn diagnose(&self) -> Diagnosis {
        let Parts { http, clock, auth, usage, secret_key, .. } = &*self.parts;
        let (host, deadline) = (&*auth.host, auth.deadline);
        Diagnosing { host, http, clock, auth, secret_key, usage, deadline }.run().await
    }

    /// What the SDK has done since it was built.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// sdk.validate_user(token).await?;
    /// let stats = sdk.stats();
    /// println!("{} requests, {} events wait", stats.requests, stats.usage.pending);
    /// # assert_eq!(stats.usage.pending, 0);
    /// # Ok(()) });
    /// ```
    pub fn stats(&self) -> Stats {
        Stats {
            requests: self.parts.http.requests(),
            clock_offset_ms: self.parts.clock.offset_ms(),
            usage: self.parts.usage.stats(),
            leases: self.parts.usage.lease_stats(),
        }
    }

    /// What the SDK does by itself, from now on. A subscriber that does not read is told how much
    /// it missed; it holds nobody up.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::Event;
    ///
    /// let mut events = sdk.events();
    /// sdk.track_usage(token, "search").await?;
    /// sdk.flush().await?;
    /// assert!(matches!(events.next().await, Some(Event::UsageDelivered { count: 1 })));
    /// # Ok(()) });
    /// ```
    pub fn events(&self) -> Events {
        self.parts.announcer.subscribe()
    }

    /// Where the SDK's own tasks run: for a face in another language, which has no runtime of its own.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// let (tell, told) = futures_channel::oneshot::channel();
    /// let (asking, token) = (sdk.clone(), token.to_owned());
    /// let validating = async move { drop(tell.send(asking.validate_user(&token).await)) };
    /// sdk.background().spawn(validating);
    /// let user = told.await.expect("the SDK lives")?;
    /// # let _ = user;
    /// # Ok(()) });
    /// ```
    pub fn background(&self) -> Background {
        Background(self.parts.auth.host.clone())
    }

    pub(crate) fn over(config: Config) -> Self {
        MarketplaceSdk { parts: Arc::new(Parts::over(config)) }
    }
}

/// Runs tasks where an SDK's own run, on its thread with the native host; keeps no SDK. See
/// [`MarketplaceSdk::background`].
#[derive(Clone)]
pub struct Background(Arc<dyn Host>);

impl Background {
    /// Runs a task, which must not block. It ends with the last that runs anything there, if not before.
    ///
    /// ```
    /// fn tell(background: &cloudnestle_marketplace::Background) {
    ///     background.spawn(async { println!("from the SDK's thread") });
    /// }
    /// ```
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task.boxed());
    }
}

impl std::fmt::Debug for MarketplaceSdk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MarketplaceSdk").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
