//! Waiting for several at once: whatever is waited for, by one machine.

use std::future::poll_fn;
use std::mem;
use std::task::Poll;

use futures_util::future::BoxFuture;

use crate::error::Result;

/// Completes when all of them have.
///
/// # Errors
/// That of the first to fail. The others go on, each has its chance.
pub(super) async fn all(waiting: impl Iterator<Item = BoxFuture<'_, Result<()>>>) -> Result<()> {
    each(waiting.collect()).await
}

async fn each(mut waiting: Vec<BoxFuture<'_, Result<()>>>) -> Result<()> {
    let mut result = Ok(());
    poll_fn(|context| {
        waiting.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Ready(done) => {
                result = mem::replace(&mut result, Ok(())).and(done);
                false
            }
            Poll::Pending => true,
        });
        if waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    result
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::FutureExt;
    use futures_util::future::{pending, ready};

    use super::*;
    use crate::error::Error;
    use crate::model::Code;

    #[test]
    fn each_has_its_chance_though_one_fails() {
        let later = std::sync::Mutex::new(Cell::new(false));
        let failing = || ready(Err(Error::new(Code::Closed))).boxed();
        let well = || {
            let later = &later;
            async move {
                later.lock().unwrap().set(true);
                Ok(())
            }
            .boxed()
        };
        let result = all([failing(), well()].into_iter()).now_or_never().expect("all are ready");
        assert_eq!(result.unwrap_err().code(), Code::Closed);
        assert!(later.lock().unwrap().get());
        assert!(all([failing(), pending().boxed()].into_iter()).now_or_never().is_none());
        assert!(all(std::iter::empty()).now_or_never().expect("nothing is waited for").is_ok());
    }
}
