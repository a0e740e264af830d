//! The calls of a client: the SDK in a program that its users hold.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::answer::Answer;
use crate::assembly::ClientParts;
use crate::auth::{Opening, TokenSource, User};
use crate::config::{ClientBuilder, ClientConfig};
use crate::error::{Error, Result};
use crate::events::Events;
use crate::http::Credential;
use crate::model::{Code, Quota, Secret, TokenPair, UserContext};
use crate::usage::{CloseReport, Receipt, RejectedUsage, Usage, UsageStats};

/// The SDK in a program that its users hold, such as an app or a page in a browser.
///
/// It has no secret key, and its credential is the user's token. So it can do what a token may: check it,
/// renew it, read the user's own context and quotas, and send usage of actions that the solution lets
/// clients report. What decides about money or about others is the
/// [backend's](crate::MarketplaceSdk).
///
/// Cheap to clone; clones share everything.
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # example::run_client(async |client, pair| {
/// let source = client.keep_fresh(pair);
/// let token = source.access_token().await?;
/// let context = client.get_user_context(token.expose()).await?;
/// client.track_usage(token.expose(), "view").await?;
/// client.flush().await?;
/// # assert_eq!((&*context.customer_id, client.stats().usage.delivered), ("cus_asha", 1));
/// # Ok(()) });
/// ```
#[derive(Clone)]
pub struct ClientSdk {
    parts: Arc<ClientParts>,
}

/// What a client has done since it was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientStats {
    /// Requests sent, each attempt counted.
    pub requests: u64,
    /// How far the marketplace's clock is ahead of this machine's, in milliseconds, as far as its
    /// answers tell; 0 when the difference is within what can be measured.
    pub clock_offset_ms: i64,
    /// What became of usage, of all customers that were seen.
    pub usage: UsageStats,
}

impl ClientSdk {
    /// Sets up a client; what is not set comes from the `CLOUDNESTLE_*` environment, where there is one.
    ///
    /// ```
    /// use cloudnestle_marketplace::ClientSdk;
    ///
    /// let client = ClientSdk::builder()
    ///     .url("https://marketplace.example")
    ///     .solution("sol_faiss_search")
    ///     .build()?;
    /// # Ok::<(), cloudnestle_marketplace::Error>(())
    /// ```
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Who is this user, by the token's own words and its signature? A client can't read the revocation
    /// feed: a revocation goes unnoticed for up to the token's life of 15 minutes, and the answer says
    /// [`Verified::Local`](crate::Verified::Local).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, pair| {
    /// let user = client.validate_user(pair.access_token.expose()).await?;
    /// assert_eq!(user.customer_id, "cus_asha");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those that [refuse the user](crate::Error::refuses_user), and
    /// [`Code::Unavailable`](crate::Code::Unavailable) when the marketplace's keys are not known and can't be
    /// fetched.
    pub async fn validate_user(&self, token: &str) -> Result<Answer<User>> {
        let user = self.parts.auth.validate(token).await?;
        self.parts.customers.see(token, &user);
        Ok(user)
    }

    /// The user's tier, entitlements and quotas, as old as the answer says: see
    /// [`MarketplaceSdk::get_user_context`](crate::MarketplaceSdk::get_user_context).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, pair| {
    /// let context = client.get_user_context(pair.access_token.expose()).await?;
    /// println!("{:?} may {:?}", context.tier, context.entitlements);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`validate_user`](Self::validate_user), [`Code::TokenRevoked`](crate::Code::TokenRevoked) among
    /// them: the marketplace is asked.
    pub async fn get_user_context(&self, token: &str) -> Result<Answer<UserContext>> {
        let context = self.parts.context.get(token).await?;
        let user = self.parts.auth.identify(token).await?.user; // known by now
        self.parts.customers.see(token, &user);
        Ok(context)
    }

