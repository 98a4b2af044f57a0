//! Wake-ups that nobody needs, left out.
//!
//! hyper hands bodies over through a channel whose ends may live in two tasks, so taking a piece
//! wakes whoever puts in the next. Here both ends live in one task, which is awake: the wake-up
//! makes it run once more for nothing, twice for each call. Whether there is a next piece is known
//! only after this one was taken. So a connection's task polls with a waker that can be told to
//! hold its tongue while a piece is taken; if more may come, the wake-up is made up for.
//!
//! Silence is a matter of one thread and of one poll of one body: a wake-up from anywhere else,
//! such as a durable journal, is never held back.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};

thread_local! {
    static HEARD: Cell<Heard> = const { Cell::new(Heard::Pass) };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// Wake-ups pass.
    Pass,
    /// They are held back, and there was none so far.
    Nothing,
    /// One was held back.
    Something,
}

/// A task's waker, and the one that can be silent.
#[derive(Debug, Default)]
pub(super) struct Hush(Option<(Waker, Waker)>);

impl Hush {
    /// The waker to poll with in place of `task`, which stays the same as long as `task` does.
    pub(super) fn waker(&mut self, task: &Waker) -> &Waker {
        let known = self.0.take().filter(|(known, _)| known.will_wake(task));
        let (_, silent) =
            self.0
                .insert(known.unwrap_or_else(|| {
                    (task.clone(), Waker::from(Arc::new(Silent(task.clone()))))
                }));
        silent
    }
}

struct Silent(Waker);

impl Wake for Silent {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if HEARD.get() == Heard::Pass {
            self.0.wake_by_ref();
        } else {
            HEARD.set(Heard::Something);
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
    HEARD.set(Heard::Nothing);
    let taken = Pin::new(&mut *body).poll_frame(&mut Context::from_waker(waiter));
    let heard = HEARD.replace(Heard::Pass);
    let ended = matches!(taken, Poll::Ready(None)) || body.is_end_stream();
    if heard == Heard::Something && !ended {
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
    fn only_the_thread_that_asked_for_silence_is_silent() {
        let count = Arc::new(Count::default());
        let task = Waker::from(Arc::clone(&count));
        let mut hush = Hush::default();
        let waker = hush.waker(&task).clone();
        assert!(
            hush.waker(&task).will_wake(&waker),
            "the same task, the same waker"
        );
        waker.wake_by_ref();
        HEARD.set(Heard::Nothing);
        waker.wake_by_ref();
        let elsewhere = waker.clone();
        std::thread::spawn(move || elsewhere.wake()).join().unwrap();
        assert_eq!(HEARD.replace(Heard::Pass), Heard::Something);
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
    }
}
