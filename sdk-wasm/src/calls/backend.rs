//! The calls that only a backend has: they take its secret key.

use std::sync::Arc;

use wasm_bindgen::prelude::*;

use super::Core;
use crate::answers::{
    as_on_the_wire, nothing, of_consumed, of_diagnosis, of_receipt, of_user, told,
};
use crate::asked::{FilterJson, read, usage_of};
use crate::files::error_of;

#[wasm_bindgen]
impl Core {
    /// A file was synced, or could not be: `code` is the error's, and absent if there is none.
    pub fn synced(&self, question: u32, code: Option<String>) {
        let synced = code.map_or(Ok(()), |code| Err(error_of(&code, format!("sync: {code}"))));
        self.host.syncs.answer(question, synced);
    }

    /// The key that has replaced the secret key; absent if there is none.
    pub fn provided(&self, question: u32, key: Option<String>) {
        self.host.keys.answer(question, key);
    }

    /// Who is this user? Before the answer's JSON, a number by which [`still_good`](Self::still_good) knows them;
    /// 0 if there is none.
    pub fn validate_user(&self, call: u32, token: String) {
        let (sdk, kept) = (self.sdk.clone(), self.kept.clone());
        self.begin(call, async move {
            told(sdk.validate_user(&token).await, |user| {
                let held = sdk.hold_user(&token);
                let number = held.map_or(0, |held| kept.users.keep(Arc::new(held)));
                format!("{number} {}", of_user(user))
            })
        });
    }

    /// How old what is known of a held user is, in milliseconds; below 0 if the token has to be looked at.
    pub fn still_good(&self, user: u32) -> f64 {
        let user = self.kept.users.get(user).ok();
        let answer = user.and_then(|user| self.sdk.still_good(&user));
        answer.map_or(-1.0, |answer| answer.age().as_millis() as f64)
    }

    /// Nobody asks about that user any more.
    pub fn forget_user(&self, user: u32) {
        self.kept.users.forget(user);
    }

    /// A number for who does something by a token that [`track_usage`](Self::track_usage) has just taken, by
    /// which [`track_at_once`](Self::track_at_once) knows them; 0 if there is nobody.
    pub fn hold_actor(&self, token: &str) -> u32 {
        self.sdk.hold_actor(token).map_or(0, |actor| self.kept.actors.keep(Arc::new(actor)))
    }

    /// Note that they did it, without the token and without a call that is open: the receipt. Empty if nothing
    /// was noted: [`track_usage`](Self::track_usage) waits where that is needed, and says what is wrong.
    pub fn track_at_once(
        &self,
        actor: u32,
        action: String,
        quantity: f64,
        particulars: &str,
    ) -> String {
        let receipt = self.kept.actors.get(actor).ok().and_then(|actor| {
            let usage = usage_of(action, quantity, particulars).ok()?;
            self.sdk.track_at_once(&actor, usage)?.ok()
        });
        receipt.map_or_else(String::new, |receipt| {
            of_receipt(&receipt, self.kept.logs.number_of(&receipt))
        })
    }

    /// Nobody asks about that actor any more.
    pub fn forget_actor(&self, actor: u32) {
        self.kept.actors.forget(actor);
    }

    /// May they do this, and if so note that they did it. `particulars` are JSON, or empty.
    pub fn consume(
        &self,
        call: u32,
        token: String,
        action: String,
        quantity: f64,
        particulars: String,
    ) {
        let (sdk, kept) = (self.sdk.clone(), self.kept.clone());
        self.begin(call, async move {
            let consumed =
                async { sdk.consume(&token, usage_of(action, quantity, &particulars)?).await };
            told(consumed.await, |consumed| {
                of_consumed(&consumed, kept.logs.number_of(consumed.receipt()))
            })
        });
    }

    /// The token pair for a launch code.
    pub fn exchange_code(&self, call: u32, code: String, verifier: Option<String>) {
        let sdk = self.sdk.clone();
        self.begin(call, async move {
            told(sdk.exchange_code(&code, verifier.as_deref()).await, as_on_the_wire)
        });
    }

    /// Ends a token.
    pub fn revoke_token(&self, call: u32, token: String) {
        let sdk = self.sdk.clone();
        self.begin(call, async move { told(sdk.revoke_token(&token).await, nothing) });
    }

    /// A page of what a customer has used, by time.
    pub fn usage_history(&self, call: u32, customer_id: String, filter: String) {
        let sdk = self.sdk.clone();
        self.begin(call, async move {
            let page = async {
                let filter = read::<FilterJson>(&filter)?;
                let bucket = filter.bucket.unwrap_or_default();
                let mut pages = sdk.usage_history(&customer_id, bucket, filter.filter()?);
                pages.next_page().await
            };
            told(page.await, as_on_the_wire)
        });
    }

    /// A page of the events of which that is the sum.
    pub fn usage_events(&self, call: u32, customer_id: String, filter: String) {
        let sdk = self.sdk.clone();
        self.begin(call, async move {
            let page = async {
                let filter = read::<FilterJson>(&filter)?.filter()?;
                sdk.usage_events(&customer_id, filter).next_page().await
            };
            told(page.await, as_on_the_wire)
        });
    }

    /// What stands between this program and the marketplace.
    pub fn diagnose(&self, call: u32) {
        let sdk = self.sdk.clone();
        self.begin(call, async move { Ok(of_diagnosis(sdk.diagnose().await)) });
    }
}
