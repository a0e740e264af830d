//! Why a call failed, in the words of the catalogue. It decides nothing: whether to try again is said by
//! the code, or by the answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Code, Problem};
use crate::usage::Denial;

/// Every error of the SDK: what went wrong ([`code`](Error::code)), whether trying again can help
/// ([`is_retryable`](Error::is_retryable)) and what to do ([`advice`](Error::advice)).
///
/// Cheap to clone, so that callers who waited for the same request share its failure. Contains no
/// secret, and neither do its causes.
///
/// ```
/// # use cloudnestle_marketplace::{Code, MarketplaceSdk};
/// let error = MarketplaceSdk::builder().secret_key("not a key").build().unwrap_err();
/// assert_eq!(error.code(), Code::ConfigInvalid);
/// assert!(!error.is_retryable());
/// assert!(!error.to_string().contains("not a key"));
/// ```
#[derive(Clone)]
pub struct Error(Box<Details>);

impl std::error::Error for Error {
    /// What caused it, for who wants its kind: an [`std::io::Error`](std::io::Error), for example.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let cause = self.0.cause.as_deref()?;
        Some(cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// In words, with the advice: this is what `fn main() -> Result<(), Box<dyn Error>>` prints.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} {}", self.advice())?;
        match &self.0.cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{code}{}{message}{}",
    if .message.is_empty() { "" } else { ": " },
    .request_id.as_ref().map(|id| format!(" [request {id}]")).unwrap_or_default()
)]
struct Details {
    code: Code,
    message: String,
    retryable: bool,
    without_answer: bool,
    effect: bool,
    retry_after: Option<Duration>,
    request_id: Option<String>,
    docs_url: Option<String>,
    field: Option<String>,
    fence: Option<u64>,
    denial: Option<Arc<Denial>>,
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What the SDK's calls return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error in the words of the catalogue.
    pub(crate) fn new(code: Code) -> Self {
        Error::because(code, code.reason())
    }

    /// An error with particulars in place of the catalogue's general reason.
    pub(crate) fn because(code: Code, message: impl Into<String>) -> Self {
        Error(Box::new(Details {
            code,
            message: message.into(),
            retryable: code.is_retryable(),
            without_answer: false,
            effect: false,
            retry_after: None,
            request_id: None,
            docs_url: None,
            field: None,
            fence: None,
            denial: None,
            cause: None,
        }))
    }

    pub(crate) fn caused_by(
        mut self,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        self.0.cause = Some(Arc::new(cause));
        self
    }

    /// An error because no answer of the marketplace came: nothing, silence, or somebody else's.
    pub(crate) fn without_answer(code: Code, message: impl Into<String>) -> Self {
        let mut error = Error::because(code, message);
        error.0.without_answer = true;
        error
    }

    pub(crate) fn after(mut self, retry_after: Option<Duration>) -> Self {
        self.0.retry_after = retry_after;
        self
    }

    pub(crate) fn denying(mut self, denial: Denial) -> Self {
        self.0.denial = Some(Arc::new(denial));
        self
    }

    /// What kind of failure of a file is behind it, if one is.
    pub(crate) fn io_kind(&self) -> Option<std::io::ErrorKind> {
        Some(self.0.cause.as_ref()?.downcast_ref::<std::io::Error>()?.kind())
    }

    /// With [`Code::SequenceGap`]: the last number the marketplace has accepted.
    pub(crate) fn fence(&self) -> Option<u64> {
        self.0.fence
    }

    pub(crate) fn is_without_answer(&self) -> bool {
        self.0.without_answer
    }

    /// Adds that the request may have had its effect all the same, if it may.
    pub(crate) fn with_effect(mut self, may_have: bool) -> Self {
        self.0.effect |= may_have;
        self
    }

    /// Whether an attempt of the call may have had its effect all the same.
    pub(crate) fn may_have_had_effect(&self) -> bool {
        self.0.effect
    }

    /// Whether to try again, if the answer said so; else what it is by the catalogue.
    pub(crate) fn retryable(mut self, said: Option<bool>) -> Self {
        self.0.retryable = said.unwrap_or(self.0.retryable);
        self
    }

    pub(crate) fn from_problem(problem: Problem) -> Self {
        let mut error = Error::because(
            problem.code,
            if problem.detail.is_empty() { problem.title } else { problem.detail },
        );
        error.0.retryable = problem.retryable.unwrap_or(problem.code.is_retryable());
        error.0.request_id = Some(problem.request_id).filter(|id| !id.is_empty());
        error.0.docs_url = Some(problem.doc_url).filter(|url| !url.is_empty());
        error.0.field = problem.field;
        error.0.fence = problem.fence;
        error
    }

