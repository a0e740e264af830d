//! The core's [`Host`] over what JavaScript hands in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "backend")]
use cloudnestle_marketplace::Secret;
#[cfg(not(feature = "backend"))]
use cloudnestle_marketplace::host::PlatformLog;
use cloudnestle_marketplace::host::{
    Algorithm, Files, Host, Request, Response, SendError, SendStage,
};
use cloudnestle_marketplace::model::Timestamp;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use crate::drawn::Drawn;
#[cfg(feature = "backend")]
use crate::files::WebFiles;
use crate::js::JsHost;
#[cfg(not(feature = "backend"))]
use crate::log::{LogAnswer, WebLog};
use crate::tasks::Tasks;
use crate::waiting::Waiting;

type Sent = Result<Response, SendError>;

/// What the core asked of JavaScript, by kind.
pub(crate) struct WebHost {
    pub(crate) js: Arc<JsHost>,
    pub(crate) tasks: Arc<Tasks>,
    drawn: Drawn,
    pub(crate) timers: Arc<Waiting<()>>,
    pub(crate) requests: Arc<Waiting<Sent>>,
    pub(crate) signatures: Arc<Waiting<Option<bool>>>,
    #[cfg(feature = "backend")]
    pub(crate) syncs: Arc<Waiting<std::io::Result<()>>>,
    #[cfg(feature = "backend")]
    pub(crate) keys: Arc<Waiting<Option<String>>>,
    #[cfg(not(feature = "backend"))]
    pub(crate) logs: Arc<Waiting<LogAnswer>>,
}

impl WebHost {
    pub(crate) fn new(js: JsHost) -> Arc<Self> {
        let js = Arc::new(js);
        Arc::new(WebHost {
            tasks: Tasks::new(js.clone()),
            js,
            drawn: Drawn::default(),
            timers: Arc::default(),
            requests: Arc::default(),
            signatures: Arc::default(),
            #[cfg(feature = "backend")]
            syncs: Arc::default(),
            #[cfg(feature = "backend")]
            keys: Arc::default(),
            #[cfg(not(feature = "backend"))]
            logs: Arc::default(),
        })
    }

    /// The key that has replaced the secret key, if the program has one.
    #[cfg(feature = "backend")]
    pub(crate) fn newer_key(&self) -> impl Future<Output = Option<Secret>> + Send + use<> {
        let question = self.keys.ask(|_| ());
        self.js.provide_key(question.number);
        question.map(|key| key.flatten().map(Secret::new))
    }
}

impl Host for WebHost {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.js.wall() as i64)
    }

    fn monotonic(&self) -> Duration {
        Duration::try_from_secs_f64(self.js.monotonic() / 1000.0).unwrap_or_default()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (js, timers) = (self.js.clone(), self.timers.clone());
        // Most are there in case that something takes too long, and are never looked at.
        async move {
            let host = js.clone();
            let timer = timers.ask(move |timer| host.stop_timer(timer));
            js.sleep(timer.number, duration.as_secs_f64() * 1000.0);
            timer.await;
        }
        .boxed()
    }

    fn random(&self, bytes: &mut [u8]) {
        self.drawn.fill(bytes, |drawn| self.js.random(drawn));
    }

    fn send(&self, request: Request) -> BoxFuture<'static, Sent> {
        let js = self.js.clone();
        let sending = self.requests.ask(move |request| js.give_up(request));
        let Request { method, url, headers, body } = request;
        let headers = headers.into_iter();
        let headers = headers.flat_map(|(name, value)| [name.to_owned(), value]).collect();
        self.js.send(sending.number, method, &url, headers, &body);
        sending
            .map(|sent| {
                let abandoned = "the request was abandoned";
                sent.unwrap_or_else(|| Err(SendError::new(SendStage::Answer, abandoned)))
            })
            .boxed()
    }

    fn verify<'a>(
        &'a self,
        algorithm: Algorithm,
        key: &'a [u8],
        data: &'a [u8],
        signature: &'a [u8],
    ) -> BoxFuture<'a, Option<bool>> {
        if algorithm != Algorithm::Ed25519 {
            return ready(None).boxed();
        }
        let question = self.signatures.ask(|_| ());
        match self.js.verify(question.number, key, data, signature) {
            Some(is_good) => ready(Some(is_good)).boxed(),
            None => question.map(Option::flatten).boxed(),
        }
    }

    #[cfg(feature = "backend")]
    fn files(&self) -> Option<Arc<dyn Files>> {
        let files = self.js.files()?;
        Some(Arc::new(WebFiles { js: files, syncs: self.syncs.clone() }))
    }

    #[cfg(feature = "backend")]
    fn state_dir(&self) -> Option<PathBuf> {
        self.js.state_dir().map(PathBuf::from)
    }

    #[cfg(not(feature = "backend"))]
    fn files(&self) -> Option<Arc<dyn Files>> {
        None
    }

    #[cfg(not(feature = "backend"))]
    fn state_dir(&self) -> Option<PathBuf> {
        None
    }

    #[cfg(not(feature = "backend"))]
    fn log(&self, name: &str, producer: &str) -> Option<Arc<dyn PlatformLog>> {
        let js = self.js.log(name, producer)?;
        Some(Arc::new(WebLog::new(js, self.logs.clone())))
    }

    fn process_id(&self) -> u32 {
        self.js.process_id()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.tasks.spawn(task);
    }
}
