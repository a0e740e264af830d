//! May they do this? By a lease that is here, or by one that is asked for.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::{Holder, Leases, Reply, Spent};
use crate::error::{Error, Result};
use crate::host::{Moment, timeout};
use crate::model::{Code, UsageEvent};
use crate::usage::log::Taken;
use crate::usage::tracker::record;

/// An event that is allowed and noted.
pub(crate) struct Paid {
    /// In whose log it is.
    pub(crate) holder: Arc<Holder>,
    pub(crate) taken: Taken,
    /// No lease pays for it.
    pub(crate) overage: bool,
}

impl Leases {
    /// Notes the event in this process's `own` log if a lease pays for it, or one that is granted `until`
    /// then. Where nobody answers, the solution has said what becomes of it.
    pub(crate) async fn pay(
        self: &Arc<Self>,
        mut event: UsageEvent,
        until: Duration,
        own: impl Fn() -> Result<Arc<Holder>>,
    ) -> Result<Paid> {
        let host = &*self.pipelines.uplink.host;
        let mut gave_back = false;
        loop {
            let holder = own()?;
            if let Spent::Noted { taken, renew } = holder.spend(&mut event, Moment::now(host))? {
                if renew {
                    self.ask_ahead(&holder, &event);
                }
                return Ok(Paid { holder, taken, overage: false });
            }
            let left = until.saturating_sub(host.monotonic());
            let reply = match left.is_zero() {
                true => None,
                false => timeout(host, left, pin!(self.ask(&holder, &event))).await,
            };
            match reply.unwrap_or_else(|| Ok(Reply::late())) {
                Ok(Reply::Granted) => {}
                // Others may have asked for more than this.
                Ok(Reply::Denied { least, .. }) if least > event.quantity => {}
                Ok(Reply::Denied { lacks, error, .. }) => {
                    // What is missing may be here, in blocks of which none is large enough.
                    gave_back = !gave_back && self.gives_back(&holder, &event, lacks, until).await;
                    if !gave_back {
                        return Err(error);
                    }
                }
                Ok(Reply::Unreachable(_)) if self.allows_unasked(&event.action) => {
                    event.overage = true;
                    let holder = own()?;
                    let taken = holder.pipeline.append(&record(&event))?;
                    return Ok(Paid { holder, taken, overage: true });
                }
                Ok(Reply::Unreachable(error)) => return Err(error),
                // The next log has leases of its own, if there is a next one.
                Err(error) if matches!(error.code(), Code::EpochSuperseded | Code::Closed) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives back what the event's account has itself, if that is what it `lacks`. Whether that was done `until`
    /// then.
    async fn gives_back(
        self: &Arc<Self>,
        holder: &Arc<Holder>,
        event: &UsageEvent,
        lacks: u64,
        until: Duration,
    ) -> bool {
        let host = &*self.pipelines.uplink.host;
        let UsageEvent { customer_id, action, .. } = event;
        if holder.books().book.own(customer_id, action) < lacks {
            return false;
        }
        holder.books().book.surrender(customer_id, action, Moment::now(host));
        self.look_after(holder);
        holder.pipeline.hurry();
        let given_back = async {
            loop {
                let returned = holder.returned.listen();
                if holder.books().book.returns.owed(customer_id, action) == 0 {
                    return;
                }
                returned.await;
            }
        };
        let left = until.saturating_sub(host.monotonic());
        timeout(host, left, pin!(given_back)).await.is_some()
    }
}

impl Reply {
    /// What does not come in time.
    fn late() -> Self {
        let code = Code::DeadlineExceeded;
        Reply::Unreachable(Error::without_answer(code, code.reason()))
    }
}