    /// The catalogue's stable name for it; programs match on this.
    ///
    /// ```
    /// # use cloudnestle_marketplace::{Code, MarketplaceSdk};
    /// # let error = MarketplaceSdk::builder().secret_key("mistyped").build().unwrap_err();
    /// match error.code() {
    ///     Code::TokenExpired => println!("refresh the pair"),
    ///     code => println!("{code}"), // config_invalid
    /// }
    /// ```
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What went wrong, without the code and the request's id: the catalogue's
    /// [reason](Code::reason), or particulars in its place.
    ///
    /// ```
    /// # use cloudnestle_marketplace::MarketplaceSdk;
    /// let error = MarketplaceSdk::builder().secret_key("mistyped").build().unwrap_err();
    /// assert!(error.message().starts_with("The secret key (CLOUDNESTLE_SECRET_KEY) is"));
    /// ```
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the same call may succeed later: by the catalogue, unless the answer said otherwise.
    /// The SDK has already tried as often as its retry policy allows; a caller that loops SHOULD wait
    /// first.
    ///
    /// ```
    /// # use cloudnestle_marketplace::{Code, MarketplaceSdk};
    /// # let error = MarketplaceSdk::builder().secret_key("mistyped").build().unwrap_err();
    /// assert!(!error.is_retryable()); // somebody has to correct the key
    /// ```
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Whether it says that the user must not be let in, in contrast to errors that say that nobody
    /// knows.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, _pair| {
    /// let error = sdk.validate_user("garbage").await.unwrap_err();
    /// match error.refuses_user() {
    ///     true => println!("401: {error}"),
    ///     false => println!("503: nobody knows"),
    /// }
    /// # assert!(error.refuses_user());
    /// # Ok(()) });
    /// ```
    pub fn refuses_user(&self) -> bool {
        self.0.code.refuses_user()
    }

    /// How long the marketplace asked to wait before trying again.
    ///
    /// ```
    /// # use cloudnestle_marketplace::{Code, MarketplaceSdk};
    /// # let error = MarketplaceSdk::builder().secret_key("mistyped").build().unwrap_err();
    /// if let Some(wait) = error.retry_after() {
    ///     println!("again in {} s", wait.as_secs());
    /// }
    /// ```
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What to do about it.
    ///
    /// ```
    /// # use cloudnestle_marketplace::{Code, MarketplaceSdk};
    /// # let error = MarketplaceSdk::builder().secret_key("mistyped").build().unwrap_err();
    /// assert_eq!(error.advice(), "Correct the setting that the message names.");
    /// ```
    pub fn advice(&self) -> &'static str {
        self.0.code.advice()
    }

    /// Where it is explained: the page of the marketplace that answered, which may know more than
    /// this release; otherwise the [catalogue's](Code::docs_url).
    ///
    /// ```
    /// # use cloudnestle_marketplace::{Code, MarketplaceSdk};
    /// let error = MarketplaceSdk::builder().secret_key("not a key").build().unwrap_err();
    /// assert_eq!(error.docs_url(), "docs/errors.md#config_invalid");
    /// ```
    pub fn docs_url(&self) -> &str {
        self.0.docs_url.as_deref().unwrap_or(self.0.code.docs_url())
    }

    /// The request that failed, as the marketplace knows it; for support.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, _pair| {
    /// let error = sdk.quotas("cus_nobody").await.unwrap_err();
    /// println!("please quote {}", error.request_id().unwrap_or("the time"));
    /// # assert!(error.request_id().is_some());
    /// # Ok(()) });
    /// ```
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The field of the request that is wrong, such as `items[3].event.quantity`.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, _pair| {
    /// let error = sdk.revoke_token("garbage").await.unwrap_err();
    /// assert_eq!(error.field(), Some("token"));
    /// # Ok(()) });
    /// ```
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// With [`Code::QuotaExceeded`] from [`consume`](crate::MarketplaceSdk::consume): the limit, and when it
    /// begins anew.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, token, _pair| {
    /// # use cloudnestle_marketplace::Usage;
    /// let error = sdk.consume(token, Usage::of("export").quantity(201)).await.unwrap_err();
    /// let denial = error.denial().expect("that is more than the limit");
    /// println!("{} of {} left until {}", denial.remaining, denial.limit, denial.resets_at);
    /// # assert_eq!((denial.remaining, denial.limit), (200, 200));
    /// # Ok(()) });
    /// ```
    #[cfg(feature = "backend")]
    pub fn denial(&self) -> Option<&Denial> {
        self.0.denial.as_deref()
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Error::new(code)
    }
}
