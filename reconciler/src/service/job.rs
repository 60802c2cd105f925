//! What is asked at the exchange beside the stream, one thing at a time, each as a task of its own: recording does not wait for it,
//! and it does not wait for recording.

use std::sync::Arc;

use exchange_client::{AccountIdentity, ExchangeReader};
use ledger_core::AccountId;
use ledger_store::Book;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::light::{self, LightAnswer};
use super::pace::Job;
use crate::cycle::{CycleReport, Reconciler};
use crate::error::ReconcileError;

/// What a job came to.
pub(super) enum JobEnd {
    Light(Result<LightAnswer, ReconcileError>),
    Cycle(Box<Result<CycleReport, ReconcileError>>),
}

/// A job under way. Dropped, it ends by itself: a cycle closes its run.
pub(super) struct Running {
    pub(super) job: Job,
    /// Nobody says that it is to go on any more: it is stopped.
    goes_on: oneshot::Sender<()>,
    task: JoinHandle<JobEnd>,
}

impl Running {
    /// A light look.
    pub(super) fn light(
        job: Job,
        exchange: Arc<dyn ExchangeReader>,
        book: Book,
        account: AccountId,
        identity: AccountIdentity,
    ) -> Self {
        let (goes_on, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = stopped => JobEnd::Light(Err(ReconcileError::Stopped)),
                answer = light::look(&*exchange, &*book, &account, &identity, job == Job::Orders) => JobEnd::Light(answer),
            }
        });
        Self { job, goes_on, task }
    }

    /// A full cycle.
    pub(super) fn cycle(job: Job, reconciler: Reconciler) -> Self {
        let (goes_on, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            JobEnd::Cycle(Box::new(reconciler.sync_until(stopped).await))
        });
        Self { job, goes_on, task }
    }

    /// Waits for its end. Dropping the future loses nothing.
    pub(super) async fn end(&mut self) -> JobEnd {
        // A task that panicked has reported it; its job is tried again.
        (&mut self.task).await.unwrap_or(JobEnd::Light(Err(ReconcileError::Stopped)))
    }

    /// Stops it, and waits until it has closed what it opened.
    pub(super) async fn stop(self) {
        let Self { goes_on, task, .. } = self;
        drop(goes_on);
        let _ = task.await;
    }
}
