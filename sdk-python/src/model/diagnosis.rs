//! What stands between a program and the marketplace.

use cloudnestle_marketplace as core;
use pyo3::prelude::*;

/// What stands between a program and the marketplace. Holds no secret; `str` of it is a page to read.
#[pyclass(frozen, eq, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    /// The marketplace that was asked.
    url: String,
    /// The solution the SDK is set up for.
    solution_id: String,
    /// The worst that was found: `good`, `warning` or `bad`.
    severity: String,
    /// What was found.
    findings: Vec<Finding>,
    /// The same as a page to read.
    text: String,
}

/// What was found about one thing.
#[pyclass(frozen, eq, hash, get_all, module = "cloudnestle_marketplace")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Finding {
    /// About what.
    check: String,
    /// `good`, `warning` or `bad`.
    severity: String,
    /// The catalogue's name for what is wrong.
    code: Option<String>,
    /// What was found.
    message: String,
    /// What to do about it.
    advice: Option<String>,
}

impl Diagnosis {
    pub(crate) fn of(diagnosis: core::Diagnosis) -> Self {
        let finding = |finding: &core::Finding| Finding {
            check: finding.check.to_string(),
            severity: finding.severity.to_string(),
            code: finding.code.map(|code| code.as_str().to_owned()),
            message: finding.message.to_string(),
            advice: finding.advice.as_ref().map(ToString::to_string),
        };
        Diagnosis {
            severity: diagnosis.severity().to_string(),
            findings: diagnosis.findings.iter().map(finding).collect(),
            text: diagnosis.to_string(),
            url: diagnosis.url,
            solution_id: diagnosis.solution_id,
        }
    }
}

#[pymethods]
impl Diagnosis {
    fn __str__(&self) -> &str {
        &self.text
    }
}
