//! What was done, as Python says it.

use cloudnestle_marketplace::{Code, Error, Result, Usage};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};
use serde_json::Value;

use crate::errors::raised;
use crate::model::EventRef;

/// `quantity` is any whole number: the core says what is out of bounds.
pub(crate) fn usage(
    py: Python<'_>,
    action: &str,
    quantity: i128,
    idempotency_key: Option<String>,
    metadata: Option<&Bound<'_, PyDict>>,
    amends: Option<&EventRef>,
    voids: Option<&EventRef>,
) -> PyResult<Usage> {
    let mut usage = Usage::of(action).quantity(u64::try_from(quantity).unwrap_or(0));
    if let Some(key) = idempotency_key {
        usage = usage.idempotency_key(key);
    }
    for (name, fact) in metadata.into_iter().flatten() {
        let name: String = name.extract()?;
        usage = usage.metadata(name, value(&fact).map_err(|error| raised(py, &error))?);
    }
    if let Some(event) = amends {
        usage = usage.amends(event.0.clone());
    }
    if let Some(event) = voids {
        usage = usage.voids(event.0.clone());
    }
    Ok(usage)
}

/// A fact: a text, a number, a truth value or nothing.
fn value(fact: &Bound<'_, PyAny>) -> Result<Value> {
    let invalid = || Error::from(Code::MetadataInvalid);
    if fact.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(truth) = fact.cast::<PyBool>() {
        return Ok(Value::Bool(truth.is_true()));
    }
    if let Ok(text) = fact.cast::<PyString>() {
        return text.to_str().map(Value::from).map_err(|_| invalid());
    }
    if fact.is_instance_of::<PyInt>() {
        let whole = fact.extract::<i64>().map(Value::from);
        return whole.or_else(|_| fact.extract::<u64>().map(Value::from)).map_err(|_| invalid());
    }
    if fact.is_instance_of::<PyFloat>() {
        let number = fact.extract().ok().and_then(serde_json::Number::from_f64);
        return number.map(Value::Number).ok_or_else(invalid);
    }
    Err(invalid())
}
