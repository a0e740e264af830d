//! A pair that is kept good.

use cloudnestle_marketplace as core;
use pyo3::prelude::*;

use crate::call::Call;
use crate::home::Background;
use crate::model::TokenPair;

/// Gives out a pair's access token, and renews it before it ends.
#[pyclass(frozen, module = "cloudnestle_marketplace._native")]
pub(crate) struct TokenSource {
    pub(crate) background: Background,
    pub(crate) source: core::TokenSource,
}

#[pymethods]
impl TokenSource {
    /// An access token that is good now.
    fn access_token(&self) -> Call {
        let source = self.source.clone();
        let asking = async move { source.access_token().await };
        Call::of(self.background.clone(), asking, |py, token| crossed(py, token.expose()))
    }

    /// Another token in the place of one that was refused.
    fn replace(&self, refused: String) -> Call {
        let (source, refused) = (self.source.clone(), core::Secret::new(refused));
        let asking = async move { source.replace(&refused).await };
        Call::of(self.background.clone(), asking, |py, token| crossed(py, token.expose()))
    }

    /// The pair as it is now, to be kept.
    fn pair(&self) -> TokenPair {
        TokenPair(self.source.pair())
    }
}

fn crossed(py: Python<'_>, token: &str) -> PyResult<Py<PyAny>> {
    Ok(pyo3::types::PyString::new(py, token).into_any().unbind())
}
