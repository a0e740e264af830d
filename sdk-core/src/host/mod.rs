//! The primitives a platform brings, and nothing else: platforms differ in *primitives*, never in
//! *behaviour*. Everything of the SDK that touches the outside world goes through [`Host`].
//!
//! With the feature `native` (the default) the SDK brings its own. Programs that run where there
//! are no sockets or threads implement [`Host`] and pass it to
//! [`Builder::host`](crate::Builder::host).

pub(crate) mod cache;
#[cfg(feature = "native")]
mod disk;
mod files;
mod log;
#[cfg(feature = "files")]
mod memory_files;
mod memory_log;
#[cfg(feature = "native")]
mod native;
#[cfg(any(feature = "sim", all(test, feature = "native")))]
pub mod sim;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, pending, select};

use crate::model::Timestamp;

pub use files::{AppendFile, Files, Lock};
pub use log::{LogError, LogPart, LogResult, PlatformLog};
#[cfg(feature = "files")]
pub use memory_files::MemoryFiles;
pub use memory_log::MemoryLog;
#[cfg(feature = "native")]
pub(crate) use native::native;

#[cfg(not(feature = "native"))]
pub(crate) fn native(_url: &str) -> crate::Result<Arc<dyn Host>> {
    let words = "Without the feature `native` the builder needs a host.";
    Err(crate::Error::because(crate::Code::ConfigInvalid, words))
}

/// What the SDK asks of the platform it runs on.
///
/// A host for a test, whose time stands still and whose marketplace is a function:
///
/// ```
/// use std::path::PathBuf;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use cloudnestle_marketplace::host::{Algorithm, Files, Host, Request, Response, SendError};
/// use cloudnestle_marketplace::model::Timestamp;
/// use cloudnestle_marketplace::{Code, MarketplaceSdk};
/// use futures_util::FutureExt;
/// use futures_util::future::{BoxFuture, pending, ready};
///
/// struct Still;
///
/// impl Host for Still {
///     fn wall(&self) -> Timestamp {
///         Timestamp::from_secs(1_800_000_000)
///     }
///     fn monotonic(&self) -> Duration {
///         Duration::from_secs(3600)
///     }
///     fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
///         pending().boxed()
///     }
///     fn random(&self, bytes: &mut [u8]) {
///         bytes.fill(7); // fit for this test alone
///     }
///     fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, SendError>> {
///         assert!(request.url.starts_with("https://m.test/api/quotas/cus_asha/"));
///         let body = br#"{"code": "forbidden"}"#.to_vec();
///         ready(Ok(Response { status: 403, headers: vec![], body })).boxed()
///     }
///     fn verify<'a>(
///         &'a self,
///         _: Algorithm,
///         _key: &'a [u8],
///         _data: &'a [u8],
///         _signature: &'a [u8],
///     ) -> BoxFuture<'a, Option<bool>> {
///         ready(Some(false)).boxed() // a real one asks its cryptography
///     }
///     fn files(&self) -> Option<Arc<dyn Files>> {
///         None // usage is kept in memory
///     }
///     fn state_dir(&self) -> Option<PathBuf> {
///         None
///     }
///     fn spawn(&self, _: BoxFuture<'static, ()>) {} // a real one runs it
/// }
///
/// let builder = MarketplaceSdk::builder().host(Arc::new(Still)).url("https://m.test");
/// let sdk = builder.secret_key("cnsk_test_0123456789").solution("sol_a").build()?;
/// let error = sdk.quotas("cus_asha").now_or_never().expect("at once").unwrap_err();
/// assert_eq!(error.code(), Code::Forbidden);
/// # Ok::<(), cloudnestle_marketplace::Error>(())
/// ```
pub trait Host: Send + Sync + 'static {
    /// The time of day, as this machine has it. May jump.
    fn wall(&self) -> Timestamp;

    /// Time since some fixed moment. Never goes back.
    fn monotonic(&self) -> Duration;

    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Fills `bytes` from a source fit for ids and jitter.
    fn random(&self, bytes: &mut [u8]);

    /// Sends one request, once: no retry, no redirect. Dropping the future gives the request up.
    fn send(
        &self,
        request: Request,
    ) -> BoxFuture<'static, std::result::Result<Response, SendError>>;

    /// Whether `signature` over `data` was made with the private half of `key`; `None` where the platform can't
    /// tell, which says nothing about the token.
    fn verify<'a>(
        &'a self,
        algorithm: Algorithm,
        key: &'a [u8],
        data: &'a [u8],
        signature: &'a [u8],
    ) -> BoxFuture<'a, Option<bool>>;

    /// Where the usage spool is kept; `None` where nothing outlives the process.
    fn files(&self) -> Option<Arc<dyn Files>>;

    /// The log of that name, where the platform keeps logs itself; a [client's](crate::ClientSdk) usage is
    /// kept in it where there are no files. `producer` is whose it is from now on if it was never used.
    fn log(&self, _name: &str, _producer: &str) -> Option<Arc<dyn PlatformLog>> {
        None
    }

    /// The folder that programs keep their state in between runs, if the spool has files and is given
    /// no folder of its own. Not one that others can write to.
    fn state_dir(&self) -> Option<PathBuf>;

    /// Which process this is. A child that was forked is another one, and has no right to its parent's
    /// spool; 0 where there is no forking.
    fn process_id(&self) -> u32 {
        0
    }

    /// Completes when the process is asked to end; never where nobody can ask.
    fn terminated(&self) -> BoxFuture<'static, ()> {
        pending().boxed()
    }

    /// Runs `task` to its end, whoever stops waiting for it.
    fn spawn(&self, task: BoxFuture<'static, ()>);
}

