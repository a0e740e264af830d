//! What calls answer with, as the JSON that crosses to the face. Names are those of the wire, which the
//! face turns into JavaScript's.

#[cfg(feature = "backend")]
mod backend;
#[cfg(not(feature = "backend"))]
mod client;

use cloudnestle_marketplace::json::{self, Object};
use cloudnestle_marketplace::{
    Answer, CloseReport, Error, Event, Freshness, Losses, Receipt, Result, UsageStats, User,
    UserContext, Verified,
};
use serde::Serialize;

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
pub(crate) fn told<T>(result: Result<T>, of: impl FnOnce(T) -> String) -> Told {
    result.map(of).map_err(|error| of_error(&error))
}

/// What has a form on the wire crosses in it.
pub(crate) fn as_on_the_wire<T: Serialize>(value: T) -> String {
    json::write(&value)
}

pub(crate) fn nothing((): ()) -> String {
    "null".to_owned()
}

/// An error, without the catalogue's prose: the face has that.
pub(crate) fn of_error(error: &Error) -> String {
    let wait = error.retry_after().map(|wait| (wait.as_millis() as u64).to_string());
    // A code without words of its own: the face may have some.
    let message = (!error.message().is_empty()).then(|| error.to_string());
    Object::new()
        .text("code", error.code().as_str())
        .perhaps("message", message.as_deref())
        .truth("retryable", error.is_retryable())
        .truth("refuses_user", error.refuses_user())
        .value("retry_after_ms", wait.as_deref().unwrap_or("null"))
        .perhaps("request_id", error.request_id())
        .perhaps("docs_url", Some(error.docs_url()).filter(|url| !url.is_empty()))
        .perhaps("field", error.field())
        .value("denial", &denial_of(error))
        .written()
}

pub(crate) fn of_user(answer: Answer<User>) -> String {
    let user = Object::new()
        .text("customer_id", &answer.customer_id)
        .value("tier", &json::write(&answer.tier))
        .text("solution_id", &answer.solution_id)
        .text("token_id", &answer.token_id)
        .value("expires_at", &json::write(&answer.expires_at));
    and_how_sure(user, &answer)
}

pub(crate) fn of_context(answer: Answer<UserContext>) -> String {
    and_how_sure(Object::of(json::write(&*answer)), &answer)
}

fn and_how_sure<T>(object: Object, answer: &Answer<T>) -> String {
    let verified = match answer.verified() {
        Verified::Online => "online",
        _ => "local",
    };
    let freshness = match answer.freshness() {
        Freshness::Fresh => "fresh",
        Freshness::Stale => "stale",
        _ => "offline",
    };
    object
        .text("verified", verified)
        .text("freshness", freshness)
        .number("age_ms", answer.age().as_millis() as u64)
        .written()
}

/// Not as JSON, because there are so many: the event's id, the number of its log, and its ticket there, of which an
/// event that was dropped has none.
pub(crate) fn of_receipt(receipt: &Receipt, log: usize) -> String {
    match receipt.ticket() {
        Some(ticket) => format!("{} {log} {ticket}", receipt.event_id()),
        None => format!("{} {log} -1", receipt.event_id()),
    }
}

pub(crate) fn of_usage(usage: &UsageStats) -> String {
    let Losses { damaged, overflow, expired, unacknowledged, .. } = usage.lost;
    let lost = Object::new()
        .number("total", usage.lost.total())
        .number("damaged", damaged)
        .number("overflow", overflow)
        .number("expired", expired)
        .number("unacknowledged", unacknowledged);
    Object::new()
        .number("tracked", usage.tracked)
        .number("delivered", usage.delivered)
        .number("pending", usage.pending)
        .number("in_memory", usage.in_memory)
        .number("rejected", usage.rejected)
        .value("lost", &lost.written())
        .written()
}

pub(crate) fn of_report(report: CloseReport) -> String {
    Object::new().value("usage", &of_usage(&report.usage)).written()
}

/// Something the SDK did by itself; `None` for what this face has no name for.
pub(crate) fn of_event(event: Event) -> Option<String> {
    let of_type = |name| Object::new().text("type", name);
    let event = match event {
        Event::Offline => of_type("offline"),
        Event::Online => of_type("online"),
        Event::RateLimited { wait } => {
            of_type("rateLimited").number("wait_ms", wait.as_millis() as u64)
        }
        Event::TokenRefreshed => of_type("tokenRefreshed"),
        Event::UsageDelivered { count } => of_type("usageDelivered").number("count", count),
        Event::UsageRejected { event, code, kept } => of_type("usageRejected")
            .value("event", &json::write(&event))
            .text("code", code.as_str())
            .value("kept", &json::write(&kept)),
        Event::UsageWaiting { error } => of_type("usageWaiting").value("error", &of_error(&error)),
        Event::UsageDropped { count, reason } => {
            of_type("usageDropped").number("count", count).value("reason", &json::write(&reason))
        }
        Event::SpoolInMemory { error } => {
            of_type("spoolInMemory").value("error", &of_error(&error))
        }
        Event::QuotaWarning { customer_id, action, used, limit } => of_type("quotaWarning")
            .text("customer_id", &customer_id)
            .text("action", &action)
            .number("used", used)
            .number("limit", limit),
        Event::Missed { count } => of_type("missed").number("count", count),
        _ => return None,
    };
    Some(event.written())
}
