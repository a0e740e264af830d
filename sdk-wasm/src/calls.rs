//! Every way in: the calls of the SDK, and what JavaScript tells of what it was asked.
//!
//! Here is what backends and clients both have. A module is built for either.

#[cfg(feature = "backend")]
mod backend;
#[cfg(not(feature = "backend"))]
mod client;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use cloudnestle_marketplace::host::{Response, SendError, SendStage};
use cloudnestle_marketplace::{Code, Secret, TokenPair, json};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use wasm_bindgen::prelude::*;

use crate::Sdk;
use crate::answers::{
    Told, as_on_the_wire, nothing, of_context, of_error, of_event, of_receipt, of_report, of_stats,
    of_usage, told,
};
use crate::asked::{read, usage_of};
use crate::host::WebHost;
use crate::js::JsHost;
use crate::kept::Kept;
use crate::settings::{Settings, duration};
use crate::tasks::Task;

/// The SDK, for the TypeScript face. A call has a number, under which the host is told what came of it; a
/// call that need not wait is answered before it returns.
#[wasm_bindgen]
pub struct Core {
    sdk: Sdk,
    host: Arc<WebHost>,
    kept: Arc<Kept>,
    calls: Arc<Mutex<HashMap<u32, Weak<Task>>>>,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.host.tasks.end();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[wasm_bindgen]
impl Core {
    /// An SDK that is set up so, on these primitives.
    ///
    /// # Errors
    /// As JSON: what is wrong with the settings.
    #[wasm_bindgen(constructor)]
    pub fn new(host: JsHost, settings: &str) -> Result<Core, String> {
        let host = WebHost::new(host);
        let settings =
            json::read::<Settings>(settings.as_bytes()).map_err(|_| Code::ConfigInvalid.into());
        let sdk = settings.and_then(|settings| settings.build(host.clone()));
        let sdk = sdk.map_err(|error| of_error(&error))?;
        let (mut events, js) = (sdk.events(), host.js.clone());
        let telling = async move {
            while let Some(event) = events.next().await {
                if let Some(event) = of_event(event) {
                    js.event(&event);
                }
            }
        };
        host.tasks.spawn(telling.boxed());
        Ok(Core { sdk, host, kept: Arc::default(), calls: Arc::default() })
    }

    /// A turn of whatever goes on in the background.
    pub fn run(&self) {
        self.host.tasks.run();
    }

    /// A timer's time is over.
    pub fn woken(&self, timer: u32) {
        self.host.timers.answer(timer, ());
    }

    /// The answer to a request. `headers` are names, in lower case, and values in turn.
    pub fn sent(&self, request: u32, status: u16, headers: Vec<String>, body: Vec<u8>) {
        let mut texts = headers.into_iter();
        let mut headers = Vec::new();
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            headers.push((name, value));
        }
        self.host.requests.answer(request, Ok(Response { status, headers, body }));
    }

    /// There is no answer to a request. How far it came: `lookup`, `connect`, `stale` or `answer`.
    pub fn not_sent(&self, request: u32, stage: &str, words: &str) {
        let stage = match stage {
            "lookup" => SendStage::Lookup,
            "connect" => SendStage::Connect,
            "stale" => SendStage::StaleConnection,
            _ => SendStage::Answer,
        };
        self.host.requests.answer(request, Err(SendError::new(stage, words)));
    }

    /// Whether a signature is good; absent where the platform can't tell.
    pub fn verified(&self, question: u32, is_good: Option<bool>) {
        self.host.signatures.answer(question, is_good);
    }

    /// Nobody waits for that call any more.
    pub fn cancel(&self, call: u32) {
        let task = lock(&self.calls).remove(&call).and_then(|task| task.upgrade());
        if let Some(task) = task {
            task.cancel();
        }
    }

    /// May they do this?
    pub fn get_user_context(&self, call: u32, token: String) {
        let sdk = self.sdk.clone();
        self.begin(call, async move { told(sdk.get_user_context(&token).await, of_context) });
    }

    /// Note that they did it. `particulars` are JSON, or empty.
    pub fn track_usage(
        &self,
        call: u32,
        token: String,
        action: String,
        quantity: f64,
        particulars: String,
    ) {
        let (sdk, kept) = (self.sdk.clone(), self.kept.clone());
        self.begin(call, async move {
            let tracked =
                async { sdk.track_usage(&token, usage_of(action, quantity, &particulars)?).await };
            told(tracked.await, |receipt| of_receipt(&receipt, kept.logs.number_of(&receipt)))
        });
    }

    /// Completes when the event survives the loss of power.
    pub fn persisted(&self, call: u32, event_id: String, log: usize, ticket: f64) {
        let receipt = self.kept.logs.receipt(event_id, log, ticket);
        self.begin(call, async move {
            let persisted = async { receipt?.persisted().await };
            told(persisted.await, nothing)
        });
    }

    /// Completes when the marketplace has counted the event.
    pub fn delivered(&self, call: u32, event_id: String, log: usize, ticket: f64) {
        let receipt = self.kept.logs.receipt(event_id, log, ticket);
        self.begin(call, async move {
            let delivered = async { receipt?.delivered().await };
            told(delivered.await, nothing)
        });
    }

