//! Whether a stream tells what happens. Connected, subscribed and answering pings prove nothing: only what it told proves
//! anything, once an answer to a question says the same.
//!
//! Kept is the last word on every position and wallet, whoever said it. A look holds its answers against that. What the stream
//! told and the answer agree on is confirmed; what the answer says and the stream did not is doubted, at a second look, for the
//! first may have overtaken the stream.
//!
//! Invariants, each with a test of the same name:
//! 1. `silence_proves_nothing`: a stream that told nothing is unproven, however long it stands.
//! 2. `what_was_told_is_confirmed_by_an_answer`.
//! 3. `a_movement_that_was_not_told_is_doubted`, and what was told and the answer does not have yet is not.
//! 4. `an_interruption_ends_what_is_confirmed`.
//! 5. `what_moved_in_a_gap_is_not_doubted`: no word from before it is held against an answer from behind it.
//! 6. `what_could_not_be_read_is_not_flat`, and what was doubted stays so until something is confirmed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use exchange_client::StreamEvent;
use ledger_core::{Asset, BalanceSnapshot, Decimal, PositionSide, PositionSnapshot, Symbol, TimestampMs};

use crate::watch_state::StreamState;

/// What has a quantity that both a stream and an answer state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Held {
    /// A position's signed quantity.
    Position(Symbol, PositionSide),
    /// A wallet.
    Wallet(Asset),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(symbol, PositionSide::Net) => write!(f, "the position in {symbol}"),
            Self::Position(symbol, side) => write!(f, "the {side} position in {symbol}"),
            Self::Wallet(asset) => write!(f, "the {asset} wallet"),
        }
    }
}

/// The last word on a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    at: TimestampMs,
    qty: Decimal,
}

/// A quantity that an answer states and the stream did not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Untold {
    pub(crate) what: Held,
    /// The last word before.
    pub(crate) before: Decimal,
    /// What the exchange answers.
    pub(crate) now: Decimal,
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} went from {} to {}", self.what, self.before, self.now)
    }
}

/// What of an answer about positions could not be read: nothing is said about that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unread {
    /// The contracts.
    pub(crate) symbols: BTreeSet<Symbol>,
    /// Whether there was a row that does not even name its contract: it may be any.
    pub(crate) is_any: bool,
}

impl Unread {
    fn is_none(&self) -> bool {
        self.symbols.is_empty() && !self.is_any
    }

    fn is_of(&self, symbol: &Symbol) -> bool {
        self.is_any || self.symbols.contains(symbol)
    }
}

/// What became of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing that the stream did not tell.
    Agrees,
    /// Something moved while there was no stream that could have told it.
    Missed,
    /// Something differs for the first time: the answer may have overtaken the stream.
    Unsure(Vec<Untold>),
    /// It differs still: the stream does not tell everything.
    Untold(Vec<Untold>),
}

/// What a stream's word is worth, and what that rests on.
#[derive(Debug)]
pub(crate) struct Health {
    state: StreamState,
    /// Since when it is what it is, by the exchange's clock.
    since: TimestampMs,
    words: BTreeMap<Held, Word>,
    /// The latest event that says anything about the account.
    last_event: Option<TimestampMs>,
    /// The latest event that says what is held: these are what answers confirm.
    last_word: Option<TimestampMs>,
    /// The latest event that an answer confirmed.
    confirmed_event: Option<TimestampMs>,
    /// The latest answer that agreed with everything told.
    agreed_at: Option<TimestampMs>,
    /// What differed at the last look, and when the stream had spoken of it last.
    unsure: Vec<(Untold, Option<TimestampMs>)>,
    /// It was found not to tell everything, and nothing that it told was confirmed since.
    was_doubted: bool,
    /// The stream stands again, and no answer since says what it is to be measured by.
    wants_look: bool,
}

impl Health {
    pub(crate) fn new(now: TimestampMs) -> Self {
        Self {
            state: StreamState::Connecting,
            since: now,
            words: BTreeMap::new(),
            last_event: None,
            last_word: None,
            confirmed_event: None,
            agreed_at: None,
            unsure: Vec::new(),
            was_doubted: false,
            wants_look: false,
        }
    }

    /// Whether a look is wanted now, so that what is told from now on, or is not, is measured by it.
    pub(crate) fn wants_look(&self) -> bool {
        self.wants_look
    }

    pub(crate) fn state(&self) -> StreamState {
        self.state
    }

    pub(crate) fn since(&self) -> TimestampMs {
        self.since
    }

    pub(crate) fn last_event(&self) -> Option<TimestampMs> {
        self.last_event
    }

    pub(crate) fn confirmed_event(&self) -> Option<TimestampMs> {
        self.confirmed_event
    }

    /// Up to when nothing can have happened that is not told, as far as positions and wallets show: `None` unless the stream is
    /// confirmed.
    pub(crate) fn confirmed_until(&self) -> Option<TimestampMs> {
        self.agreed_at.filter(|_| self.state == StreamState::Confirmed)
    }

    fn turn(&mut self, state: StreamState, at: TimestampMs) {
        if self.state != state {
            (self.state, self.since) = (state, at);
        }
    }

