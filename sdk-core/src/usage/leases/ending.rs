//! The end of a producer that had leases: the marketplace is told that nothing more comes of it, and gives
//! what is left of its leases back to the customers.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::http::Call;
use crate::model::{Code, EndProducer, EndedProducer};
use crate::usage::pace::Pace;
use crate::usage::spool::Producer;
use crate::usage::uploader::{Pipeline, Uplink};

/// How long one request may take.
const END_WITHIN: Duration = Duration::from_secs(10);

/// The shortest and the longest wait for leases that an earlier owner of the log may still be using.
const OPEN_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10 * 60));

impl Pipeline {
    /// Ends the producer of a log to which nothing is appended any more, if it had leases and the log is
    /// delivered. What is not done `until` then is done by whoever adopts the folder.
    pub(in crate::usage) async fn end_if_delivered(&self, uplink: &Uplink, until: Duration) {
        // Of a log that was taken over, the new owner ends the producer.
        let Some(lessee) = self.log().lessee() else { return };
        if !self.takes_no_more() && lessee.log.seal() <= self.answered() {
            self.end(uplink, until).await;
        }
    }

    /// Ends the producer of a log that is delivered, if it had leases: asks again as long as some are
    /// charged, and waits where that fails as the uploader does. Returns when waiting would take longer
    /// than `until` then. Whether the log is still delivered: it is not if the marketplace turns out to
    /// have less of it than it had answered for, as one that was set back has.
    pub(in crate::usage) async fn end(&self, uplink: &Uplink, until: Duration) -> bool {
        let (mut pace, mut open) = (Pace::default(), u64::MAX);
        let Some(lessee) = self.log().lessee() else { return true };
        while lessee.owes_leases() && !self.has_left() {
            let (left, hurries) = (until.saturating_sub(uplink.host.monotonic()), self.hurries());
            match self.end_once(uplink, lessee, END_WITHIN.min(left)).await {
                Ok(ended) => {
                    let asked = Duration::from_millis(ended.retry_after_ms.unwrap_or_default());
                    // It takes so many at a time, and goes on at once while they become fewer.
                    let goes_on = asked.is_zero() && ended.open < open;
                    let wait = match ended.open == 0 || goes_on {
                        true => Duration::ZERO,
                        false => asked.clamp(OPEN_WAIT.0, OPEN_WAIT.1),
                    };
                    if wait >= left {
                        return true;
                    }
                    (pace, open) = (Pace::default(), ended.open);
                    uplink.host.sleep(wait).await;
                }
                Err(error) if error.code() == Code::EpochSuperseded => {
                    self.make_way(uplink, error);
                }
                Err(error) if self.is_ahead(&error) => {
                    self.go_back_to(uplink, error.fence().unwrap_or_default(), error);
                    return false;
                }
                Err(error) => {
                    let wait = pace.failed(&*uplink.host, self.mark(uplink), &error);
                    if wait.whole >= left {
                        tracing::debug!(%error, "the leases are given back by the next process");
                        return true;
                    }
                    self.wait(uplink, error, wait, hurries).await;
                }
            }
        }
        true
    }

    /// Whether more was answered for than the marketplace has.
    fn is_ahead(&self, error: &Error) -> bool {
        let fence = error.fence().filter(|_| error.code() == Code::LeaseUnsettled);
        fence.is_some_and(|fence| fence < self.answered())
    }

    async fn end_once(
        &self,
        uplink: &Uplink,
        lessee: &Producer,
        limit: Duration,
    ) -> Result<EndedProducer> {
        let (epoch, through) = (lessee.epoch, self.log().last());
        let path = format!("/api/producers/{}/end", lessee.id);
        let call = Call::post(&path, &EndProducer { epoch, through });
        let call = call.by(uplink.credential()?).without_effect(); // it ends once
        let ended: EndedProducer = uplink.reach.note(uplink.http.attempt(&call, limit).await)?;
        if ended.open == 0 {
            lessee.has_returned_leases();
        }
        Ok(ended)
    }
}