    /// What the user may use, has used, and when it begins anew. Asks the marketplace each time.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, pair| {
    /// for quota in client.quotas(pair.access_token.expose()).await? {
    ///     println!("{}: {:?} left until {}", quota.action, quota.remaining, quota.resets_at);
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`get_user_context`](Self::get_user_context).
    pub async fn quotas(&self, token: &str) -> Result<Vec<Quota>> {
        let user = self.parts.auth.identify(token).await?.user;
        self.parts
            .context
            .quotas(&user.customer_id, Credential::Bearer(Cow::Owned(Secret::new(token))))
            .await
    }

    /// Notes that the user did something of which the solution lets clients report. It is sent in the
    /// background with the newest token of this user that the client has had in hand, and counts once.
    ///
    /// Without a good token of the user, usage waits, and
    /// [`Event::UsageWaiting`](crate::Event::UsageWaiting) says so; what waits in the spool when the program
    /// ends, waits until it sees a token of the user again. Usage of several users never mixes. No token is
    /// written down.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, pair| {
    /// client.track_usage(pair.access_token.expose(), "view").await?;
    /// client.flush().await?;
    /// # assert_eq!(client.stats().usage.delivered, 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`MarketplaceSdk::track_usage`](crate::MarketplaceSdk::track_usage). An action that only the backend
    /// reports is taken here and rejected by the marketplace
    /// ([`Code::ActionNotForClients`](crate::Code::ActionNotForClients)).
    pub async fn track_usage(&self, token: &str, usage: impl Into<Usage>) -> Result<Receipt> {
        let user = self.parts.auth.identify(token).await?.user;
        self.parts.customers.track(token, &user, usage.into()).await
    }

    /// As [`MarketplaceSdk::refresh`](crate::MarketplaceSdk::refresh). Usage that waits is sent with the new
    /// token.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, pair| {
    /// let renewed = client.refresh(&pair).await?;
    /// client.validate_user(renewed.access_token.expose()).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As there.
    pub async fn refresh(&self, pair: &TokenPair) -> Result<TokenPair> {
        self.parts.refresher.refresh(pair).await
    }

    /// As [`MarketplaceSdk::keep_fresh`](crate::MarketplaceSdk::keep_fresh). Usage that waits is sent with the
    /// new tokens.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, pair| {
    /// let source = client.keep_fresh(pair);
    /// let context = source.call(async |token| client.get_user_context(token).await).await?;
    /// assert_eq!(context.customer_id, "cus_asha");
    /// # Ok(()) });
    /// ```
    pub fn keep_fresh(&self, pair: TokenPair) -> TokenSource {
        let ClientParts { auth, clock, refresher, .. } = &*self.parts;
        TokenSource::new(auth.host.clone(), clock.clone(), refresher.clone(), pair)
    }

    /// The token pair for a launch code that the user was sent with; `verifier` is what the launch's
    /// `code_challenge` was made of (PKCE). With a
    /// [publishable key](crate::ClientBuilder::publishable_key).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, _pair| {
    /// use cloudnestle_marketplace::Code;
    ///
    /// let error = client.exchange_code("made up", "a verifier").await.unwrap_err();
    /// assert_eq!(error.code(), Code::LaunchCodeInvalid);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Code::LaunchCodeInvalid`](crate::Code::LaunchCodeInvalid): let the user open the solution again.
    /// [`Code::ConfigInvalid`](crate::Code::ConfigInvalid) without a publishable key.
    pub async fn exchange_code(&self, code: &str, verifier: &str) -> Result<TokenPair> {
        self.opening()?.exchange(code, Some(verifier)).await
    }

    /// A pair for somebody who comes by without an account. With a
    /// [publishable key](crate::ClientBuilder::publishable_key).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, _pair| {
    /// let pair = client.create_visitor().await?;
    /// let visitor = client.validate_user(pair.access_token.expose()).await?;
    /// assert_eq!(visitor.tier, cloudnestle_marketplace::Tier::Anonymous);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`MarketplaceSdk::create_visitor`](crate::MarketplaceSdk::create_visitor);
    /// [`Code::ConfigInvalid`](crate::Code::ConfigInvalid) without a publishable key.
    pub async fn create_visitor(&self) -> Result<TokenPair> {
        self.opening()?.welcome().await
    }

    fn opening(&self) -> Result<&Opening> {
        self.parts.opening.as_ref().ok_or_else(|| {
            let words = "A client opens the solution by its publishable key \
                         (CLOUDNESTLE_PUBLISHABLE_KEY), and has none.";
            Error::because(Code::ConfigInvalid, words)
        })
    }

    /// As [`MarketplaceSdk::flush`](crate::MarketplaceSdk::flush), for all users that were seen.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, pair| {
    /// client.track_usage(pair.access_token.expose(), "view").await?;
    /// client.flush().await?;
    /// assert_eq!(client.stats().usage.pending, 0);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Why the last attempt failed, such as that a user's token has ended.
    pub async fn flush(&self) -> Result<()> {
        self.parts.customers.flush().await
    }

    /// As [`MarketplaceSdk::flush_before_return`](crate::MarketplaceSdk::flush_before_return): for a page that
    /// is hidden, say.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, _pair| {
    /// let usage = client.flush_before_return(std::time::Duration::from_millis(300)).await;
    /// # assert_eq!(usage.pending, 0);
    /// # Ok(()) });
    /// ```
    pub async fn flush_before_return(&self, deadline: Duration) -> UsageStats {
        self.parts.customers.flush_within(deadline).await
    }

    /// As [`MarketplaceSdk::rejected_usage`](crate::MarketplaceSdk::rejected_usage), of users that were seen.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, pair| {
    /// client.track_usage(pair.access_token.expose(), "search").await?; // the backend's to report
    /// client.flush().await?;
    /// let rejected = client.rejected_usage().await?;
    /// assert_eq!(rejected[0].code.as_str(), "action_not_for_clients");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As there.
    pub async fn rejected_usage(&self) -> Result<Vec<RejectedUsage>> {
        self.parts.customers.rejected().await
    }

    /// As [`MarketplaceSdk::replay_rejected`](crate::MarketplaceSdk::replay_rejected), of users that were seen.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, _pair| {
    /// let replayed = client.replay_rejected().await?;
    /// # assert_eq!(replayed, 0);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As there.
    pub async fn replay_rejected(&self) -> Result<u64> {
        self.parts.customers.replay_rejected().await
    }

    /// As [`MarketplaceSdk::close`](crate::MarketplaceSdk::close).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, _pair| {
    /// let report = client.close(std::time::Duration::from_secs(2)).await;
    /// assert_eq!(report.usage.pending, 0);
    /// # Ok(()) });
    /// ```
    pub async fn close(&self, deadline: Duration) -> CloseReport {
        self.parts.customers.close(deadline).await
    }

    /// What the client has done since it was built.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, _pair| {
    /// println!("{} requests", client.stats().requests);
    /// # Ok(()) });
    /// ```
    pub fn stats(&self) -> ClientStats {
        ClientStats {
            requests: self.parts.http.requests(),
            clock_offset_ms: self.parts.clock.offset_ms(),
            usage: self.parts.customers.stats(),
        }
    }

    /// What the client does by itself, from now on.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run_client(async |client, pair| {
    /// use cloudnestle_marketplace::Event;
    ///
    /// let mut events = client.events();
    /// client.track_usage(pair.access_token.expose(), "view").await?;
    /// client.flush().await?;
    /// assert!(matches!(events.next().await, Some(Event::UsageDelivered { count: 1 })));
    /// # Ok(()) });
    /// ```
    pub fn events(&self) -> Events {
        self.parts.announcer.subscribe()
    }

    pub(crate) fn over(config: ClientConfig) -> Self {
        ClientSdk { parts: Arc::new(ClientParts::over(config)) }
    }
}

impl std::fmt::Debug for ClientSdk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientSdk").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
