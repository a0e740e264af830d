//! The primitives of a machine with sockets, files and threads: tokio, reqwest over rustls, ring.

use std::cell::Cell;
use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready, select};
use ring::rand::SecureRandom;
use tokio::runtime::{Handle, Runtime};
use tower::util::MapRequestLayer;

use super::disk::DiskFiles;
use super::{Algorithm, Files, Host, Request, Response, SendError, SendStage};
use crate::error::{Error, Result};
use crate::model::{Code, Timestamp};

/// The largest answer that is read; the marketplace's largest are far below.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

tokio::task_local! {
    /// Whether the request of this task has begun a connection of its own.
    static CONNECTS: Cell<bool>;
}

/// The SDK on a machine of its own. It brings its own runtime with one thread, so that it works
/// under any executor, and so that uploads go on when the program's own runtime is busy or gone.
struct NativeHost {
    started: Instant,
    random: ring::rand::SystemRandom,
    client: reqwest::Client,
    /// Taken when the host is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
}

/// The host for a marketplace at `url`.
pub(crate) fn native(url: &str) -> Result<Arc<dyn Host>> {
    Ok(Arc::new(NativeHost::new(url.starts_with("https://"))?))
}

impl NativeHost {
    /// `tls`: whether the marketplace is reached over https. Reading the system's certificates
    /// takes milliseconds, which a program that talks to a local server need not spend.
    fn new(tls: bool) -> Result<Self> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config(tls)?)
            .redirect(reqwest::redirect::Policy::none())
            // A proxy of the environment is for browsing: it may read plain http, hold connections back
            // and answer in the marketplace's place. Who needs one brings a host that uses it.
            .no_proxy()
            .connector_layer(MapRequestLayer::new(|destination| {
                // A connection may also be begun in the background, where there is no request.
                let _ = CONNECTS.try_with(|connects| connects.set(true));
                destination
            }))
            .build()
            .map_err(|error| Error::new(Code::ConfigInvalid).caused_by(error))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("cloudnestle")
            .enable_all()
            .build()
            .map_err(|error| Error::new(Code::ConfigInvalid).caused_by(error))?;
        Ok(NativeHost {
            started: Instant::now(),
            random: ring::rand::SystemRandom::new(),
            client,
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }
}

/// Whether `signature` over `data` was made with the private half of `key`.
pub(super) fn is_signed(algorithm: Algorithm, key: &[u8], data: &[u8], signature: &[u8]) -> bool {
    let algorithm = match algorithm {
        Algorithm::Ed25519 => &ring::signature::ED25519,
    };
    ring::signature::UnparsedPublicKey::new(algorithm, key).verify(data, signature).is_ok()
}

fn tls_config(verify_by_system: bool) -> Result<rustls::ClientConfig> {
    use rustls_platform_verifier::BuilderVerifierExt;

    let invalid = |error: rustls::Error| Error::new(Code::ConfigInvalid).caused_by(error);
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map_err(invalid)?;
    if !verify_by_system {
        let nobody = rustls::RootCertStore::empty();
        return Ok(builder.with_root_certificates(nobody).with_no_client_auth());
    }
    Ok(builder.with_platform_verifier().map_err(invalid)?.with_no_client_auth())
}

impl Drop for NativeHost {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping a runtime inside another one panics; letting go of it does not.
            runtime.shutdown_background();
        }
    }
}

