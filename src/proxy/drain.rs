//! The phases of shutting down: running, draining until a deadline, stopped.
//!
//! Decides nothing but the order of the phases, which never go back; workers and whoever else
//! serves watch them. The deadline bounds the wait (G7): a call that outlives it is dropped, and
//! its token settles it like any call whose agent went away (G1).

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Whether the process serves, drains or has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Serving.
    Running,
    /// Nothing new is accepted; what is in flight may finish until then.
    Draining {
        /// When waiting ends.
        until: Instant,
    },
    /// Nothing is served any more.
    Stopped,
}

/// Sets the phase.
#[derive(Debug)]
pub struct Drain(watch::Sender<Phase>);

impl Default for Drain {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Running))
    }
}

impl Drain {
    /// What workers watch.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Phase> {
        self.0.subscribe()
    }

    /// Begins draining. A second call can only bring the deadline forward: whoever asks again is in
    /// more of a hurry.
    pub fn begin(&self, patience: Duration) {
        let asked = Instant::now() + patience;
        self.0.send_if_modified(|phase| {
            let until = match *phase {
                Phase::Running => asked,
                Phase::Draining { until } if asked < until => asked,
                Phase::Draining { .. } | Phase::Stopped => return false,
            };
            *phase = Phase::Draining { until };
            true
        });
    }

    /// Stops at once.
    pub fn stop(&self) {
        self.0.send_replace(Phase::Stopped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn phases_only_go_forward_and_a_second_request_only_shortens() {
        let drain = Drain::default();
        let watch = drain.watch();
        assert_eq!(*watch.borrow(), Phase::Running);
        let now = Instant::now();
        drain.begin(Duration::from_secs(10));
        drain.begin(Duration::from_mins(1));
        assert_eq!(
            *watch.borrow(),
            Phase::Draining {
                until: now + Duration::from_secs(10)
            }
        );
        drain.begin(Duration::ZERO);
        assert_eq!(*watch.borrow(), Phase::Draining { until: now });
        drain.stop();
        drain.begin(Duration::from_secs(10));
        assert_eq!(*watch.borrow(), Phase::Stopped);
    }
}
