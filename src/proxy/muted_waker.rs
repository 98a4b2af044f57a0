//! A waker that can be muted while a piece of a body is taken.
//!
//! hyper hands bodies over through a channel whose ends may live in two tasks, so taking a piece
//! wakes whoever puts in the next. Here both ends live in one task, which is awake: the wake-up
//! would only make it run once more for nothing, twice for each call. Whether another piece may
//! come is known only after this one was taken. So a connection's task polls with a waker that
//! holds wake-ups back while a piece is taken; if another may come, the wake-up is made up for.
//!
//! Muting covers one thread and one poll of one body: a wake-up from anywhere else, such as a
//! durable journal, is never held back.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};

thread_local! {
    static WAKE_UPS: Cell<WakeUps> = const { Cell::new(WakeUps::Pass) };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WakeUps {
    /// They pass.
    Pass,
    /// They are held back, and there was none so far.
    HeldNone,
    /// They are held back, and there was one.
    HeldSome,
}

/// A task's waker, and the one that can be muted.
#[derive(Debug, Default)]
pub(super) struct MutedWaker(Option<(Waker, Waker)>);

impl MutedWaker {
    /// The waker to poll with in place of `task`, which stays the same as long as `task` does.
    pub(super) fn waker(&mut self, task: &Waker) -> &Waker {
        let known = self.0.take().filter(|(known, _)| known.will_wake(task));
        let (_, mutable) = self.0.insert(
            known.unwrap_or_else(|| (task.clone(), Waker::from(Arc::new(Mutable(task.clone()))))),
        );
        mutable
    }
}

struct Mutable(Waker);

impl Wake for Mutable {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if WAKE_UPS.get() == WakeUps::Pass {
            self.0.wake_by_ref();
        } else {
            WAKE_UPS.set(WakeUps::HeldSome);
        }
    }
}

/// Takes the next piece of `body` without waking the task for what cannot come. `waiter` is woken
/// when a piece comes, `cx` if the giver may go on.
pub(super) fn take_frame(
    body: &mut Incoming,
    waiter: &Waker,
    cx: &Context<'_>,
) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
    WAKE_UPS.set(WakeUps::HeldNone);
    let taken = Pin::new(&mut *body).poll_frame(&mut Context::from_waker(waiter));
    let held = WAKE_UPS.replace(WakeUps::Pass);
    let ended = matches!(taken, Poll::Ready(None)) || body.is_end_stream();
    if held == WakeUps::HeldSome && !ended {
        cx.waker().wake_by_ref();
    }
    taken
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn only_the_thread_that_takes_a_piece_holds_wake_ups_back() {
        let count = Arc::new(Count::default());
        let task = Waker::from(Arc::clone(&count));
        let mut muted = MutedWaker::default();
        let waker = muted.waker(&task).clone();
        assert!(
            muted.waker(&task).will_wake(&waker),
            "the same task, the same waker"
        );
        waker.wake_by_ref();
        WAKE_UPS.set(WakeUps::HeldNone);
        waker.wake_by_ref();
        let elsewhere = waker.clone();
        std::thread::spawn(move || elsewhere.wake()).join().unwrap();
        assert_eq!(WAKE_UPS.replace(WakeUps::Pass), WakeUps::HeldSome);
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
    }
}
