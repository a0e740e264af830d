//! The calls that a client makes in its own way.

use cloudnestle_marketplace::host::{LogError, LogPart};
use wasm_bindgen::prelude::*;

use super::Core;
use crate::answers::{as_on_the_wire, of_user, told};
use crate::log::{LogAnswer, Logged, numbered};

#[wasm_bindgen]
impl Core {
    /// A log has done what it was asked for: the first number that it gave out, if that is what it did.
    pub fn logged(&self, question: u32, first: f64) {
        self.tell_of_log(question, Ok(Logged::Done(first as u64)));
    }

    /// What was read of a log. `marks` are up to which number everything is answered for, the last number, and up to
    /// which one notes may be gone.
    #[expect(clippy::too_many_arguments, reason = "values that cross one by one need no parser")]
    pub fn log_read(
        &self,
        question: u32,
        producer: String,
        marks: &[f64],
        numbers: &[f64],
        records: Vec<String>,
        refused_numbers: &[f64],
        refused: Vec<String>,
    ) {
        let mark = |place: usize| marks.get(place).map_or(0, |mark| *mark as u64);
        let (answered, last, forgotten) = (mark(0), mark(1), mark(2));
        let (records, refused) = (numbered(numbers, records), numbered(refused_numbers, refused));
        let part = LogPart { producer, answered, last, forgotten, records, refused };
        self.tell_of_log(question, Ok(Logged::Read(part)));
    }

    /// A log has not done what it was asked for, and says why.
    pub fn log_refused(&self, question: u32, is_full: bool, words: String) {
        self.tell_of_log(question, Err(LogError { is_full, words }));
    }

    /// Who is this user?
    pub fn validate_user(&self, call: u32, token: String) {
        let sdk = self.sdk.clone();
        self.begin(call, async move { told(sdk.validate_user(&token).await, of_user) });
    }

    /// The token pair for a launch code; `verifier` is what its `code_challenge` was made of.
    pub fn exchange_code(&self, call: u32, code: String, verifier: String) {
        let sdk = self.sdk.clone();
        self.begin(
            call,
            async move { told(sdk.exchange_code(&code, &verifier).await, as_on_the_wire) },
        );
    }
}

impl Core {
    fn tell_of_log(&self, question: u32, answer: LogAnswer) {
        self.host.logs.answer(question, answer);
    }
}
