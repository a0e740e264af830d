//! Scenarios: what every face of the SDK promises, written down once.
//!
//! A scenario is a YAML file in `scenarios/`: a world, the steps a program takes, the faults it
//! meets, and what must come of it – for the program **and** on the server. It names no language
//! and has no expressions: a runner is a loop over [`Step`]. `conformance/README.md` describes the
//! format; this file is its definition.

#![forbid(unsafe_code)]

pub mod attacks;
pub mod coverage;

use std::collections::BTreeMap;
use std::path::Path;

use cloudnestle_marketplace::model::{Bucket, Code, Tier, Timestamp};
use serde::Deserialize;

/// A file of `scenarios/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What users are promised, in a sentence.
    pub promise: String,
    /// What a face must offer to run it.
    pub needs: Vec<Need>,
    /// The world before the first step.
    #[serde(default)]
    pub given: Given,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// What the server must have seen in the end.
    #[serde(default)]
    pub server: ServerSide,
}

/// An ability that not every face has, such as a spool on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // named after the methods of the SDK
pub enum Need {
    ValidateUser,
    GetUserContext,
    TrackUsage,
    Consume,
    Refresh,
    KeepFresh,
    RevokeToken,
    ExchangeCode,
    CreateVisitor,
    Quotas,
    UsageHistory,
    UsageEvents,
    Flush,
    Close,
    Stats,
    Diagnose,
    FlushBeforeReturn,
    /// Receipts tell when their event is counted.
    Delivered,
    RejectedUsage,
    ReplayRejected,
    /// There is a client, which has its users' tokens and no key.
    Client,
    /// The spool has limits of the program's choice.
    SpoolLimits,
    /// Usage outlives the process.
    DurableSpool,
}

/// The world before the first step; besides, it is the mock server's built-in one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Given {
    /// What the server's clock shows; the machine's time if absent.
    pub clock: Option<Timestamp>,
    /// The solution the SDK is built for; [`SOLUTION`] unless set.
    pub solution: Option<String>,
    /// Whether the program is a client, which has its users' tokens and no key.
    pub client: bool,
    /// How the SDK validates.
    pub validation: Validation,
    /// Whether the SDK is given a secret key the marketplace does not know.
    pub unknown_secret_key: bool,
    /// How much usage may wait, and how safely.
    pub spool: SpoolSettings,
    /// Pairs the marketplace gave out, by the name the steps use.
    pub tokens: BTreeMap<String, Holder>,
    /// Launch codes that customers' browsers bring, by the name the steps use.
    pub codes: BTreeMap<String, Holder>,
    /// Texts that are passed as tokens, by the name the steps use.
    pub texts: BTreeMap<String, String>,
}

/// [`cloudnestle_marketplace::SpoolLimits`] and [`cloudnestle_marketplace::Durability`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolSettings {
    /// The most events that wait.
    pub events: Option<u64>,
    /// What happens to the next one.
    pub overflow: Overflow,
    /// Whether each event is on disk before it is acknowledged.
    pub durable: bool,
}

/// [`cloudnestle_marketplace::Overflow`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Overflow {
    #[default]
    Reject,
    DropOldest,
    DropNewest,
}

/// [`cloudnestle_marketplace::ValidationMode`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Validation {
    #[default]
    Connected,
    Online,
    Local,
}

/// The solution the SDK is built for, unless a scenario says otherwise.
pub const SOLUTION: &str = "sol_faiss_search";

/// Whom a pair was given to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// A customer of the built-in world.
    pub customer: String,
    /// The solution the customer opened; [`SOLUTION`] unless set.
    #[serde(default = "solution")]
    pub solution: String,
}

fn solution() -> String {
    SOLUTION.to_owned()
}