impl Host for NativeHost {
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(since.as_millis() as i64)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _timers = self.handle.enter();
        tokio::time::sleep(duration).boxed()
    }

    fn random(&self, bytes: &mut [u8]) {
        // Fails only where the operating system has no random source at all.
        self.random.fill(bytes).expect("the operating system has a random source");
    }

    fn send(
        &self,
        request: Request,
    ) -> BoxFuture<'static, std::result::Result<Response, SendError>> {
        let task = AbortOnDrop(self.handle.spawn(send(self.client.clone(), request)));
        async move {
            let mut task = task;
            match (&mut task.0).await {
                Ok(answer) => answer,
                Err(_) => Err(SendError::new(SendStage::Answer, "the request was abandoned")),
            }
        }
        .boxed()
    }

    fn verify<'a>(
        &'a self,
        algorithm: Algorithm,
        key: &'a [u8],
        data: &'a [u8],
        signature: &'a [u8],
    ) -> BoxFuture<'a, Option<bool>> {
        ready(Some(is_signed(algorithm, key, data, signature))).boxed()
    }

    fn files(&self) -> Option<Arc<dyn Files>> {
        Some(Arc::new(DiskFiles::new(self.handle.clone())))
    }

    /// Where the platform has it: `%LOCALAPPDATA%`, `~/Library/Application Support`, and elsewhere what
    /// the XDG Base Directory Specification says. In a container that is a folder of the container:
    /// what has to outlive it needs a volume.
    fn state_dir(&self) -> Option<PathBuf> {
        let set = |name| std::env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let home = |below: &str| Some(std::env::home_dir()?.join(below));
        if cfg!(windows) {
            set("LOCALAPPDATA").or_else(|| home("AppData/Local"))
        } else if cfg!(target_os = "macos") {
            home("Library/Application Support")
        } else {
            set("XDG_STATE_HOME").or_else(|| home(".local/state"))
        }
    }

    fn process_id(&self) -> u32 {
        std::process::id()
    }

    fn terminated(&self) -> BoxFuture<'static, ()> {
        let _signals = self.handle.enter();
        let interrupted = tokio::signal::ctrl_c().map(drop).boxed();
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};

            // Without a handler the signal ends the process, as it does without this SDK.
            if let Ok(mut terminate) = signal(SignalKind::terminate()) {
                let terminated = async move {
                    terminate.recv().await;
                };
                return select(terminated.boxed(), interrupted).map(drop).boxed();
            }
        }
        interrupted
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.handle.spawn(task);
    }
}

/// A request nobody waits for any more is given up.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn send(
    client: reqwest::Client,
    request: Request,
) -> std::result::Result<Response, SendError> {
    let method = reqwest::Method::from_bytes(request.method.as_bytes())
        .map_err(|_| SendError::new(SendStage::Lookup, "not an HTTP method"))?;
    let mut outgoing = client.request(method, &request.url).body(request.body);
    for (name, value) in request.headers {
        outgoing = outgoing.header(name, value);
    }
    let sending = async {
        let answer = outgoing.send().await;
        answer.map_err(|error| {
            SendError::new(stage(&error, !CONNECTS.with(Cell::get)), in_words(error))
        })
    };
    let mut incoming = CONNECTS.scope(Cell::new(false), sending).await?;
    let status = incoming.status().as_u16();
    let headers = incoming
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    let cut = |error| SendError::new(SendStage::Answer, in_words(error));
    let mut body = Vec::new();
    while let Some(chunk) = incoming.chunk().await.map_err(cut)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            let words = "the answer is larger than any the marketplace gives";
            return Err(SendError::new(SendStage::Answer, words));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response { status, headers, body })
}

/// How far a request came; `reused`: on a connection kept from earlier ones.
fn stage(error: &reqwest::Error, reused: bool) -> SendStage {
    if error.is_connect() {
        // The connector's error for this has no type of its own.
        let lookup = causes(error).any(|cause| cause.to_string() == "dns error");
        return if lookup { SendStage::Lookup } else { SendStage::Connect };
    }
    let was_closed = causes(error).any(|cause| {
        let by_hyper = cause.downcast_ref().is_some_and(hyper::Error::is_incomplete_message);
        by_hyper || cause.downcast_ref().is_some_and(|io: &io::Error| is_closed(io.kind()))
    });
    if reused && was_closed { SendStage::StaleConnection } else { SendStage::Answer }
}

fn is_closed(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::*;
    matches!(kind, ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected | UnexpectedEof)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn std::error::Error + 'static)| {
        (*cause).source()
    })
}

/// The whole chain of causes, without the URL: "error sending request" alone helps nobody.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    causes(&error).fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}
