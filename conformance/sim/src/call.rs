//! A call that is under way: how far it has come, and what is to happen to it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use cloudnestle_marketplace::host::Host;
use futures_util::future::{AbortHandle, pending};

use crate::fault::{Fault, Where};
use crate::world::World;

/// A call, from when it is sent until its answer is there or nobody waits for it.
pub(crate) struct Call {
    pub(crate) id: u64,
    /// Who makes it, by the name of their link.
    pub(crate) from: String,
    /// Such as `POST /api/track-usage`.
    pub(crate) operation: String,
    /// The token it asks about, if that is what it does.
    pub(crate) about: Option<String>,
    state: Mutex<State>,
}

struct State {
    place: Where,
    /// What happens where.
    planned: Option<(Fault, Where)>,
    /// What ends the server's work on it.
    work: Option<AbortHandle>,
}

impl Call {
    pub(crate) fn new(id: u64, from: String, operation: String, about: Option<String>) -> Call {
        let state = State { place: Where::Request, planned: None, work: None };
        Call { id, from, operation, about, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn place(&self) -> Where {
        self.state().place
    }

    pub(crate) fn is_at(&self, place: Where) {
        self.state().place = place;
    }

    pub(crate) fn plan(&self, fault: Fault, place: Where) {
        self.state().planned = Some((fault, place));
    }

    pub(crate) fn is_served_by(&self, work: AbortHandle) {
        self.state().work = Some(work);
    }

    /// The server's work on it ends where it is.
    pub(crate) fn abort(&self) {
        if let Some(work) = self.state().work.take() {
            work.abort();
        }
    }

    /// Goes on to a place in the server, and meets what is planned there.
    pub(crate) async fn reaches(self: &Arc<Self>, world: &Arc<World>, place: Where) {
        let planned = {
            let mut state = self.state();
            state.place = place;
            state.planned.take_if(|(_, planned)| *planned == place)
        };
        world.passes(self, place).await;
        let Some((fault, _)) = planned else { return };
        world.fired(fault, place);
        let Call { id, operation, .. } = &**self;
        world.note("server", format_args!("{id} {operation}: {fault} at {place:?}"));
        match fault {
            Fault::Delay => {
                let long = world.between(200, 7_000);
                world.ether.sleep(Duration::from_millis(long)).await;
            }
            Fault::ServerDeath => {
                world.server_dies();
                pending::<()>().await;
            }
            _ => {
                self.abort();
                pending::<()>().await;
            }
        }
    }
}

/// Work on a call: whoever is asked for something by it knows which call it is.
pub(crate) struct Working<F> {
    pub(crate) world: Arc<World>,
    pub(crate) call: Arc<Call>,
    pub(crate) work: Pin<Box<F>>,
}

impl<F: Future> Future for Working<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.world.take_in_hand(Some(self.call.clone()));
        let polled = self.work.as_mut().poll(context);
        self.world.take_in_hand(None);
        polled
    }
}