/// One thing that happens, and what must come of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What happens.
    #[serde(rename = "do")]
    pub deed: Deed,
    /// Which of several programs does it: each has a name, an SDK, a spool and tokens of its own. The first
    /// one has no name; the others begin with their first step.
    pub program: Option<String>,
    /// The name of the token it is done with.
    pub token: Option<String>,
    /// Whether the token's signature is broken before.
    #[serde(default)]
    pub forged: bool,
    /// `change_tier`: the tier from then on.
    pub tier: Option<Tier>,
    /// `quotas` (of a backend), `usage_history`, `usage_events`, `reset_quota`, `revoke_user`, `change_tier`, `issue`: the
    /// customer's id.
    pub customer: Option<String>,
    /// `track_usage`, `consume`, `report`, `usage_history`, `usage_events`, `reset_quota`: the action.
    pub action: Option<String>,
    /// `track_usage`, `consume`, `report`: how much of it; 1 unless set.
    pub quantity: Option<u64>,
    /// `track_usage`, `consume`: the caller's own name for the event.
    pub idempotency_key: Option<String>,
    /// `delivered`: the name of the event.
    pub event: Option<String>,
    /// `track_usage`: the name of the event it puts right.
    pub amends: Option<String>,
    /// `track_usage`: the name of the event it takes back.
    pub voids: Option<String>,
    /// `refresh`, `issue`: the name of the new pair. `track_usage`, `consume`: the name of the event.
    pub keep_as: Option<String>,
    /// `usage_history`: how long the buckets are; days unless set.
    pub bucket: Option<Bucket>,
    /// `usage_history`, `usage_events`: how many items a page has.
    pub page_size: Option<u32>,
    /// `limit_calls`: how often the SDK's key may call.
    pub per_second: Option<u32>,
    /// How often it is done, one after the other; once unless set.
    pub times: Option<u32>,
    /// How many callers do it at once; all must get the same.
    pub callers: Option<usize>,
    /// `advance_clock`, `turn_clock_back`, `wait`, `close`, `flush_before_return`: how long, in milliseconds.
    pub millis: Option<u64>,
    /// `faults`: added to the plan, each for one call, as `POST /mock/faults` takes them.
    #[serde(default)]
    pub plan: Vec<Fault>,
    /// The call succeeds, and its answer has these values. A call without `error` must succeed.
    #[serde(default)]
    pub answer: Answer,
    /// The call fails with this code.
    pub error: Option<Code>,
    /// `consume`: it is refused until then.
    pub resets_at: Option<Timestamp>,
    /// So many requests are sent because of it.
    pub requests: Option<u64>,
}

/// What happens in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// The program asks who the user of a token is.
    ValidateUser,
    /// The program asks what the user of a token may do.
    GetUserContext,
    /// The program notes what the user of a token did.
    TrackUsage,
    /// The program asks whether the user of a token may do something, and notes it if so.
    Consume,
    /// The program renews a pair. The new one goes by the same name, or by that of `keep_as`.
    Refresh,
    /// The program has a pair kept fresh from now on.
    KeepFresh,
    /// The program asks for a good token of a pair that is kept fresh, and goes on with it.
    AccessToken,
    /// The program ends a token.
    RevokeToken,
    /// The program exchanges the launch code that `token` names. The pair goes by the name of
    /// `keep_as`.
    ExchangeCode,
    /// The program welcomes an anonymous visitor. The pair goes by the name of `keep_as`.
    CreateVisitor,
    /// A visitor, who has `token`, registers with the marketplace.
    Register,
    /// The program asks for the quotas of `customer`.
    Quotas,
    /// The program reads to the end what `customer` has used, by `bucket`.
    UsageHistory,
    /// The program reads to the end which events of `customer` counted.
    UsageEvents,
    /// The program waits until usage is answered for.
    Flush,
    /// The program delivers what it can within `millis`, and goes on.
    FlushBeforeReturn,
    /// The program waits until `event` is counted.
    Delivered,
    /// The program looks at what was rejected and kept.
    RejectedUsage,
    /// The program sends what was rejected once more.
    ReplayRejected,
    /// The program closes the SDK within `millis`.
    Close,
    /// The program ends without closing the SDK, and another begins with the same spool.
    Restart,
    /// The program looks at the accounts.
    Stats,
    /// The program looks for what stands between it and the marketplace.
    Diagnose,
    /// The marketplace revokes a token.
    Revoke,
    /// The customer's browser reports, with the token alone, that `action` was done.
    Report,
    /// The marketplace lets the SDK's key call so often, `per_second`, and as often at once.
    LimitCalls,
    /// The marketplace signs with its next key from now on.
    RotateSigningKey,
    /// The marketplace gives `customer` the quota of `action` back.
    ResetQuota,
    /// The marketplace revokes every token that a customer has for the solution.
    RevokeUser,
    /// The marketplace gives a customer another tier of the solution.
    ChangeTier,
    /// The marketplace gives a customer one more pair, which goes by the name of `keep_as`.
    Issue,
    /// The marketplace ends, and begins again with the same database. Its journal begins anew.
    RestartServer,
    /// The marketplace's clock moves on by `millis`.
    AdvanceClock,
    /// The marketplace's clock goes back by `millis`.
    TurnClockBack,
    /// The marketplace can't be reached any more.
    GoOffline,
    /// The marketplace can be reached again.
    ComeOnline,
    /// From now on calls meet the faults of `plan`.
    Faults,
    /// Real time passes, because the SDK measures it.
    Wait,
}

