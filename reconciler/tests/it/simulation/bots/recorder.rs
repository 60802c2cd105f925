//! The process that records for a bot, as `fillbook record` does: lines come in, and are answered once they are durable.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reconciler::{Answer, EventRecorder};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::Desk;

/// How long a line or an answer is in the pipe: a moment at which either side can die.
const IN_THE_PIPE: Duration = Duration::from_millis(4);

/// A line, with the way back for its answer.
type Given = (String, oneshot::Sender<Answer>);

/// What a bot and its recorder speak through. Who dies leaves it, and what was in it is lost.
#[derive(Clone, Default)]
pub(in crate::simulation) struct Pipe(Arc<Mutex<Option<UnboundedSender<Given>>>>);

impl Pipe {
    /// The end of a recorder that begins.
    pub(in crate::simulation) fn open(&self) -> UnboundedReceiver<Given> {
        let (giver, taker) = unbounded_channel();
        *self.0.lock().unwrap() = Some(giver);
        taker
    }

    /// Gives a line and waits for its answer; `None` where there is none in time.
    pub(super) async fn give(&self, line: &str, patience: Duration) -> Option<Answer> {
        let (back, answered) = oneshot::channel();
        let giver = self.0.lock().unwrap().clone()?;
        giver.send((line.to_owned(), back)).ok()?;
        tokio::time::timeout(patience, answered).await.ok()?.ok()
    }
}

pub(in crate::simulation) async fn live(desk: Desk, mut lines: UnboundedReceiver<Given>) {
    let recorder = EventRecorder::open(desk.store.clone(), desk.account.clone(), desk.clock()).await.unwrap();
    let mut recorder = recorder.with_spool(desk.spool.clone());
    let mut number = 0;
    while let Some(first) = lines.recv().await {
        tokio::time::sleep(IN_THE_PIPE).await;
        let mut given = vec![first];
        while let Ok(next) = lines.try_recv() {
            given.push(next);
        }
        let mut waiting = VecDeque::new();
        for (line, _) in &given {
            number += 1;
            waiting.push_back((number, line.clone()));
        }
        let mut answers = Vec::new();
        while !waiting.is_empty() {
            answers.extend(recorder.lines(&mut waiting).await);
        }
        tokio::time::sleep(IN_THE_PIPE).await;
        for (answer, (_, back)) in answers.into_iter().zip(given) {
            // The bot may not wait for it any more.
            let _late = back.send(answer);
        }
    }
}