    /// What the event is called when it is to be corrected.
    pub fn reference(&self, call: u32, event_id: String, log: usize, ticket: f64) {
        let receipt = self.kept.logs.receipt(event_id, log, ticket);
        self.begin(call, async move {
            let reference = async { receipt?.reference().await };
            told(reference.await, as_on_the_wire)
        });
    }

    /// A pair for a new anonymous visitor.
    pub fn create_visitor(&self, call: u32) {
        let sdk = self.sdk.clone();
        self.begin(call, async move { told(sdk.create_visitor().await, as_on_the_wire) });
    }

    /// Renews a pair.
    pub fn refresh(&self, call: u32, pair: String) {
        let sdk = self.sdk.clone();
        self.begin(call, async move {
            let refreshed = async { sdk.refresh(&read::<TokenPair>(&pair)?).await };
            told(refreshed.await, as_on_the_wire)
        });
    }

    /// Keeps a pair good; the number of the source.
    ///
    /// # Errors
    /// As JSON: that it is no pair.
    pub fn keep_fresh(&self, pair: &str) -> Result<u32, String> {
        let pair = read(pair).map_err(|error| of_error(&error))?;
        Ok(self.kept.sources.keep(self.sdk.keep_fresh(pair)))
    }

    /// An access token that is good now.
    pub fn access_token(&self, call: u32, source: u32) {
        let kept = self.kept.clone();
        self.begin(call, async move {
            let token = async { kept.sources.get(source)?.access_token().await };
            told(token.await, as_on_the_wire)
        });
    }

    /// The token in place of one that was refused.
    pub fn replace_token(&self, call: u32, source: u32, refused: String) {
        let kept = self.kept.clone();
        self.begin(call, async move {
            let refused = Secret::new(refused);
            let token = async { kept.sources.get(source)?.replace(&refused).await };
            told(token.await, as_on_the_wire)
        });
    }

    /// The newest pair of a source, as JSON; `None` if there is no such source.
    pub fn newest_pair(&self, source: u32) -> Option<String> {
        let source = self.kept.sources.get(source).ok()?;
        Some(as_on_the_wire(source.pair()))
    }

    /// Takes over a pair that another program of the same user has renewed; whether it is kept.
    pub fn adopt(&self, call: u32, source: u32, pair: String) {
        let kept = self.kept.clone();
        self.begin(call, async move {
            let adopted = async {
                let source = kept.sources.get(source)?;
                Ok(source.adopt(read::<TokenPair>(&pair)?).await)
            };
            told(adopted.await, as_on_the_wire)
        });
    }

    /// Nobody asks that source any more.
    pub fn forget_source(&self, source: u32) {
        self.kept.sources.forget(source);
    }

    /// What a customer may use of the solution, and has used. A backend says who; a client has the token.
    pub fn quotas(&self, call: u32, whose: String) {
        let sdk = self.sdk.clone();
        self.begin(call, async move { told(sdk.quotas(&whose).await, as_on_the_wire) });
    }

    /// Sends what is in the spool now.
    pub fn flush(&self, call: u32) {
        let sdk = self.sdk.clone();
        self.begin(call, async move { told(sdk.flush().await, nothing) });
    }

    /// Delivers what it can within so many milliseconds.
    pub fn flush_before_return(&self, call: u32, millis: f64) {
        let sdk = self.sdk.clone();
        self.begin(
            call,
            async move { Ok(of_usage(&sdk.flush_before_return(duration(millis)).await)) },
        );
    }

    /// What the marketplace has refused for good.
    pub fn rejected_usage(&self, call: u32) {
        let sdk = self.sdk.clone();
        self.begin(call, async move { told(sdk.rejected_usage().await, as_on_the_wire) });
    }

    /// Sends what was rejected once more.
    pub fn replay_rejected(&self, call: u32) {
        let sdk = self.sdk.clone();
        self.begin(call, async move { told(sdk.replay_rejected().await, as_on_the_wire) });
    }

    /// Takes no more usage, and delivers what it can within so many milliseconds.
    pub fn close(&self, call: u32, millis: f64) {
        let sdk = self.sdk.clone();
        self.begin(call, async move { Ok(of_report(sdk.close(duration(millis)).await)) });
    }

    /// What the SDK has done since it was built, as JSON.
    pub fn stats(&self) -> String {
        of_stats(&self.sdk.stats())
    }

    /// How many events wait to be delivered.
    pub fn pending(&self) -> f64 {
        self.sdk.stats().usage.pending as f64
    }

    /// Begins a call, and tells the host what came of it.
    fn begin(&self, call: u32, work: impl Future<Output = Told> + Send + 'static) {
        self.begin_any(call, work.boxed());
    }

    /// One for all calls: what is around the work is not copied into each.
    fn begin_any(&self, call: u32, work: BoxFuture<'static, Told>) {
        let (js, calls) = (self.host.js.clone(), self.calls.clone());
        let done = async move {
            let (ok, json) = match work.await {
                Ok(json) => (true, json),
                Err(json) => (false, json),
            };
            lock(&calls).remove(&call);
            js.answered(call, ok, &json);
        };
        let task = self.host.tasks.start(done.boxed());
        if !task.is_over() {
            lock(&self.calls).insert(call, Arc::downgrade(&task));
        }
    }
}
