//! What every test here is made of: a gate in a process of its own, a tool API that does as it is
//! told, an agent, and the people behind the admin API.
//!
//! No port is fixed and nothing sleeps: a test waits for what can be observed, or for a channel,
//! and never past its deadline.

pub mod agent;
pub mod gate;
pub mod pattern;
pub mod person;
pub mod policies;
pub mod shop;
pub mod upstream;

use std::future::Future;
use std::time::{Duration, Instant};

pub use agent::{Agent, Answer};
pub use gate::TestGate;
pub use person::{Operator, Person, Reviewer};
pub use shop::{Shop, order, text};
pub use upstream::{Reply, ScriptedUpstream};

/// No test takes longer.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Nothing that is waited for takes longer.
pub const SOON: Duration = Duration::from_secs(20);

/// Runs one test, on one thread, to its end or its deadline.
pub fn test<T>(body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE, body)
            .await
            .expect("the test ran into its deadline")
    })
}

/// Looks, again and again, until there is something to see. What `look` awaits is what paces it.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let began = Instant::now();
    while began.elapsed() < SOON {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::task::yield_now().await;
    }
    panic!("never seen: {what}");
}

/// SHA-256 in hexadecimal, as configuration files write tokens.
pub fn sha256(text: impl AsRef<[u8]>) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_ref())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
