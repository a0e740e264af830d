//! The calls, as they cross. What they mean is told where the face offers them.

use cloudnestle_marketplace::{MarketplaceSdk, Result};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::call::Call;
use crate::errors::raised;
use crate::events::Events;
use crate::history::{self, Filters, Items};
use crate::home::{Background, Home};
use crate::logging;
use crate::model::{
    CloseReport, Diagnosis, EventRef, Quota, RejectedUsage, Stats, TokenPair, UsageStats, User,
    UserContext,
};
use crate::receipt::Receipt;
use crate::settings::{Settings, duration};
use crate::source::TokenSource;
use crate::usage::usage;

/// The SDK of a program, whichever process it is in.
#[pyclass(frozen, weakref, module = "cloudnestle_marketplace._native")]
pub(crate) struct Core {
    home: Home,
}

impl Core {
    fn sdk(&self, py: Python<'_>) -> PyResult<MarketplaceSdk> {
        logging::emit(py)?;
        self.home.sdk(py)
    }

    /// Begins a call; `of` makes its answer Python's.
    fn ask<T, F>(
        &self,
        py: Python<'_>,
        ask: impl FnOnce(MarketplaceSdk) -> F,
        of: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> PyResult<Call>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let sdk = self.sdk(py)?;
        Ok(Call::of(Background::of(&sdk), ask(sdk), of))
    }

    fn closing(&self, sdk: MarketplaceSdk, deadline: f64) -> Call {
        self.home.is_closing();
        let (background, end) = (Background::of(&sdk), self.home.end());
        let closing = async move {
            let report = sdk.close(duration(deadline)).await;
            end.come();
            Ok(report)
        };
        Call::of(background, closing, |py, report| CloseReport::of(&report).into_py_any(py))
    }
}

#[pymethods]
impl Core {
    #[new]
    #[pyo3(signature = (settings: "dict[str, object]"))]
    fn new(py: Python<'_>, settings: Settings) -> PyResult<Self> {
        logging::listen();
        let home = Home::build(settings).map_err(|error| raised(py, &error))?;
        Ok(Core { home })
    }

    /// Who is known to be this user, without waiting for anything; `None` if somebody has to be asked.
    fn known_user(&self, py: Python<'_>, token: &str) -> PyResult<Option<User>> {
        let sdk = self.sdk(py)?;
        Ok(sdk.hold_user(token).and_then(|held| sdk.still_good(&held)).map(User::of))
    }

    fn validate_user(&self, py: Python<'_>, token: String) -> PyResult<Call> {
        self.ask(
            py,
            async move |sdk| sdk.validate_user(&token).await,
            |py, answer| User::of(answer).into_py_any(py),
        )
    }

    fn get_user_context(&self, py: Python<'_>, token: String) -> PyResult<Call> {
        self.ask(
            py,
            async move |sdk| sdk.get_user_context(&token).await,
            |py, answer| UserContext::of(answer).into_py_any(py),
        )
    }

    #[pyo3(signature = (token, action, quantity, idempotency_key, metadata: "dict[str, str | int | float | bool | None] | None", amends, voids))]
    #[expect(clippy::too_many_arguments, reason = "as many as an event has")]
    fn track_usage(
        &self,
        py: Python<'_>,
        token: String,
        action: &str,
        quantity: i128,
        idempotency_key: Option<String>,
        metadata: Option<&Bound<'_, PyDict>>,
        amends: Option<&EventRef>,
        voids: Option<&EventRef>,
    ) -> PyResult<Call> {
        let usage = usage(py, action, quantity, idempotency_key, metadata, amends, voids)?;
        let background = Background::of(&self.sdk(py)?);
        self.ask(
            py,
            async move |sdk| sdk.track_usage(&token, usage).await,
            move |py, receipt| Receipt::of(background, receipt).into_py_any(py),
        )
    }

