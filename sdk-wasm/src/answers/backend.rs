//! What only a backend is told.

use cloudnestle_marketplace::json::{self, Object};
use cloudnestle_marketplace::{Consumed, Denial, Diagnosis, Error, Stats};

use super::{of_receipt, of_usage};

/// Why a hard limit denies, in particulars.
pub(super) fn denial_of(error: &Error) -> String {
    error.denial().map_or_else(|| "null".to_owned(), of_denial)
}

fn of_denial(denial: &Denial) -> String {
    Object::new()
        .text("action", &denial.action)
        .number("limit", denial.limit)
        .number("used", denial.used)
        .number("leased", denial.leased)
        .number("remaining", denial.remaining)
        .value("window", &json::write(&denial.window))
        .value("resets_at", &json::write(&denial.resets_at))
        .value("upgrade_url", &json::write(&denial.upgrade_url))
        .written()
}

/// As a receipt, and whether nobody knows if the limit had room for it.
pub(crate) fn of_consumed(consumed: &Consumed, log: usize) -> String {
    let overage = if consumed.is_overage() { " overage" } else { "" };
    of_receipt(consumed.receipt(), log) + overage
}

pub(crate) fn of_stats(stats: &Stats) -> String {
    let leases = Object::new()
        .number("taken", stats.leases.taken)
        .number("held", stats.leases.held)
        .number("returned", stats.leases.returned)
        .number("given_up", stats.leases.given_up);
    Object::new()
        .number("requests", stats.requests)
        .value("clock_offset_ms", &stats.clock_offset_ms.to_string())
        .value("usage", &of_usage(&stats.usage))
        .value("leases", &leases.written())
        .written()
}

pub(crate) fn of_diagnosis(diagnosis: Diagnosis) -> String {
    let findings = diagnosis.findings.iter().map(|finding| {
        Object::new()
            .text("check", &finding.check.to_string())
            .text("severity", &finding.severity.to_string())
            .value("code", &json::write(&finding.code))
            .text("message", &finding.message)
            .perhaps("advice", finding.advice)
            .written()
    });
    let findings = findings.collect::<Vec<_>>().join(",");
    Object::new()
        .text("url", &diagnosis.url)
        .value("solution_id", &json::write(&diagnosis.solution_id))
        .text("severity", &diagnosis.severity().to_string())
        .value("findings", &format!("[{findings}]"))
        .text("text", &diagnosis.to_string())
        .written()
}
