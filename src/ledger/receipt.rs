//! A receipt for something that is on its way to disk: a future that needs no runtime, and that a thread can wait for as well.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// The answer that comes once the writer is through. Dropping it changes nothing: what was handed over is written all the same.
#[must_use = "what was handed over is durable only when its receipt says so"]
pub struct Receipt<T>(Arc<Slot<T>>);

/// The writer's end of a receipt.
pub struct Stamp<T>(Option<Arc<Slot<T>>>);

struct Slot<T> {
    state: Mutex<SlotState<T>>,
    filled: Condvar,
}

enum SlotState<T> {
    Waiting(Option<Waker>),
    Filled(T),
    Taken,
    /// The writer is gone without an answer.
    Abandoned,
}

/// The writer stopped before it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal's writer stopped before it answered")]
pub struct Abandoned;

/// A receipt and its stamp.
pub fn pair<T>() -> (Stamp<T>, Receipt<T>) {
    let slot = Arc::new(Slot { state: Mutex::new(SlotState::Waiting(None)), filled: Condvar::new() });
    (Stamp(Some(Arc::clone(&slot))), Receipt(slot))
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, SlotState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, with: SlotState<T>) {
        let before = std::mem::replace(&mut *self.lock(), with);
        self.filled.notify_all();
        if let SlotState::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> Stamp<T> {
    /// Answers.
    pub fn answer(mut self, value: T) {
        if let Some(slot) = self.0.take() {
            slot.fill(SlotState::Filled(value));
        }
    }
}

impl<T> Drop for Stamp<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.fill(SlotState::Abandoned);
        }
    }
}

impl<T> Receipt<T> {
    /// Waits on this thread.
    pub fn wait(self) -> Result<T, Abandoned> {
        let mut state = self.0.lock();
        loop {
            match std::mem::replace(&mut *state, SlotState::Taken) {
                SlotState::Filled(value) => return Ok(value),
                SlotState::Taken | SlotState::Abandoned => return Err(Abandoned),
                waiting @ SlotState::Waiting(_) => {
                    *state = waiting;
                    state = self.0.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl<T> Future for Receipt<T> {
    type Output = Result<T, Abandoned>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, SlotState::Taken) {
            SlotState::Filled(value) => Poll::Ready(Ok(value)),
            SlotState::Taken | SlotState::Abandoned => Poll::Ready(Err(Abandoned)),
            SlotState::Waiting(_) => {
                *state = SlotState::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}
