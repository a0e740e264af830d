//! What was asked of JavaScript and is not answered yet.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_channel::oneshot::{Receiver, Sender, channel};
use futures_util::FutureExt;

/// Questions of one kind, by their numbers.
pub(crate) struct Waiting<T>(Mutex<Questions<T>>);

struct Questions<T> {
    last: u32,
    open: HashMap<u32, Sender<T>>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Waiting(Mutex::new(Questions { last: 0, open: HashMap::new() }))
    }
}

impl<T> Waiting<T> {
    /// A question and the number to ask it under. `give_up` is called if nobody waits for the answer any
    /// more.
    pub(crate) fn ask<G: FnMut(u32)>(self: &Arc<Self>, give_up: G) -> Question<T, G> {
        let (sender, receiver) = channel();
        let mut questions = self.questions();
        let number = questions.last.wrapping_add(1);
        questions.last = number;
        questions.open.insert(number, sender);
        Question { number, receiver, waiting: self.clone(), give_up }
    }

    /// Gives the answer to whoever still waits for it.
    pub(crate) fn answer(&self, number: u32, answer: T) {
        let sender = self.questions().open.remove(&number);
        if let Some(sender) = sender {
            let _nobody_waits = sender.send(answer);
        }
    }

    fn questions(&self) -> MutexGuard<'_, Questions<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Completes with the answer; `None` if there will be none.
pub(crate) struct Question<T, G: FnMut(u32)> {
    pub(crate) number: u32,
    receiver: Receiver<T>,
    waiting: Arc<Waiting<T>>,
    give_up: G,
}

impl<T, G: FnMut(u32) + Unpin> Future for Question<T, G> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.receiver.poll_unpin(context).map(Result::ok)
    }
}

impl<T, G: FnMut(u32)> Drop for Question<T, G> {
    fn drop(&mut self) {
        let was_open = self.waiting.questions().open.remove(&self.number).is_some();
        if was_open {
            (self.give_up)(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_question_is_given_up_only_while_it_is_open() {
        let waiting = Arc::new(Waiting::default());
        let given_up = Cell::new(0);
        let answered = waiting.ask(|_| given_up.set(given_up.get() + 1));
        waiting.answer(answered.number, "yes");
        assert_eq!(answered.now_or_never(), Some(Some("yes")));
        assert_eq!(given_up.get(), 0);

        let dropped = waiting.ask(|number| given_up.set(number));
        let number = dropped.number;
        drop(dropped);
        assert_eq!(given_up.get(), number);
        waiting.answer(number, "too late");
    }
}
