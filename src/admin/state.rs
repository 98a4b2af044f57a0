//! What every handler works with: the ledger, the records, who may ask what. Look-ups in the
//! records wait for a disk, so they run on threads of their own, and only so many at once (G7).

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::auth::Auth;
use super::durable::PATIENCE;
use super::error::AdminError;
use super::health::Health;
use crate::api::Slug;
use crate::journal::read::Records;
use crate::journal::unavailable::Unavailable;
use crate::ledger::Ledger;
use crate::telemetry::Metrics;

/// The most look-ups in the records at once: each holds a thread that waits for a disk.
pub const MAX_LOOK_UPS: usize = 4;

/// What the admin API needs of the gate.
pub struct Admin {
    /// The living state.
    pub ledger: Arc<Ledger>,
    /// What was kept.
    pub records: Arc<dyn Records>,
    /// Who may ask what.
    pub auth: Arc<Auth>,
    /// Whether the gate is ready.
    pub health: Arc<dyn Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether `/metrics` answers without a token.
    pub open_metrics: bool,
}

/// What every handler works with.
pub(super) struct AdminState {
    pub(super) admin: Admin,
    look_ups: Arc<Semaphore>,
    /// One history is imported at a time.
    pub(super) imports: Arc<Semaphore>,
}

impl AdminState {
    pub(super) fn new(admin: Admin) -> Self {
        AdminState {
            admin,
            look_ups: Arc::new(Semaphore::new(MAX_LOOK_UPS)),
            imports: Arc::new(Semaphore::new(1)),
        }
    }

    pub(super) fn ledger(&self) -> &Arc<Ledger> {
        &self.admin.ledger
    }

    /// Looks something up in the records, on a thread that may wait for a disk.
    pub(super) async fn look_up<T: Send + 'static>(
        &self,
        look_up: impl FnOnce(&dyn Records) -> Result<T, Unavailable> + Send + 'static,
    ) -> Result<T, AdminError> {
        let records = Arc::clone(&self.admin.records);
        let permit =
            tokio::time::timeout(PATIENCE, Arc::clone(&self.look_ups).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(AdminError::journal(
                "too many look-ups are waiting for the disk; try again",
            ));
        };
        let found = tokio::task::spawn_blocking(move || {
            let found = look_up(&*records);
            drop(permit);
            found
        });
        match found.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(Unavailable)) => Err(AdminError::journal("the records cannot be read now")),
            Err(_) => Err(AdminError::new(Slug::Internal, "the look-up failed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::admin::tests::world::World;

    /// A look-up that says when it begins, and ends when the sender of `end` is dropped.
    fn blocked(
        state: &Arc<AdminState>,
        begun: &mpsc::Sender<()>,
    ) -> (mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
        let (state, begun) = (Arc::clone(state), begun.clone());
        let (end, ended) = mpsc::channel::<()>();
        let look_up = async move {
            let looking = state.look_up(move |_| {
                begun.send(()).unwrap();
                let _ = ended.recv();
                Ok(())
            });
            looking.await.unwrap();
        };
        (end, tokio::spawn(look_up))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn g7_as_many_look_ups_run_at_once_as_the_bound_and_one_more_waits_for_its_turn() {
        let world = World::new(&[], Vec::new());
        let state = Arc::new(AdminState::new(world.admin()));
        let (begun, begins) = mpsc::channel();
        let mut running: Vec<_> = (0..MAX_LOOK_UPS).map(|_| blocked(&state, &begun)).collect();
        for _ in 0..MAX_LOOK_UPS {
            begins.recv().unwrap();
        }
        assert_eq!(state.look_ups.available_permits(), 0);
        let (end, next) = blocked(&state, &begun);
        tokio::task::yield_now().await;
        assert_eq!(begins.try_recv(), Err(mpsc::TryRecvError::Empty));
        let (first_end, first) = running.remove(0);
        drop(first_end);
        first.await.unwrap();
        begins.recv().unwrap();
        drop(end);
        next.await.unwrap();
        for (end, task) in running {
            drop(end);
            task.await.unwrap();
        }
    }
}
