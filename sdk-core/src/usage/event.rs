use serde_json::{Map, Value};

use crate::auth::User;
use crate::error::{Error, Result};
use crate::model::{Code, EventRef, Timestamp, UsageEvent};

/// What was done, for [`track_usage`](crate::MarketplaceSdk::track_usage). The name of an action is
/// enough; the rest is there when it is needed.
///
/// ```
/// use cloudnestle_marketplace::Usage;
///
/// let usage = Usage::of("index").quantity(512).metadata("format", "pdf");
/// let once = Usage::of("search"); // or simply "search"
/// ```
#[derive(Clone, Debug)]
pub struct Usage {
    action: String,
    quantity: u64,
    idempotency_key: Option<String>,
    metadata: Option<Map<String, Value>>,
    amends: Option<Box<EventRef>>,
    voids: Option<Box<EventRef>>,
}

impl Usage {
    /// One unit of an action, by the name the solution declared.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::Usage;
    ///
    /// sdk.track_usage(token, Usage::of("search")).await?;
    /// # Ok(()) });
    /// ```
    pub fn of(action: impl Into<String>) -> Self {
        Usage {
            action: action.into(),
            quantity: 1,
            idempotency_key: None,
            metadata: None,
            amends: None,
            voids: None,
        }
    }

    /// How much of it, in the unit the solution declared for the action: 1 to 1,000,000,000.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::{Code, Usage};
    ///
    /// sdk.track_usage(token, Usage::of("index").quantity(512)).await?;
    ///
    /// let error = sdk.track_usage(token, Usage::of("index").quantity(0)).await.unwrap_err();
    /// assert_eq!(error.code(), Code::QuantityInvalid);
    /// # Ok(()) });
    /// ```
    pub fn quantity(mut self, quantity: u64) -> Self {
        self.quantity = quantity;
        self
    }

    /// Your own name for this event, such as a job's id: a second event with the same key is not
    /// counted, whichever process sends it.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::Usage;
    ///
    /// for _ in 0..2 {
    ///     sdk.track_usage(token, Usage::of("search").idempotency_key("job-17")).await?;
    /// }
    /// sdk.flush().await?;
    /// assert_eq!(sdk.get_user_context(token).await?.quotas[0].used, 1);
    /// # Ok(()) });
    /// ```
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// A fact to keep with the event: at most 20, each a short text, a number or a truth value.
    /// No personal data, no free text.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::Usage;
    ///
    /// let usage = Usage::of("index").metadata("format", "pdf").metadata("pages", 12);
    /// sdk.track_usage(token, usage).await?;
    /// # Ok(()) });
    /// ```
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// Puts an earlier event of this user and action right, which [`Receipt::reference`] names: its
    /// quantity is this one's. The marketplace must have that event; [`flush`] sees to it.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::Usage;
    ///
    /// let receipt = sdk.track_usage(token, Usage::of("search").quantity(30)).await?;
    /// sdk.flush().await?;
    /// let thirty = receipt.reference().await?; // keep it: it can be written as JSON
    ///
    /// sdk.track_usage(token, Usage::of("search").quantity(3).amends(thirty)).await?;
    /// sdk.flush().await?;
    /// let quotas = sdk.get_user_context(token).await?.quotas.clone();
    /// assert_eq!(quotas[0].used, 3);
    /// # Ok(()) });
    /// ```
    ///
    /// [`Receipt::reference`]: crate::Receipt::reference
    /// [`flush`]: crate::MarketplaceSdk::flush
    pub fn amends(mut self, event: EventRef) -> Self {
        self.amends = Some(Box::new(event));
        self
    }

    /// Takes back an earlier event of this user and action, as [`amends`](Self::amends) does to
    /// nothing. It can be done once.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// use cloudnestle_marketplace::Usage;
    ///
    /// let receipt = sdk.track_usage(token, "search").await?;
    /// receipt.delivered().await?;
    ///
    /// let mistake = receipt.reference().await?;
    /// sdk.track_usage(token, Usage::of("search").voids(mistake)).await?;
    /// sdk.flush().await?;
    /// assert_eq!(sdk.get_user_context(token).await?.quotas[0].used, 0);
    /// # Ok(()) });
    /// ```
    pub fn voids(mut self, event: EventRef) -> Self {
        self.voids = Some(Box::new(event));
        self
    }

    pub(super) fn by(self, user: &User, id: String, now: Timestamp) -> Result<UsageEvent> {
        let event = UsageEvent {
            id,
            customer_id: user.customer_id.clone(),
            token_id: user.token_id.clone(),
            action: self.action,
            quantity: self.quantity,
            occurred_at: now,
            idempotency_key: self.idempotency_key,
            metadata: self.metadata,
            amends: self.amends,
            voids: self.voids,
            lease: None,
            overage: false,
        };
        if let Some((code, words)) = event.malformed() {
            return Err(Error::because(code, words));
        }
        if !UsageEvent::QUANTITY.contains(&event.quantity) {
            return Err(Error::new(Code::QuantityInvalid));
        }
        Ok(event)
    }
}

impl<T: Into<String>> From<T> for Usage {
    fn from(action: T) -> Self {
        Usage::of(action)
    }
}