    /// Takes what a stream says.
    pub(crate) fn hear(&mut self, event: &StreamEvent) {
        match event {
            // One that was refused at first begins behind a gap, too.
            StreamEvent::Opened { at } => self.stand(*at),
            StreamEvent::Interrupted { since, .. } => self.turn(StreamState::Down, *since),
            StreamEvent::Resumed(gap) => self.stand(gap.until),
            StreamEvent::Order(update) => self.told_at(update.told_at),
            StreamEvent::Trade(notice) => self.told_at(notice.told_at),
            StreamEvent::Account(update) => {
                self.told_at(update.told_at);
                for balance in &update.balances {
                    self.say(Held::Wallet(balance.asset.clone()), update.told_at, balance.wallet);
                }
                for position in &update.positions {
                    let held = Held::Position(position.symbol.clone(), position.position_side);
                    self.say(held, update.told_at, position.qty);
                }
            }
            _ => {}
        }
    }

    /// Nothing is heard from `at` on.
    pub(crate) fn interrupted(&mut self, at: TimestampMs) {
        self.turn(StreamState::Down, at);
    }

    /// It stands, and what moved before was not to be told.
    fn stand(&mut self, at: TimestampMs) {
        // Connected anew it is the same stream, until it has told something that is so.
        self.turn(if self.was_doubted { StreamState::Doubted } else { StreamState::Unproven }, at);
        self.unsure.clear();
        self.words.clear();
        self.wants_look = self.agreed_at.take().is_some() || self.wants_look;
    }

    fn told_at(&mut self, at: TimestampMs) {
        self.last_event = self.last_event.max(Some(at));
    }

    fn say(&mut self, held: Held, at: TimestampMs, qty: Decimal) {
        self.last_word = self.last_word.max(Some(at));
        let word = Word { at, qty };
        let known = self.words.entry(held).or_insert(word);
        // Of one millisecond the one that came last counts: within a kind a stream keeps the order.
        if known.at <= at {
            *known = word;
        }
    }

    /// Holds the exchange's answer against the last words. A word that is younger than the answer stands.
    pub(crate) fn hold_against(
        &mut self,
        asked_at: TimestampMs,
        positions: &[PositionSnapshot],
        balances: &[BalanceSnapshot],
        unread: &Unread,
    ) -> Verdict {
        let is_read = |held: &Held| match held {
            Held::Position(symbol, _) => !unread.is_of(symbol),
            Held::Wallet(_) => true,
        };
        let positions = positions.iter().map(|it| (Held::Position(it.symbol.clone(), it.position_side), it.qty));
        let positions = positions.filter(|(held, _)| is_read(held));
        let balances = balances.iter().map(|it| (Held::Wallet(it.asset.clone()), it.wallet));
        let mut answer: BTreeMap<Held, Decimal> = positions.chain(balances).collect();
        // A list of positions may leave out the flat ones.
        let is_flat = |held: &&Held| matches!(held, Held::Position(..)) && is_read(held) && !answer.contains_key(held);
        let flat = self.words.keys().filter(is_flat);
        let flat: Vec<_> = flat.cloned().map(|held| (held, Decimal::ZERO)).collect();
        answer.extend(flat);
        let mut untold = Vec::new();
        for (what, now) in &answer {
            match self.words.get(what) {
                Some(word) if word.qty == *now || word.at >= asked_at => {}
                // A position or wallet that was never named holds nothing that was missed, if this is the first look.
                None if self.agreed_at.is_none() => {}
                known => {
                    let before = known.map_or(Decimal::ZERO, |word| word.qty);
                    if before != *now {
                        untold.push(Untold { what: what.clone(), before, now: *now });
                    }
                }
            }
        }
        let is_down = matches!(self.state, StreamState::Connecting | StreamState::Down);
        self.wants_look &= is_down;
        let before = std::mem::take(&mut self.unsure);
        if is_down {
            // Nobody told, because nobody could.
            self.learn(asked_at, answer);
            self.agreed_at = Some(asked_at);
            return if untold.is_empty() { Verdict::Agrees } else { Verdict::Missed };
        }
        let spoken = |what: &Held| self.words.get(what).map(|word| word.at);
        let (mut repeated, mut fresh) = (Vec::new(), Vec::new());
        let mut talking = BTreeSet::new();
        for it in untold {
            match before.iter().find(|(before, _)| before.what == it.what) {
                // What moved since the look before has not had its time yet.
                None => fresh.push((it.clone(), spoken(&it.what))),
                // It speaks of it, and is late: the answers overtake it. The next look in its turn says whether it ever arrived.
                Some((_, then)) if spoken(&it.what) > *then => drop(talking.insert(it.what)),
                Some(_) => repeated.push(it),
            }
        }
        answer.retain(|what, _| fresh.iter().all(|(it, _)| it.what != *what) && !talking.contains(what));
        self.learn(asked_at, answer);
        self.unsure.clone_from(&fresh);
        if !repeated.is_empty() {
            self.turn(StreamState::Doubted, asked_at);
            self.was_doubted = true;
            return Verdict::Untold(repeated);
        }
        if !fresh.is_empty() {
            return Verdict::Unsure(fresh.into_iter().map(|(it, _)| it).collect());
        }
        if talking.is_empty() && unread.is_none() {
            self.agree(asked_at);
        }
        Verdict::Agrees
    }

    fn learn(&mut self, asked_at: TimestampMs, answer: BTreeMap<Held, Decimal>) {
        for (held, qty) in answer {
            let word = Word { at: asked_at, qty };
            let known = self.words.entry(held).or_insert(word);
            if known.at < asked_at {
                *known = word;
            }
        }
    }

    fn agree(&mut self, asked_at: TimestampMs) {
        self.agreed_at = Some(asked_at);
        let is_news = self.last_word.filter(|at| *at <= asked_at && *at >= self.since);
        if is_news > self.confirmed_event {
            self.confirmed_event = is_news;
            self.was_doubted = false;
            self.turn(StreamState::Confirmed, asked_at);
        }
    }
}

#[cfg(test)]
mod tests;
