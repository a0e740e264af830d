//! The calls that a client makes in its own way.

use wasm_bindgen::prelude::*;

use super::Core;
use crate::answers::{as_on_the_wire, told};

#[wasm_bindgen]
impl Core {
    /// The token pair for a launch code; `verifier` is what its `code_challenge` was made of.
    pub fn exchange_code(&self, call: u32, code: String, verifier: String) {
        let sdk = self.sdk.clone();
        self.begin(
            call,
            async move { told(sdk.exchange_code(&code, &verifier).await, as_on_the_wire) },
        );
    }
}