/// A signature algorithm the marketplace uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// Ed25519 (RFC 8032), `alg: EdDSA`.
    Ed25519,
}

/// An HTTP request.
#[derive(Clone)]
pub struct Request {
    /// `GET`, `POST` …
    pub method: &'static str,
    /// Absolute.
    pub url: String,
    /// Names in lower case. Values may be secret: a host MUST NOT log them.
    pub headers: Vec<(&'static str, String)>,
    /// Empty when there is none.
    pub body: Vec<u8>,
}

/// An HTTP answer, whole. Its `Debug` shows no header's value and no body: they may be secret.
#[derive(Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, decoded.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.body.len())
    }
}

/// Why there is no answer. Unless the request [never left](SendStage), nobody knows whether it had
/// its effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
#[non_exhaustive]
pub struct SendError {
    /// How far the request came.
    pub stage: SendStage,
    /// In words, without the URL's query and without headers.
    pub words: String,
}

impl SendError {
    /// An error of a request that came so far.
    ///
    /// ```
    /// use cloudnestle_marketplace::host::{SendError, SendStage};
    ///
    /// let error = SendError::new(SendStage::Connect, "connection refused");
    /// assert_eq!(error.to_string(), "connection refused");
    /// ```
    pub fn new(stage: SendStage, words: impl Into<String>) -> Self {
        SendError { stage, words: words.into() }
    }
}

/// How far a request came that has no answer. A host that can't tell says [`Answer`](Self::Answer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendStage {
    /// The server's name has no address.
    Lookup,
    /// There is no connection: nobody listens, or TLS did not come about.
    Connect,
    /// It was sent on a connection that was kept from earlier requests and turned out to be closed,
    /// before anything of the answer came. The SDK sends it again at once: the next attempt has
    /// another connection.
    StaleConnection,
    /// The answer did not come, or not whole.
    Answer,
}

/// Both clocks of a machine. The monotonic one stands still while the machine sleeps, the other may be
/// set: what must not last longer than it was told ends when the first of them says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) monotonic: Duration,
    pub(crate) wall: Timestamp,
}

impl Moment {
    pub(crate) fn now(host: &dyn Host) -> Self {
        Moment { monotonic: host.monotonic(), wall: host.wall() }
    }
}

/// `future`, unless `limit` is over first.
pub(crate) async fn timeout<T>(
    host: &dyn Host,
    limit: Duration,
    future: impl Future<Output = T> + Unpin,
) -> Option<T> {
    match select(future, host.sleep(limit)).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(_) => None,
    }
}
