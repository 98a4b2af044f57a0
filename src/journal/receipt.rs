//! A receipt for something that is on its way to disk: a future that needs no runtime, and that a
//! thread can wait for as well.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The answer that comes once the writer is through. Dropping it changes nothing: what was handed
/// over is written all the same.
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
    /// Somebody is called with the answer.
    Called(Box<dyn FnOnce(Option<T>) + Send>),
    Filled(T),
    Taken,
    /// The writer is gone without an answer.
    Abandoned,
}

/// The writer stopped before it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal's writer stopped before it answered")]
pub struct Abandoned;

/// A receipt that several can wait for.
#[derive(Clone)]
pub struct Shared<T>(Arc<Mutex<Sharing<T>>>);

enum Sharing<T> {
    Waiting(Vec<Stamp<T>>),
    Answered(T),
    Abandoned,
}

impl<T: Clone + Send + 'static> Shared<T> {
    /// Shares `receipt`.
    #[must_use]
    pub fn new(receipt: Receipt<T>) -> Self {
        let shared = Shared(Arc::new(Mutex::new(Sharing::Waiting(Vec::new()))));
        let answered = shared.clone();
        receipt.then(move |answer| {
            let now = answer.clone().map_or(Sharing::Abandoned, Sharing::Answered);
            let before = std::mem::replace(&mut *answered.lock(), now);
            if let (Sharing::Waiting(stamps), Some(answer)) = (before, answer) {
                for stamp in stamps {
                    stamp.answer(answer.clone());
                }
            }
        });
        shared
    }

    /// One more receipt of the same.
    pub fn receipt(&self) -> Receipt<T> {
        let (stamp, receipt) = pair();
        match &mut *self.lock() {
            Sharing::Waiting(stamps) => stamps.push(stamp),
            Sharing::Answered(answer) => stamp.answer(answer.clone()),
            Sharing::Abandoned => drop(stamp),
        }
        receipt
    }

    fn lock(&self) -> MutexGuard<'_, Sharing<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A receipt and its stamp.
pub fn pair<T>() -> (Stamp<T>, Receipt<T>) {
    let slot = Arc::new(Slot {
        state: Mutex::new(SlotState::Waiting(None)),
        filled: Condvar::new(),
    });
    (Stamp(Some(Arc::clone(&slot))), Receipt(slot))
}

/// A receipt of something that needs no disk.
pub fn answered<T>(answer: T) -> Receipt<T> {
    let (stamp, receipt) = pair();
    stamp.answer(answer);
    receipt
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, SlotState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, answer: Option<T>) {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, SlotState::Taken) {
            SlotState::Called(call) => {
                drop(state);
                call(answer);
            }
            before => {
                *state = answer.map_or(SlotState::Abandoned, SlotState::Filled);
                drop(state);
                self.filled.notify_all();
                if let SlotState::Waiting(Some(waker)) = before {
                    waker.wake();
                }
            }
        }
    }
}

impl<T> Stamp<T> {
    /// Does anybody hold the receipt still?
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|slot| Arc::strong_count(slot) > 1)
    }

    /// Answers.
    pub fn answer(mut self, value: T) {
        if let Some(slot) = self.0.take() {
            slot.fill(Some(value));
        }
    }
}

impl<T> Drop for Stamp<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.fill(None);
        }
    }
}

impl<T> Receipt<T> {
    /// Calls `call` with the answer, on whoever answers or, where it is there already, here; with
    /// `None` where nobody ever will. It must not wait.
    pub fn then(self, call: impl FnOnce(Option<T>) + Send + 'static) {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, SlotState::Taken) {
            SlotState::Waiting(_) | SlotState::Called(_) => {
                *state = SlotState::Called(Box::new(call));
            }
            SlotState::Filled(value) => {
                drop(state);
                call(Some(value));
            }
            SlotState::Taken | SlotState::Abandoned => {
                drop(state);
                call(None);
            }
        }
    }

    /// Waits on this thread.
    pub fn wait(self) -> Result<T, Abandoned> {
        let mut state = self.0.lock();
        loop {
            match std::mem::replace(&mut *state, SlotState::Taken) {
                SlotState::Filled(value) => return Ok(value),
                SlotState::Taken | SlotState::Abandoned => return Err(Abandoned),
                waiting @ (SlotState::Waiting(_) | SlotState::Called(_)) => {
                    *state = waiting;
                    state = self
                        .0
                        .filled
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
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
            SlotState::Waiting(_) | SlotState::Called(_) => {
                *state = SlotState::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}
