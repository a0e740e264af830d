//! Errors, as the exceptions of `cloudnestle_marketplace.errors`.

use std::error::Error as _;

use cloudnestle_marketplace::{Code, Error};
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::model::Denial;

/// The exception that an error is, with what caused it.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).unwrap_or_else(|failed| failed)
}

/// The exception of a code, in the catalogue's words.
#[pyfunction]
#[pyo3(signature = (code) -> "Any")]
pub(crate) fn error_of(py: Python<'_>, code: &str) -> Py<PyBaseException> {
    raised(py, &Error::from(Code::from_name(code))).into_value(py)
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    static OF: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let of = OF.import(py, "cloudnestle_marketplace.errors", "of")?;
    let told = PyDict::new(py);
    told.set_item("code", error.code().as_str())?;
    told.set_item("message", error.to_string())?;
    told.set_item("retryable", error.is_retryable())?;
    told.set_item("refuses_user", error.refuses_user())?;
    told.set_item("retry_after", error.retry_after().map(|wait| wait.as_secs_f64()))?;
    told.set_item("request_id", error.request_id())?;
    told.set_item("docs_url", error.docs_url())?;
    told.set_item("advice", error.advice())?;
    told.set_item("field", error.field())?;
    told.set_item("denial", error.denial().map(Denial::of))?;
    told.set_item("cause", error.source().map(ToString::to_string))?;
    Ok(PyErr::from_value(of.call((), Some(&told))?))
}
