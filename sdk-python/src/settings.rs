//! How the face sets the core up. What it does not set comes from the environment, as the core reads it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cloudnestle_marketplace::{
    Builder, Code, Durability, Error, MarketplaceSdk, Overflow, Result, Secret, SpoolLimits,
    ValidationMode,
};
use futures_channel::oneshot;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

use crate::call::Telling;

/// The settings, of types that the face has given them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Settings {
    secret_key: Option<String>,
    /// Has a function called with the key that has replaced the secret key, from a thread of Python's.
    #[pyo3(from_py_with = shared)]
    secret_key_provider: Option<Arc<Py<PyAny>>>,
    solution: Option<String>,
    url: Option<String>,
    issuer: Option<String>,
    validation: Option<String>,
    deadline: Option<f64>,
    spool_dir: Option<PathBuf>,
    spool_in_memory: bool,
    max_events: Option<u64>,
    max_bytes: Option<u64>,
    max_age: Option<f64>,
    overflow: Option<String>,
    durability: Option<String>,
}

impl Settings {
    pub(crate) fn build(&self) -> Result<MarketplaceSdk> {
        self.builder()?.build()
    }

    fn builder(&self) -> Result<Builder> {
        let mut builder = MarketplaceSdk::builder()
            .validation(one_of(&self.validation, &VALIDATION)?)
            .durability(one_of(&self.durability, &DURABILITY)?)
            .spool_limits(self.limits()?);
        if let Some(key) = &self.secret_key {
            builder = builder.secret_key(key.as_str());
        }
        if let Some(provider) = &self.secret_key_provider {
            let provider = provider.clone();
            builder = builder.secret_key_provider(move || asked(provider.clone()));
        }
        if let Some(solution) = &self.solution {
            builder = builder.solution(solution);
        }
        if let Some(url) = &self.url {
            builder = builder.url(url);
        }
        if let Some(issuer) = &self.issuer {
            builder = builder.issuer(issuer);
        }
        if let Some(seconds) = self.deadline {
            builder = builder.deadline(duration(seconds));
        }
        if let Some(dir) = &self.spool_dir {
            builder = builder.spool_dir(dir);
        }
        Ok(if self.spool_in_memory { builder.spool_in_memory() } else { builder })
    }

    fn limits(&self) -> Result<SpoolLimits> {
        let mut limits = SpoolLimits::default().overflow(one_of(&self.overflow, &OVERFLOW)?);
        if let Some(events) = self.max_events {
            limits = limits.events(events);
        }
        if let Some(bytes) = self.max_bytes {
            limits = limits.bytes(bytes);
        }
        if let Some(seconds) = self.max_age {
            limits = limits.age(duration(seconds));
        }
        Ok(limits)
    }
}

/// Cloned without the interpreter.
fn shared(function: &Bound<'_, PyAny>) -> PyResult<Option<Arc<Py<PyAny>>>> {
    Ok(function.extract::<Option<Py<PyAny>>>()?.map(Arc::new))
}

/// What the face's function has asked for the key that has replaced the secret key.
async fn asked(ask: Arc<Py<PyAny>>) -> Option<Secret> {
    let (tell, told) = oneshot::channel();
    let tell = Mutex::new(Some(tell));
    Telling::while_possible(|| {
        Python::try_attach(|py| {
            let tell = move |given: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
                let key: Option<String> = given.get_item(0)?.extract()?;
                let tell = tell.lock().unwrap_or_else(PoisonError::into_inner).take();
                let _ = tell.map(|tell| tell.send(key)); // nobody waits any more
                PyResult::Ok(())
            };
            let asked = PyCFunction::new_closure(py, None, None, tell)
                .and_then(|tell| ask.call1(py, (tell,)));
            if let Err(error) = asked {
                error.write_unraisable(py, None);
            }
        })
    });
    told.await.ok()?.map(Secret::new)
}

const VALIDATION: [(&str, ValidationMode); 3] = [
    ("connected", ValidationMode::Connected),
    ("online", ValidationMode::Online),
    ("local", ValidationMode::Local),
];

const DURABILITY: [(&str, Durability); 2] =
    [("fast", Durability::Fast), ("durable", Durability::Durable)];

const OVERFLOW: [(&str, Overflow); 3] = [
    ("reject", Overflow::Reject),
    ("drop_oldest", Overflow::DropOldest),
    ("drop_newest", Overflow::DropNewest),
];

/// What a setting's word stands for. The face has said which there are, with a better error than this one.
fn one_of<T: Copy + Default>(given: &Option<String>, words: &[(&str, T)]) -> Result<T> {
    let Some(given) = given else { return Ok(T::default()) };
    let found = words.iter().find(|(word, _)| word == given);
    found.map(|(_, value)| *value).ok_or_else(|| Error::from(Code::ConfigInvalid))
}

/// Python's seconds. Longer than can be counted is as long as can be; what is no time has passed.
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}
