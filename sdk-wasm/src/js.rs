//! What JavaScript hands in: `Bridge` of `ts/bridge.ts`.
//!
//! None of its methods may throw, except those of files: an exception does not unwind Rust's stack.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The primitives of the platform.
    pub type JsHost;

    /// Milliseconds since 1970.
    #[wasm_bindgen(method, structural)]
    pub(crate) fn wall(this: &JsHost) -> f64;

    /// Milliseconds since some fixed moment.
    #[wasm_bindgen(method, structural)]
    pub(crate) fn monotonic(this: &JsHost) -> f64;

    #[wasm_bindgen(method, structural)]
    pub(crate) fn random(this: &JsHost, bytes: &mut [u8]);

    /// Has [`Core::woken`](crate::Core::woken) called after so many milliseconds.
    #[wasm_bindgen(method, structural)]
    pub(crate) fn sleep(this: &JsHost, timer: u32, millis: f64);

    /// Nobody waits for that timer any more.
    #[wasm_bindgen(method, structural, js_name = stopTimer)]
    pub(crate) fn stop_timer(this: &JsHost, timer: u32);

    /// Has [`Core::sent`](crate::Core::sent) or [`Core::not_sent`](crate::Core::not_sent) called. `headers`
    /// are names and values in turn; `body` is to be copied.
    #[wasm_bindgen(method, structural)]
    pub(crate) fn send(
        this: &JsHost,
        request: u32,
        method: &str,
        url: &str,
        headers: Vec<String>,
        body: &[u8],
    );

    /// Nobody waits for that request any more.
    #[wasm_bindgen(method, structural, js_name = giveUp)]
    pub(crate) fn give_up(this: &JsHost, request: u32);

    /// Whether the Ed25519 signature is good; `None` where
    /// [`Core::verified`](crate::Core::verified) will tell. What it is given is to be copied.
    #[wasm_bindgen(method, structural)]
    pub(crate) fn verify(
        this: &JsHost,
        question: u32,
        key: &[u8],
        data: &[u8],
        signature: &[u8],
    ) -> Option<bool>;

    /// Has [`Core::provided`](crate::Core::provided) called with the key that has replaced the secret key.
    #[cfg(feature = "backend")]
    #[wasm_bindgen(method, structural, js_name = provideKey)]
    pub(crate) fn provide_key(this: &JsHost, question: u32);

    /// Has [`Core::run`](crate::Core::run) called, soon and not from within.
    #[wasm_bindgen(method, structural)]
    pub(crate) fn soon(this: &JsHost);

    /// What came of a call, as JSON.
    #[wasm_bindgen(method, structural)]
    pub(crate) fn answered(this: &JsHost, call: u32, ok: bool, json: &str);

    /// Something the SDK did by itself, as JSON.
    #[wasm_bindgen(method, structural)]
    pub(crate) fn event(this: &JsHost, json: &str);

    #[wasm_bindgen(method, structural)]
    pub(crate) fn files(this: &JsHost) -> Option<JsFiles>;

    #[wasm_bindgen(method, structural, js_name = stateDir)]
    pub(crate) fn state_dir(this: &JsHost) -> Option<String>;

    #[wasm_bindgen(method, structural, js_name = processId)]
    pub(crate) fn process_id(this: &JsHost) -> u32;

    /// Files, with the operations of [`Files`](cloudnestle_marketplace::host::Files); what they throw has
    /// the `code` that Node gives it. What is handed to them is to be copied.
    pub type JsFiles;

    #[wasm_bindgen(method, structural, catch, js_name = createDir)]
    pub(crate) fn create_dir(this: &JsFiles, dir: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, structural, catch)]
    pub(crate) fn list(this: &JsFiles, dir: &str) -> Result<Vec<String>, JsValue>;

    #[wasm_bindgen(method, structural, catch, js_name = appendTo)]
    pub(crate) fn append_to(this: &JsFiles, file: &str) -> Result<JsAppendFile, JsValue>;

    #[wasm_bindgen(method, structural, catch, js_name = readAt)]
    pub(crate) fn read_at(
        this: &JsFiles,
        file: &str,
        offset: f64,
        len: u32,
    ) -> Result<Vec<u8>, JsValue>;

    #[wasm_bindgen(method, structural, catch)]
    pub(crate) fn truncate(this: &JsFiles, file: &str, len: f64) -> Result<(), JsValue>;

    #[wasm_bindgen(method, structural, catch)]
    pub(crate) fn replace(this: &JsFiles, file: &str, content: &[u8]) -> Result<(), JsValue>;

    #[wasm_bindgen(method, structural, catch)]
    pub(crate) fn remove(this: &JsFiles, path: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, structural, catch)]
    pub(crate) fn lock(this: &JsFiles, file: &str) -> Result<Option<JsLock>, JsValue>;

    /// A file that only grows.
    pub type JsAppendFile;

    #[wasm_bindgen(method, structural, catch)]
    pub(crate) fn append(this: &JsAppendFile, bytes: &[u8]) -> Result<(), JsValue>;

    /// Has [`Core::synced`](crate::Core::synced) called.
    #[wasm_bindgen(method, structural)]
    pub(crate) fn sync(this: &JsAppendFile, question: u32);

    /// Nobody appends to it any more.
    #[wasm_bindgen(method, structural)]
    pub(crate) fn close(this: &JsAppendFile);

    /// The lock of a log.
    pub type JsLock;

    #[wasm_bindgen(method, structural, js_name = isHeld)]
    pub(crate) fn is_held(this: &JsLock) -> bool;

    #[wasm_bindgen(method, structural)]
    pub(crate) fn release(this: &JsLock);

    /// What an error says of itself, for a host that throws.
    #[wasm_bindgen(js_name = Error)]
    pub(crate) type JsError;

    #[wasm_bindgen(method, getter, structural)]
    pub(crate) fn code(this: &JsError) -> Option<String>;

    #[wasm_bindgen(method, getter, structural)]
    pub(crate) fn message(this: &JsError) -> Option<String>;
}
