//! The end of a producer that had leases: the marketplace is told that nothing more comes of it, and gives
//! what is left of its leases back to the customers.

use std::time::Duration;

use crate::error::Result;
use crate::http::{Call, RetryPolicy, full_jitter};
use crate::model::{Code, EndProducer, EndedProducer};
use crate::usage::log::RecordLog;
use crate::usage::uploader::{Pipeline, Uplink};

/// How long one request may take.
const END_WITHIN: Duration = Duration::from_secs(10);

/// The shortest and the longest wait for leases that an earlier owner of the log may still be using.
const OPEN_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10 * 60));

impl Pipeline {
    /// Ends the producer, if it had leases and its log is delivered: nothing is appended to it any more.
    /// One attempt; where it fails, the folder stays for whoever adopts it.
    pub(in crate::usage) async fn end_if_delivered(&self, uplink: &Uplink) {
        if !self.producer().owes_leases() || self.log().seal() > self.answered() {
            return;
        }
        if let Err(error) = self.end_once(uplink).await {
            tracing::debug!(%error, "the leases are given back by the next process");
        }
    }

    /// Ends the producer of a log that was left behind and is delivered, however long that takes.
    pub(in crate::usage) async fn end(&self, uplink: &Uplink) {
        let mut delays = RetryPolicy::UPLOAD.delays();
        while self.producer().owes_leases() && !self.has_left() {
            let wait = match self.end_once(uplink).await {
                Ok(EndedProducer { open: 0, .. }) => return,
                Ok(EndedProducer { retry_after_ms, .. }) => {
                    let asked = Duration::from_millis(retry_after_ms.unwrap_or_default());
                    asked.clamp(OPEN_WAIT.0, OPEN_WAIT.1)
                }
                Err(error) if error.code() == Code::EpochSuperseded => {
                    return self.make_way(uplink, error);
                }
                Err(error) => {
                    let asked = error.retry_after().unwrap_or_default().min(OPEN_WAIT.1);
                    full_jitter(&*uplink.host, delays.next().unwrap_or_default()).max(asked)
                }
            };
            uplink.host.sleep(wait).await;
        }
    }

    async fn end_once(&self, uplink: &Uplink) -> Result<EndedProducer> {
        let (epoch, through) = (self.producer().epoch, self.log().last());
        let path = format!("/api/producers/{}/end", self.producer_id());
        let call = Call::post(&path, &EndProducer { epoch, through })?;
        let call = call.with_key(&uplink.secret_key).without_effect(); // it ends once
        let ended: EndedProducer =
            uplink.reach.note(uplink.http.attempt(&call, END_WITHIN).await)?;
        if ended.open == 0 {
            self.producer().has_returned_leases();
        }
        Ok(ended)
    }
}
