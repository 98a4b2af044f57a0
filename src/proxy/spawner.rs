//! The tasks of one worker. Each has a name, and is awaited when the worker drains.

use std::future::Future;

use hyper::rt::Executor;
use tokio_util::task::TaskTracker;

/// Starts tasks on the worker it belongs to.
#[derive(Debug, Clone, Default)]
pub struct Spawner(TaskTracker);

impl Spawner {
    /// Starts `task`, which is awaited when the worker drains and dropped when its deadline passes.
    /// `name` is for whoever looks at a stuck process.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + 'static) {
        tracing::trace!(name, "task");
        // Detached on purpose: the tracker awaits it.
        drop(self.0.spawn_local(task));
    }
}

impl Spawner {
    /// Resolves when every task has ended; none may be started any more.
    pub(super) async fn ended(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

impl<F> Executor<F> for Spawner
where
    F: Future + 'static,
{
    fn execute(&self, stream: F) {
        self.spawn("http2 stream", async move {
            stream.await;
        });
    }
}
