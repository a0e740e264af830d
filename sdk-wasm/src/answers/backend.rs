//! What only a backend is told.

use cloudnestle_marketplace::{Consumed, Denial, Diagnosis, Error, Stats};
use serde_json::{Value, json};

use super::{of_receipt, of_usage};

/// Why a hard limit denies, in particulars.
pub(super) fn denial_of(error: &Error) -> Option<Value> {
    error.denial().map(of_denial)
}

fn of_denial(denial: &Denial) -> Value {
    json!({
        "action": denial.action,
        "limit": denial.limit,
        "used": denial.used,
        "leased": denial.leased,
        "remaining": denial.remaining,
        "window": denial.window,
        "resets_at": denial.resets_at,
        "upgrade_url": denial.upgrade_url,
    })
}

/// As a receipt, and whether nobody knows if the limit had room for it.
pub(crate) fn of_consumed(consumed: &Consumed, log: usize) -> String {
    let overage = if consumed.is_overage() { " overage" } else { "" };
    of_receipt(consumed.receipt(), log) + overage
}

pub(crate) fn of_stats(stats: &Stats) -> Value {
    json!({
        "requests": stats.requests,
        "clock_offset_ms": stats.clock_offset_ms,
        "usage": of_usage(&stats.usage),
        "leases": {
            "taken": stats.leases.taken,
            "held": stats.leases.held,
            "returned": stats.leases.returned,
            "given_up": stats.leases.given_up,
        },
    })
}

pub(crate) fn of_diagnosis(diagnosis: Diagnosis) -> Value {
    let findings = diagnosis.findings.iter().map(|finding| {
        json!({
            "check": finding.check.to_string(),
            "severity": finding.severity.to_string(),
            "code": finding.code,
            "message": finding.message,
            "advice": finding.advice,
        })
    });
    json!({
        "url": diagnosis.url,
        "solution_id": diagnosis.solution_id,
        "severity": diagnosis.severity().to_string(),
        "findings": findings.collect::<Vec<_>>(),
        "text": diagnosis.to_string(),
    })
}
