//! What calls answer with, as the JSON that crosses to the face. Names are those of the wire, which the
//! face turns into JavaScript's.

#[cfg(feature = "backend")]
mod backend;
#[cfg(not(feature = "backend"))]
mod client;

use cloudnestle_marketplace::{
    Answer, CloseReport, Error, Event, Freshness, Losses, Receipt, Result, UsageStats, User,
    UserContext, Verified,
};
use serde::Serialize;
use serde_json::{Value, json};

#[cfg(feature = "backend")]
use backend::denial_of;
#[cfg(feature = "backend")]
pub(crate) use backend::{of_consumed, of_diagnosis, of_stats};
#[cfg(not(feature = "backend"))]
use client::denial_of;
#[cfg(not(feature = "backend"))]
pub(crate) use client::of_stats;

/// What crosses: the text, and whether it tells of success.
pub(crate) type Told = std::result::Result<String, String>;

/// What came of a call.
pub(crate) fn told<T>(result: Result<T>, of: impl FnOnce(T) -> Value) -> Told {
    told_as(result, |value| text(&of(value)))
}

/// What came of a call that is not answered in JSON.
pub(crate) fn told_as<T>(result: Result<T>, of: impl FnOnce(T) -> String) -> Told {
    result.map(of).map_err(|error| text(&of_error(&error)))
}

/// As it crosses.
pub(crate) fn text(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default() // a value has a form in JSON
}

/// What has a form on the wire crosses in it.
pub(crate) fn as_on_the_wire<T: Serialize>(value: T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

pub(crate) fn nothing((): ()) -> Value {
    Value::Null
}

/// An error, without the catalogue's prose: the face has that.
pub(crate) fn of_error(error: &Error) -> Value {
    json!({
        "code": error.code(),
        "message": error.to_string(),
        "retryable": error.is_retryable(),
        "retry_after_ms": error.retry_after().map(|wait| wait.as_millis() as u64),
        "request_id": error.request_id(),
        "docs_url": error.docs_url(),
        "field": error.field(),
        "denial": denial_of(error),
    })
}

pub(crate) fn of_user(answer: Answer<User>) -> Value {
    let mut value = json!({
        "customer_id": answer.customer_id,
        "tier": answer.tier,
        "solution_id": answer.solution_id,
        "token_id": answer.token_id,
        "expires_at": answer.expires_at,
    });
    add_how_sure(&mut value, &answer);
    value
}

pub(crate) fn of_context(answer: Answer<UserContext>) -> Value {
    let mut value = as_on_the_wire(&*answer);
    add_how_sure(&mut value, &answer);
    value
}

fn add_how_sure<T>(value: &mut Value, answer: &Answer<T>) {
    value["verified"] = json!(match answer.verified() {
        Verified::Online => "online",
        _ => "local",
    });
    value["freshness"] = json!(match answer.freshness() {
        Freshness::Fresh => "fresh",
        Freshness::Stale => "stale",
        _ => "offline",
    });
    value["age_ms"] = json!(answer.age().as_millis() as u64);
}

/// Not as JSON, because there are so many: the event's id, the number of its log, and its ticket there, of which an
/// event that was dropped has none.
pub(crate) fn of_receipt(receipt: &Receipt, log: usize) -> String {
    match receipt.ticket() {
        Some(ticket) => format!("{} {log} {ticket}", receipt.event_id()),
        None => format!("{} {log} -1", receipt.event_id()),
    }
}

pub(crate) fn of_usage(usage: &UsageStats) -> Value {
    let Losses { damaged, overflow, expired, unacknowledged, .. } = usage.lost;
    json!({
        "tracked": usage.tracked,
        "delivered": usage.delivered,
        "pending": usage.pending,
        "in_memory": usage.in_memory,
        "rejected": usage.rejected,
        "lost": {
            "total": usage.lost.total(),
            "damaged": damaged,
            "overflow": overflow,
            "expired": expired,
            "unacknowledged": unacknowledged,
        },
    })
}

pub(crate) fn of_report(report: CloseReport) -> Value {
    json!({ "usage": of_usage(&report.usage) })
}

/// Something the SDK did by itself; `None` for what this face has no name for.
pub(crate) fn of_event(event: Event) -> Option<Value> {
    Some(match event {
        Event::Offline => json!({ "type": "offline" }),
        Event::Online => json!({ "type": "online" }),
        Event::RateLimited { wait } => {
            json!({ "type": "rateLimited", "wait_ms": wait.as_millis() as u64 })
        }
        Event::TokenRefreshed => json!({ "type": "tokenRefreshed" }),
        Event::UsageDelivered { count } => json!({ "type": "usageDelivered", "count": count }),
        Event::UsageRejected { event, code } => {
            json!({ "type": "usageRejected", "event": event, "code": code })
        }
        Event::UsageWaiting { error } => {
            json!({ "type": "usageWaiting", "error": of_error(&error) })
        }
        Event::UsageDropped { count, reason } => {
            json!({ "type": "usageDropped", "count": count, "reason": reason })
        }
        Event::SpoolInMemory { error } => {
            json!({ "type": "spoolInMemory", "error": of_error(&error) })
        }
        Event::QuotaWarning { customer_id, action, used, limit } => json!({
            "type": "quotaWarning",
            "customer_id": customer_id,
            "action": action,
            "used": used,
            "limit": limit,
        }),
        Event::Missed { count } => json!({ "type": "missed", "count": count }),
        _ => return None,
    })
}