impl Deed {
    /// Whether the program does it, and gets an answer.
    pub fn is_the_programs(self) -> bool {
        use Deed::*;
        matches!(
            self,
            ValidateUser
                | GetUserContext
                | TrackUsage
                | Consume
                | Refresh
                | KeepFresh
                | AccessToken
                | RevokeToken
                | ExchangeCode
                | CreateVisitor
                | Quotas
                | UsageHistory
                | UsageEvents
                | Flush
                | FlushBeforeReturn
                | Delivered
                | RejectedUsage
                | ReplayRejected
                | Close
                | Stats
                | Diagnose
        )
    }
}

/// What an answer must have; what is not named may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // named after the fields of the answers
pub struct Answer {
    pub customer_id: Option<String>,
    pub tier: Option<Tier>,
    pub verified: Option<String>,
    pub freshness: Option<String>,
    /// Of a context or quotas: how much of an action is used.
    pub used: BTreeMap<String, u64>,
    /// Of a context or quotas: how much of an action is left.
    pub remaining: BTreeMap<String, u64>,
    /// Of a usage history: how much was used in each bucket.
    pub quantities: Option<Vec<u64>>,
    /// Of events: what each of them counts.
    pub counts: Option<Vec<i64>>,
    /// Of events: what corrections have left of each; null where there was none.
    pub left: Option<Vec<Option<u64>>>,
    pub tracked: Option<u64>,
    pub delivered: Option<u64>,
    pub pending: Option<u64>,
    pub rejected: Option<u64>,
    pub lost: Option<u64>,
    /// Whether something was allowed because nobody could be asked.
    pub overage: Option<bool>,
    /// Of a diagnosis: how bad the worst finding is.
    pub severity: Option<String>,
    /// Of a diagnosis: the codes of its findings.
    pub codes: Option<Vec<Code>>,
}

/// A fault, as the server takes it.
pub type Fault = BTreeMap<String, serde_json::Value>;

/// What the server must have seen in the end. Besides, the fault plan must be used up.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSide {
    /// How often an operation was called, such as `POST /api/track-usage: 2`.
    pub saw: BTreeMap<String, u64>,
    /// How much of an action a customer has used of [`SOLUTION`], by the customer's id.
    pub used: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Every scenario there is, by the name of its file.
///
/// # Errors
/// In words, when a file can't be read or is not a scenario.
pub fn scenarios() -> Result<BTreeMap<String, Scenario>, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = std::fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut scenarios = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        scenarios
            .insert(name, read(&path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    Ok(scenarios)
}

fn read(path: &Path) -> Result<Scenario, String> {
    Scenario::read(&std::fs::read_to_string(path).map_err(|error| error.to_string())?)
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// In words, when the text is none.
    pub fn read(yaml: &str) -> Result<Scenario, String> {
        serde_saphyr::from_str(yaml).map_err(|error| error.to_string())
    }
}
