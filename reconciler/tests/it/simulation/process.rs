//! A process of its own: a runtime with a clock of its own, and nothing shared with others but what lies on disk, what it hears
//! through a pipe, and the exchange. Whoever drops it kills it, wherever it is, with every task that it began.

use std::time::Duration;

use exchange_client::Request;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::wire::Wire;

/// One whose clock stands still until it waits.
pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

pub(super) struct Process {
    runtime: Runtime,
    life: JoinHandle<()>,
    wire: Wire,
}

impl Process {
    pub(super) fn start(wire: Wire, life: impl Future<Output = ()> + Send + 'static) -> Self {
        let runtime = runtime();
        let life = runtime.spawn(life);
        Self { runtime, life, wire }
    }

    /// Lets it do what it does in so much time.
    pub(super) fn live(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// Lets it take some turns without time passing, so that it may be in the middle of something.
    pub(super) fn take_turns(&self, turns: u64) {
        self.runtime.block_on(async {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Whether it came to its end by itself. Fails like the process if that was by a failure.
    pub(super) fn has_ended(&mut self) -> bool {
        if !self.life.is_finished() {
            return false;
        }
        if let Err(failure) = self.runtime.block_on(&mut self.life) {
            std::panic::resume_unwind(failure.into_panic());
        }
        true
    }

    /// Kills it. Answers what it had sent that has not arrived.
    pub(super) fn kill(self) -> Vec<Request> {
        drop(self.runtime);
        self.wire.left_under_way()
    }
}
