//! A deadline for waits that almost never last until it.
//!
//! Decides when a wait is over. Setting and removing a timer for every request would be work for
//! nothing, since nearly all waits end early. So a timer stays set when a wait ends. For the next
//! wait it fires too early; then it is set anew. It fires at most once per span, and the usual wait
//! only reads the clock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// One wait at a time, for the task that polls it.
#[derive(Debug, Default)]
pub struct LazyDeadline {
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When `timer` fires, if it will wake the task that polls now.
    fires: Option<Instant>,
}

impl LazyDeadline {
    /// What was waited for has come: the next poll begins another wait.
    pub fn reset(&mut self) {
        self.since = None;
    }

    /// Another task polls from here on.
    pub fn hand_over(&mut self) {
        self.since = None;
        self.fires = None;
    }

    /// Is the wait, which began with the first poll since the last reset, longer than `span`?
    pub fn poll_over(&mut self, span: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        // A span past the end of time never ends.
        let Some(due) = self.since.get_or_insert(now).checked_add(span) else {
            return Poll::Pending;
        };
        if now >= due {
            return Poll::Ready(());
        }
        // A timer that fires before `due` will do, as long as it has not fired yet.
        if self.fires.is_some_and(|fires| now < fires && fires <= due) {
            return Poll::Pending;
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() > due || timer.deadline() <= now {
            timer.as_mut().reset(due);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
        self.fires = Some(timer.deadline());
        Poll::Pending
    }

    /// The same as a future, for waits beside nothing else.
    pub async fn over(&mut self, span: Duration) {
        std::future::poll_fn(|cx| self.poll_over(span, cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_over_when_its_span_has_passed_since_it_began() {
        let mut deadline = LazyDeadline::default();
        let start = Instant::now();
        deadline.over(Duration::from_secs(5)).await;
        assert_eq!(start.elapsed().as_secs(), 5);
        deadline.reset();
        deadline.over(Duration::from_secs(7)).await;
        assert_eq!(start.elapsed().as_secs(), 12);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_left_from_an_earlier_wait_ends_no_later_one() {
        let mut deadline = LazyDeadline::default();
        let start = Instant::now();
        let begun = tokio::time::timeout(
            Duration::from_secs(4),
            deadline.over(Duration::from_secs(5)),
        )
        .await;
        assert!(begun.is_err());
        deadline.reset();
        deadline.over(Duration::from_secs(5)).await;
        assert_eq!(start.elapsed().as_secs(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_wait_does_not_last_as_long_as_the_one_before() {
        let mut deadline = LazyDeadline::default();
        let start = Instant::now();
        let _ = tokio::time::timeout(
            Duration::from_secs(1),
            deadline.over(Duration::from_mins(1)),
        )
        .await;
        deadline.hand_over();
        deadline.over(Duration::from_secs(2)).await;
        assert_eq!(start.elapsed().as_secs(), 3);
    }
}
