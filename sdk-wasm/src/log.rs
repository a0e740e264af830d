//! The log that a browser keeps. What it is asked for has a number, and is answered by an export of the core.

use std::sync::Arc;

use cloudnestle_marketplace::host::{LogError, LogPart, LogResult, PlatformLog};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use wasm_bindgen::prelude::*;

use crate::js::JsHost;
use crate::waiting::Waiting;

#[wasm_bindgen]
extern "C" {
    /// The log of that name; `producer` is whose it is from now on if there is none.
    #[wasm_bindgen(method, structural)]
    pub(crate) fn log(this: &JsHost, name: &str, producer: &str) -> Option<JsLog>;

    /// A log, with the operations of [`PlatformLog`]. Each has [`Core::logged`](crate::Core::logged) or
    /// [`Core::log_refused`](crate::Core::log_refused) called.
    pub(crate) type JsLog;

    #[wasm_bindgen(method, structural)]
    fn append(this: &JsLog, question: u32, records: Vec<String>, skip: f64);

    /// Has [`Core::log_read`](crate::Core::log_read) called.
    #[wasm_bindgen(method, structural)]
    fn read(this: &JsLog, question: u32, after: f64, records: u32, bytes: u32);

    #[wasm_bindgen(method, structural)]
    fn settle(this: &JsLog, question: u32, through: f64, numbers: Vec<f64>, refused: Vec<String>);

    #[wasm_bindgen(method, structural)]
    fn reopen(this: &JsLog, question: u32, fence: f64);

    #[wasm_bindgen(method, structural)]
    fn remove(this: &JsLog, question: u32, through: f64);

    #[wasm_bindgen(method, structural)]
    fn forget(this: &JsLog, question: u32, numbers: Vec<f64>);

    #[wasm_bindgen(method, structural)]
    fn changed(this: &JsLog, question: u32);

    /// Nobody waits for a change any more.
    #[wasm_bindgen(method, structural)]
    fn ignore(this: &JsLog);

    /// Nobody asks any more.
    #[wasm_bindgen(method, structural)]
    fn close(this: &JsLog);
}

pub(crate) type LogAnswer = LogResult<Logged>;

/// What a log answers with.
pub(crate) enum Logged {
    /// It is done; the first number that was given out.
    Done(u64),
    Read(LogPart),
}

pub(crate) struct WebLog {
    js: Arc<JsLog>,
    answers: Arc<Waiting<LogAnswer>>,
}

impl WebLog {
    pub(crate) fn new(js: JsLog, answers: Arc<Waiting<LogAnswer>>) -> Self {
        WebLog { js: Arc::new(js), answers }
    }

    fn ask<T: 'static>(
        &self,
        ask: impl FnOnce(&JsLog, u32),
        of: fn(Logged) -> Option<T>,
    ) -> BoxFuture<'static, LogResult<T>> {
        let question = self.answers.ask(|_| ());
        ask(&self.js, question.number);
        let answer = question.map(move |answer| {
            let nobody = || LogError { is_full: false, words: "the log gave no answer".to_owned() };
            of(answer.unwrap_or_else(|| Err(nobody()))?).ok_or_else(nobody)
        });
        answer.boxed()
    }

    fn have(&self, ask: impl FnOnce(&JsLog, u32)) -> BoxFuture<'static, LogResult<()>> {
        self.ask(ask, |_| Some(()))
    }
}

impl PlatformLog for WebLog {
    fn append(&self, records: Vec<String>, skip: u64) -> BoxFuture<'static, LogResult<u64>> {
        self.ask(
            |js, question| js.append(question, records, skip as f64),
            |logged| match logged {
                Logged::Done(first) => Some(first),
                Logged::Read(_) => None,
            },
        )
    }

    fn read(
        &self,
        after: u64,
        records: usize,
        bytes: usize,
    ) -> BoxFuture<'static, LogResult<LogPart>> {
        self.ask(
            |js, question| js.read(question, after as f64, records as u32, bytes as u32),
            |logged| match logged {
                Logged::Read(part) => Some(part),
                Logged::Done(_) => None,
            },
        )
    }

    fn settle(
        &self,
        through: u64,
        refused: Vec<(u64, String)>,
    ) -> BoxFuture<'static, LogResult<()>> {
        let (numbers, refused) =
            refused.into_iter().map(|(number, note)| (number as f64, note)).unzip();
        self.have(|js, question| js.settle(question, through as f64, numbers, refused))
    }

    fn reopen(&self, fence: u64) -> BoxFuture<'static, LogResult<()>> {
        self.have(|js, question| js.reopen(question, fence as f64))
    }

    fn remove(&self, through: u64) -> BoxFuture<'static, LogResult<()>> {
        self.have(|js, question| js.remove(question, through as f64))
    }

    fn forget(&self, numbers: Vec<u64>) -> BoxFuture<'static, LogResult<()>> {
        let numbers = numbers.into_iter().map(|number| number as f64).collect();
        self.have(|js, question| js.forget(question, numbers))
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        let js = self.js.clone();
        let question = self.answers.ask(move |_| js.ignore());
        self.js.changed(question.number);
        question.map(drop).boxed()
    }
}

impl Drop for WebLog {
    fn drop(&mut self) {
        self.js.close();
    }
}

/// Texts and their numbers.
pub(crate) fn numbered(numbers: &[f64], texts: Vec<String>) -> Vec<(u64, String)> {
    numbers.iter().map(|number| *number as u64).zip(texts).collect()
}
