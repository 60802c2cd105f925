//! The bot's state of its open positions, which a bot writes anew.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ledger_core::{AnyFact, Direction, FillKey, Opening, Order, RoundTrip, Side, Source, Statement};

use super::note;
use crate::error::{Doing, ReconcileError};
use crate::label::{StateLabel, parse_state};
use crate::record::client_id::is_somebody_elses;
use crate::record::event_recorder::EventRecorder;

/// A state beyond this size is none.
const BYTES_MAX: u64 = 16 << 20;

/// A state file that is followed.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    /// What it said at the last look.
    text: Option<String>,
    /// Whether it could not be read as a whole then: it may have been half written.
    was_broken: bool,
    /// What was told of it.
    told: BTreeSet<String>,
    /// What it says of positions of which the book does not know yet what opened them.
    waiting: Vec<StateLabel>,
}

impl StateFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, text: None, was_broken: false, told: BTreeSet::new(), waiting: Vec::new() }
    }

    pub(super) async fn look(
        &mut self,
        recorder: &EventRecorder,
        remarks: &mut Vec<String>,
    ) -> Result<(), ReconcileError> {
        let mut news = Vec::new();
        match self.read() {
            Ok(Some(text)) => self.take(text, &mut news),
            Ok(None) => {}
            Err(reason) => news.push(("the file".to_owned(), reason)),
        }
        news.retain(|(place, reason)| self.told.insert(format!("{place} {reason}")));
        note(&self.path, news, remarks);
        if self.waiting.is_empty() {
            return Ok(());
        }
        let open = recorder.store.open_trips(&recorder.account).await.doing("reading the round trips")?;
        let mut statements = Vec::new();
        let mut waiting = Vec::new();
        for label in std::mem::take(&mut self.waiting) {
            match opener(recorder, &open, &label).await? {
                Opener::Unknown => waiting.push(label),
                Opener::Labelled => {}
                Opener::Order(order) => {
                    let mut labelled = Order::known_from_fill(order.key.clone(), order.side, order.position_side);
                    labelled.engine = Some(label.engine);
                    let fact = AnyFact::Order(labelled);
                    statements.push(Statement { fact, source: Source::BotState, payload: None });
                }
            }
        }
        self.waiting = waiting;
        if !statements.is_empty() {
            recorder.commit(statements).await.inspect_err(|_| self.text = None)?;
        }
        Ok(())
    }

    /// What the file says, if that is not what it said before.
    fn read(&self) -> Result<Option<String>, String> {
        let found = match std::fs::metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err("it is not there; it is read once it is".to_owned());
            }
            Err(error) => return Err(format!("it cannot be read: {error}")),
        };
        if found.len() > BYTES_MAX {
            return Err(format!("it has more than {BYTES_MAX} bytes"));
        }
        let bytes = std::fs::read(&self.path).map_err(|error| format!("it cannot be read: {error}"))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Some(text).filter(|text| self.text.as_ref() != Some(text) || self.was_broken))
    }

    fn take(&mut self, text: String, news: &mut Vec<(String, String)>) {
        let read = parse_state(&text);
        // A bot that writes its state in place is not done yet; one that is broken twice in a row is broken.
        let is_broken = read.labels.is_empty() && read.bad.iter().any(|bad| bad.place == "the file");
        let is_news = !is_broken || self.was_broken && self.text.as_ref() == Some(&text);
        if is_news {
            news.extend(read.bad.into_iter().map(|bad| (bad.place, bad.reason)));
        }
        if !is_broken {
            self.waiting = read.labels;
        }
        self.was_broken = is_broken && !is_news;
        self.text = Some(text);
    }
}

/// What opened the position that a state speaks of.
enum Opener {
    /// The book does not know yet.
    Unknown,
    /// An order that says which strategy sent it, or one that is somebody else's.
    Labelled,
    /// An order that does not say.
    Order(Box<Order>),
}

async fn opener(recorder: &EventRecorder, open: &[RoundTrip], label: &StateLabel) -> Result<Opener, ReconcileError> {
    let fits = |trip: &&RoundTrip| {
        let side = if trip.direction == Direction::Long { Side::Buy } else { Side::Sell };
        trip.symbol == label.symbol && label.side.is_none_or(|wanted| wanted == side)
    };
    let mut fitting = open.iter().filter(fits);
    // A long and a short of a hedge: the state does not say of which it speaks.
    let (Some(trip), None) = (fitting.next(), fitting.next()) else { return Ok(Opener::Unknown) };
    let order_id = match &trip.opening {
        Opening::Fill { side, fill_id } => {
            let key = FillKey { symbol: trip.symbol.clone(), fill_id: fill_id.clone(), side: *side };
            let fill = recorder.store.fill(&recorder.account, &key).await.doing("looking for a fill")?;
            fill.and_then(|fill| fill.fact.order_id)
        }
        Opening::Order(order_id) => Some(order_id.clone()),
        _ => None,
    };
    let Some(order_id) = order_id else { return Ok(Opener::Unknown) };
    let order = recorder.order_named(&trip.symbol, Some(&order_id), None).await?.map(|order| order.order.fact);
    Ok(match order {
        None => Opener::Unknown,
        Some(order) if order.engine.is_some() || is_somebody_elses(&order) => Opener::Labelled,
        Some(order) => Opener::Order(Box::new(order)),
    })
}