    #[pyo3(signature = (token, action, quantity, idempotency_key, metadata: "dict[str, str | int | float | bool | None] | None"))]
    fn consume(
        &self,
        py: Python<'_>,
        token: String,
        action: &str,
        quantity: i128,
        idempotency_key: Option<String>,
        metadata: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Call> {
        let usage = usage(py, action, quantity, idempotency_key, metadata, None, None)?;
        let background = Background::of(&self.sdk(py)?);
        self.ask(
            py,
            async move |sdk| sdk.consume(&token, usage).await,
            move |py, consumed| Receipt::of_consumed(background, &consumed).into_py_any(py),
        )
    }

    fn refresh_token(&self, py: Python<'_>, pair: &TokenPair) -> PyResult<Call> {
        let pair = pair.0.clone();
        self.ask(
            py,
            async move |sdk| sdk.refresh(&pair).await,
            |py, pair| TokenPair(pair).into_py_any(py),
        )
    }

    fn keep_fresh(&self, py: Python<'_>, pair: &TokenPair) -> PyResult<TokenSource> {
        let sdk = self.sdk(py)?;
        let source = sdk.keep_fresh(pair.0.clone());
        Ok(TokenSource { background: Background::of(&sdk), source })
    }

    fn exchange_code(
        &self,
        py: Python<'_>,
        code: String,
        verifier: Option<String>,
    ) -> PyResult<Call> {
        self.ask(
            py,
            async move |sdk| sdk.exchange_code(&code, verifier.as_deref()).await,
            |py, pair| TokenPair(pair).into_py_any(py),
        )
    }

    fn create_visitor(&self, py: Python<'_>) -> PyResult<Call> {
        self.ask(
            py,
            async move |sdk| sdk.create_visitor().await,
            |py, pair| TokenPair(pair).into_py_any(py),
        )
    }

    fn revoke_token(&self, py: Python<'_>, token: String) -> PyResult<Call> {
        self.ask(py, async move |sdk| sdk.revoke_token(&token).await, |py, ()| Ok(py.None()))
    }

    fn quotas(&self, py: Python<'_>, customer_id: String) -> PyResult<Call> {
        self.ask(
            py,
            async move |sdk| sdk.quotas(&customer_id).await,
            |py, quotas| quotas.iter().map(Quota::of).collect::<Vec<_>>().into_py_any(py),
        )
    }

    fn usage_history(
        &self,
        py: Python<'_>,
        customer_id: &str,
        bucket: &str,
        filters: Filters,
    ) -> PyResult<Items> {
        let sdk = self.sdk(py)?;
        let bucket = history::bucket(bucket).map_err(|error| raised(py, &error))?;
        let filter = history::filter(filters);
        let pages = sdk.usage_history(customer_id, bucket, filter);
        Ok(Items::buckets(Background::of(&sdk), pages))
    }

    fn usage_events(&self, py: Python<'_>, customer_id: &str, filters: Filters) -> PyResult<Items> {
        let sdk = self.sdk(py)?;
        let pages = sdk.usage_events(customer_id, history::filter(filters));
        Ok(Items::events(Background::of(&sdk), pages))
    }

    fn flush(&self, py: Python<'_>) -> PyResult<Call> {
        self.ask(py, async move |sdk| sdk.flush().await, |py, ()| Ok(py.None()))
    }

    fn flush_before_return(&self, py: Python<'_>, deadline: f64) -> PyResult<Call> {
        self.ask(
            py,
            async move |sdk| Ok(sdk.flush_before_return(duration(deadline)).await),
            |py, stats| UsageStats::of(&stats).into_py_any(py),
        )
    }

    fn rejected_usage(&self, py: Python<'_>) -> PyResult<Call> {
        self.ask(
            py,
            async move |sdk| sdk.rejected_usage().await,
            |py, rejected| {
                rejected.into_iter().map(RejectedUsage::of).collect::<Vec<_>>().into_py_any(py)
            },
        )
    }

    fn replay_rejected(&self, py: Python<'_>) -> PyResult<Call> {
        self.ask(
            py,
            async move |sdk| sdk.replay_rejected().await,
            |py, count| count.into_py_any(py),
        )
    }

    fn close(&self, py: Python<'_>, deadline: f64) -> PyResult<Call> {
        Ok(self.closing(self.sdk(py)?, deadline))
    }

    /// Whether this process has an SDK that is not closed.
    fn has_begun(&self) -> bool {
        self.home.begun().is_some()
    }

    /// Closes what this process has begun; `None` if there is nothing.
    fn leave(&self, deadline: f64) -> Option<Call> {
        Some(self.closing(self.home.begun()?, deadline))
    }

    fn diagnose(&self, py: Python<'_>) -> PyResult<Call> {
        self.ask(
            py,
            async move |sdk| Ok(sdk.diagnose().await),
            |py, diagnosis| Diagnosis::of(diagnosis).into_py_any(py),
        )
    }

    fn stats(&self, py: Python<'_>) -> PyResult<Stats> {
        Ok(Stats::of(&self.sdk(py)?.stats()))
    }

    fn events(&self, py: Python<'_>) -> PyResult<Events> {
        Ok(Events::of(&self.sdk(py)?, self.home.end()))
    }
}
