//! What was seen at the exchange and in the book, as a value that planning is a pure function of.
//!
//! A question that failed is an error in its place, never an empty answer.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::{
    AccountIdentity, Answer, ExchangeError, MarkPrice, OrderRef, Stated, TimeWindow, UnreadableRow, VenueFacts,
    speaks_of,
};
use ledger_core::{
    Anchor, Asset, BalanceSnapshot, ClientOrderId, Decimal, Fill, FillId, FillKey, Income, IncomeKey, Instrument,
    KnownBefore, Order, OrderIntent, OrderKey, PositionMode, PositionSide, PositionSnapshot, Signal, SignalId, Sourced,
    Symbol, TimestampMs,
};
use ledger_store::{
    Account, BookOrder, BookPosition, CoverageSpan, Discrepancy, SyncCursor, UnreadableRow as DamagedRow,
};

use crate::discrepancy::DiscrepancyKind;
use crate::label::LabelSources;

/// What the exchange answered to a question, or why it did not.
pub type Asked<T> = Result<T, ExchangeError>;

/// How a walk joins on to the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// Nothing was walked before: it began as far back as the venue answers.
    First,
    /// Nothing lies unread between the two.
    Resumed,
    /// It was told to begin later: what lies between is still to be read.
    Apart,
    /// The previous walk ended so long ago that the venue does not answer for the time up to this one any more.
    Expired(TimeWindow),
}

impl Continuity {
    /// Whether the cursor may move to the end of this walk, because waiting would bring nothing.
    pub fn moves_cursor(self) -> bool {
        self != Self::Apart
    }

    /// The time that can no longer be read.
    pub fn expired(self) -> Option<TimeWindow> {
        if let Self::Expired(gap) = self { Some(gap) } else { None }
    }
}

/// All rows of a window, collected page by page.
#[derive(Debug)]
pub struct Walk<T> {
    /// The rows.
    pub rows: Vec<Stated<T>>,
    /// What was asked for.
    pub window: TimeWindow,
    /// The server's time when the walk began: what happened later may be missing.
    pub asked_at: TimestampMs,
    /// Rows that could not be read: of the symbols that they are about the walk is not complete.
    pub unreadable: Vec<UnreadableRow>,
    /// How it joins on to the previous walk.
    pub continuity: Continuity,
}

impl<T> Walk<T> {
    /// Whether everything that the exchange said about a symbol could be read.
    pub fn speaks_of(&self, symbol: &Symbol) -> bool {
        speaks_of(&self.unreadable, symbol)
    }
}

/// The fills of a symbol: those of a window, and those of orders that were asked for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillWalk {
    /// The fills, each once.
    pub rows: BTreeMap<FillKey, Stated<Fill>>,
    /// The window in which they are complete.
    pub window: TimeWindow,
    /// Whether the venue answers for nothing before the window.
    pub reaches_oldest: bool,
    /// The server's time when the walk began.
    pub asked_at: TimestampMs,
    /// How it joins on to the previous walk.
    pub continuity: Continuity,
}

impl FillWalk {
    /// The fills inside the window, in fold order: with these, nothing is missing in between.
    pub fn in_fold_order(&self) -> Vec<&Fill> {
        in_fold_order(&self.rows, self.window)
    }
}

/// The fills inside a window, in fold order.
pub(crate) fn in_fold_order(rows: &BTreeMap<FillKey, Stated<Fill>>, window: TimeWindow) -> Vec<&Fill> {
    let inside = rows.values().map(|row| &row.entity).filter(|fill| window.contains(fill.time.at));
    let mut fills: Vec<&Fill> = inside.collect();
    fills.sort_by_cached_key(|fill| fill.fold_key());
    fills
}

/// What the book has of a symbol's beginning: of the time before everything that the exchange remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beginning {
    /// What it knew of each position.
    pub known: BTreeMap<PositionSide, KnownBefore>,
    /// What the exchange said of the positions since, as far as it is on record, oldest first.
    pub said: Vec<PositionSnapshot>,
    /// What the fills before each stated position add up to, from the stated one before it on.
    pub before_anchors: BTreeMap<(PositionSide, TimestampMs), Decimal>,
}

/// What was seen of a symbol that was looked at closely.
#[derive(Debug)]
pub struct SymbolObservation {
    /// Its fills at the exchange.
    pub fills: Asked<FillWalk>,
    /// The book's fills of the same window, and those of other times that the exchange mentioned.
    pub book_fills: BTreeMap<FillKey, Sourced<Fill>>,
    /// What the book has of the time before the window; told where that begins as far back as the exchange answers.
    pub beginning: Beginning,
    /// Its positions, asked between two looks at the fills.
    pub positions: Asked<Answer<PositionSnapshot>>,
    /// Its conditional orders; asked for where something differs.
    pub conditional_orders: Option<Asked<Walk<Order>>>,
    /// Orders asked for one by one; `Ok(None)`: the exchange does not know them (any more).
    pub orders: Vec<(OrderRef, Asked<Option<Stated<Order>>>)>,
}

impl SymbolObservation {
    /// What the exchange said about an order that was asked for; `None` when it was not asked or did not answer.
    pub fn answer(&self, reference: &OrderRef) -> Option<Option<&Stated<Order>>> {
        let (_, asked) = self.orders.iter().find(|(order, _)| order == reference)?;
        asked.as_ref().ok().map(Option::as_ref)
    }
}

/// The book's side.
#[derive(Debug, Clone)]
pub struct BookView {
    /// The account.
    pub account: Account,
    /// Derived positions.
    pub positions: Vec<BookPosition>,
    /// The orders that opened the round trips that have not ended.
    pub openers: BTreeMap<(Symbol, PositionSide), OrderKey>,
    /// The book's state of every order that the exchange mentioned, that is open, that lacks fills, or that may have
    /// followed a signal.
    pub orders: BTreeMap<OrderKey, BookOrder>,
    /// The orders and client order ids that were looked up in the book, found or not.
    pub looked_up: (BTreeSet<OrderKey>, BTreeSet<ClientOrderId>),
    /// Orders that were sent: those whose outcome nobody knows, those of orders seen, and those of signals.
    pub intents: BTreeMap<ClientOrderId, Sourced<OrderIntent>>,
    /// Signals without an order.
    pub signals: Vec<Sourced<Signal>>,
    /// The signals that were restored for orders in view.
    pub restored_signals: BTreeMap<SignalId, Sourced<Signal>>,
    /// The fills that opened a round trip, as the exchange itself stated them, whose order is not known to have followed a
    /// signal; each with whether it ended another round trip. Of positions that are what the exchange says only.
    pub unsignalled_openers: Vec<(Fill, bool)>,
    /// Whether a bot records in this book: then what it did not record is somebody else's.
    pub has_bot: bool,
    /// The income rows mentioned by the exchange that the book has, in no less detail.
    pub known_income: BTreeSet<IncomeKey>,
    /// The trades that the ledger names and the book lacks.
    pub unfilled: BTreeSet<(Symbol, FillId)>,
    /// The exchange's latest word on positions that is on record.
    pub latest_positions: Vec<Sourced<PositionSnapshot>>,
    /// The latest balances on record, of the assets that the exchange states.
    pub latest_balances: Vec<Sourced<BalanceSnapshot>>,
    /// The contracts on record with their steps, which exports do not tell. How exact the exchange's own numbers are
    /// follows from them, and so how much they prove.
    pub instruments: BTreeSet<Symbol>,
    /// The quantity steps of those that say.
    pub steps: BTreeMap<Symbol, Decimal>,
    /// What the contracts on record are settled in.
    pub settle_assets: BTreeMap<Symbol, Asset>,
    /// The symbols of facts on record whose contract is not: the book cannot derive their positions.
    pub unfolded: BTreeSet<Symbol>,
    /// The symbols whose fills the book has and cannot add up: their positions are not what the fills say.
    pub quarantined: BTreeSet<Symbol>,
    /// Stated positions.
    pub anchors: Vec<Sourced<Anchor>>,
    /// The book's fills of a position before it is stated, in fold order, where there are any.
    pub before_anchors: BTreeMap<(Symbol, PositionSide, TimestampMs), Vec<Sourced<Fill>>>,
    /// How far each stream was read.
    pub cursors: Vec<SyncCursor>,
    /// Which stretches of time are complete.
    pub coverage: Vec<CoverageSpan>,
    /// Discrepancies on record that are not gone.
    pub discrepancies: Vec<Discrepancy>,
    /// The contracts of which a row could not be read: nothing is concluded about them.
    pub damaged: BTreeMap<Symbol, DamagedRow>,
}

impl BookView {
    /// The book's signed quantity of a position.
    pub fn qty(&self, symbol: &Symbol, side: PositionSide) -> Decimal {
        self.position(symbol, side).map_or(Decimal::ZERO, |held| held.position.qty)
    }

    /// The book's position.
    pub fn position(&self, symbol: &Symbol, side: PositionSide) -> Option<&BookPosition> {
        self.positions.iter().find(|held| held.symbol == *symbol && held.position.position_side == side)
    }

    /// Whether a question about a symbol was left without an answer.
    pub fn has_unanswered(&self, symbol: &Symbol) -> bool {
        let kind = DiscrepancyKind::QueryFailed.as_str();
        let mut known = self.discrepancies.iter().map(|known| &known.entry);
        known.any(|known| known.key.kind == kind && known.symbol.as_ref() == Some(symbol))
    }

    /// A discrepancy on record.
    pub fn discrepancy(&self, key: &ledger_store::DiscrepancyKey) -> Option<&Discrepancy> {
        self.discrepancies.iter().find(|known| known.entry.key == *key)
    }
}

/// How far the local clock is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockReading {
    /// The local clock minus the exchange's, in ms.
    pub skew_ms: i64,
    /// By how much that may be wrong: half of the time that the question took.
    pub uncertainty_ms: i64,
}

/// Everything that was seen.
#[derive(Debug)]
pub struct Observation {
    /// The venue's promises and limits.
    pub venue: &'static VenueFacts,
    /// The only symbols to look at and change; all when empty.
    pub scope: BTreeSet<Symbol>,
    /// Who answers.
    pub identity: AccountIdentity,
    /// The server's time when the looking began.
    pub asked_at: TimestampMs,
    /// The local clock.
    pub clock: ClockReading,
    /// One-way or hedge mode.
    pub position_mode: Asked<PositionMode>,
    /// All open positions.
    pub positions: Asked<Answer<PositionSnapshot>>,
    /// All working orders, conditional ones included.
    pub open_orders: Asked<Answer<Order>>,
    /// Wallet balances.
    pub balances: Asked<Answer<BalanceSnapshot>>,
    /// Mark prices.
    pub mark_prices: Asked<Answer<MarkPrice>>,
    /// Regular orders of all symbols since the last cursor.
    pub orders: Asked<Walk<Order>>,
    /// Orders by which the exchange closed positions, since the last cursor.
    pub force_orders: Asked<Walk<Order>>,
    /// The ledger since the last cursor.
    pub income: Asked<Walk<Income>>,
    /// Contracts; asked only when the book lacks one that its facts or suspects name.
    pub instruments: Option<Asked<Answer<Instrument>>>,
    /// The book.
    pub book: BookView,
    /// The symbols that were looked at closely.
    pub symbols: BTreeMap<Symbol, SymbolObservation>,
    /// What the bot's own files say.
    pub labels: LabelSources,
}

impl Observation {
    /// Whether a symbol may be looked at and changed.
    pub fn is_in_scope(&self, symbol: &Symbol) -> bool {
        self.scope.is_empty() || self.scope.contains(symbol)
    }

    /// One-way or hedge mode: as the exchange says, else as the book has it.
    pub fn mode(&self) -> Option<PositionMode> {
        self.position_mode.as_ref().ok().copied().or(self.book.account.mode())
    }

    /// The exchange's word on a symbol's positions: the closer look where there was one. `None` when neither was
    /// answered, or a row about the symbol could not be read.
    pub fn exchange_positions(&self, symbol: &Symbol) -> Option<&Answer<PositionSnapshot>> {
        let asked = self.symbols.get(symbol).map_or(&self.positions, |close| &close.positions);
        asked.as_ref().ok().filter(|answer| answer.speaks_of(symbol))
    }

    /// Whether no row about a symbol's orders was unreadable in the lists of all orders: then what they do not list is not
    /// on them.
    pub fn reads_orders_of(&self, symbol: &Symbol) -> bool {
        let walks = [&self.orders, &self.force_orders].into_iter().flatten();
        let mut rows = self.open_orders.iter().flat_map(|answer| &answer.unreadable);
        walks.into_iter().all(|walk| walk.speaks_of(symbol)) && rows.all(|row| row.symbol.as_ref() != Some(symbol))
    }

    /// The rows that could not be read of answers about all symbols: each symbol once for each answer.
    fn unreadable(&self) -> BTreeMap<(&Symbol, &'static str), &ExchangeError> {
        let positions = self.positions.iter().flat_map(|answer| &answer.unreadable);
        // The closer look has its own.
        let positions =
            positions.filter(|row| row.symbol.as_ref().is_none_or(|symbol| !self.symbols.contains_key(symbol)));
        let open = self.open_orders.iter().flat_map(|answer| &answer.unreadable);
        let orders = self.orders.iter().flat_map(|walk| &walk.unreadable);
        let forced = self.force_orders.iter().flat_map(|walk| &walk.unreadable);
        let all = positions.map(|row| ("positions", row)).chain(open.map(|row| ("open orders", row)));
        let all = all.chain(orders.map(|row| ("orders", row))).chain(forced.map(|row| ("force orders", row)));
        let mut first = BTreeMap::new();
        for (what, row) in all {
            if let Some(symbol) = &row.symbol {
                first.entry((symbol, what)).or_insert(&row.error);
            }
        }
        first
    }

    /// The exchange's word on a position. A position that a successful answer does not list is flat: `Some(None)`.
    /// `None` when there was no answer.
    pub fn exchange_position(&self, symbol: &Symbol, side: PositionSide) -> Option<Option<&PositionSnapshot>> {
        let answer = self.exchange_positions(symbol)?;
        let mut rows = answer.rows.iter().map(|row| &row.entity);
        Some(rows.find(|position| position.symbol == *symbol && position.position_side == side))
    }

    /// The exchange's quantity of a position; `None` when there was no answer.
    pub fn exchange_qty(&self, symbol: &Symbol, side: PositionSide) -> Option<Decimal> {
        self.exchange_position(symbol, side).map(|stated| stated.map_or(Decimal::ZERO, |stated| stated.qty))
    }

    /// Every position that either side knows of, or would know of if it could be derived.
    pub fn position_keys(&self) -> BTreeSet<(Symbol, PositionSide)> {
        let listed = self.positions.iter().chain(self.symbols.values().flat_map(|close| close.positions.iter()));
        let listed =
            listed.flat_map(|answer| &answer.rows).map(|row| (row.entity.symbol.clone(), row.entity.position_side));
        let booked = self.book.positions.iter().map(|held| (held.symbol.clone(), held.position.position_side));
        let unfolded =
            self.book.unfolded.iter().flat_map(|symbol| self.sides().iter().map(|side| (symbol.clone(), *side)));
        listed.chain(booked).chain(unfolded).collect()
    }

    /// The positions that a symbol can have.
    pub fn sides(&self) -> &'static [PositionSide] {
        match self.mode() {
            Some(PositionMode::OneWay) => &[PositionSide::Net],
            Some(PositionMode::Hedge) => &[PositionSide::Long, PositionSide::Short],
            None => &[PositionSide::Net, PositionSide::Long, PositionSide::Short],
        }
    }

    /// The ledger's rows about trades that neither the book has nor the exchange has listed since.
    pub fn unfilled(&self) -> impl Iterator<Item = &Income> {
        let rows = self.income.iter().flat_map(|walk| &walk.rows).map(|row| &row.entity);
        rows.filter(|row| {
            let (Some(symbol), Some(fill_id)) = (&row.key.symbol, &row.fill_id) else { return false };
            let close = self.symbols.get(symbol);
            let mut listed = close.iter().flat_map(|close| close.fills.iter()).flat_map(|walk| walk.rows.keys());
            self.book.unfilled.contains(&(symbol.clone(), fill_id.clone()))
                && !listed.any(|key| key.fill_id == *fill_id)
        })
    }

    /// The questions that failed, with why.
    pub fn failed_queries(&self) -> Vec<(Option<Symbol>, String, &ExchangeError)> {
        let mut failed: Vec<(Option<Symbol>, String, &ExchangeError)> = Vec::new();
        let wide: [(&str, Option<&ExchangeError>); 9] = [
            ("position mode", self.position_mode.as_ref().err()),
            ("positions", self.positions.as_ref().err()),
            ("open orders", self.open_orders.as_ref().err()),
            ("balances", self.balances.as_ref().err()),
            ("mark prices", self.mark_prices.as_ref().err()),
            ("orders", self.orders.as_ref().err()),
            ("force orders", self.force_orders.as_ref().err()),
            ("income", self.income.as_ref().err()),
            ("instruments", self.instruments.as_ref().and_then(|asked| asked.as_ref().err())),
        ];
        failed.extend(wide.into_iter().filter_map(|(what, error)| error.map(|error| (None, what.to_owned(), error))));
        let rows = self.unreadable().into_iter();
        failed.extend(rows.map(|((symbol, what), error)| (Some(symbol.clone()), format!("{what} of {symbol}"), error)));
        for (symbol, close) in &self.symbols {
            let fills = close.fills.as_ref().err().map(|error| (format!("fills of {symbol}"), error));
            let positions = close.positions.as_ref().err().map(|error| (format!("positions of {symbol}"), error));
            let conditional = close.conditional_orders.as_ref().and_then(|asked| asked.as_ref().err());
            let conditional = conditional.map(|error| (format!("conditional orders of {symbol}"), error));
            let orders = close
                .orders
                .iter()
                .filter_map(|(order, asked)| asked.as_ref().err().map(|error| (format!("{order} of {symbol}"), error)));
            let all = fills.into_iter().chain(positions).chain(conditional).chain(orders);
            failed.extend(all.map(|(what, error)| (Some(symbol.clone()), what, error)));
        }
        failed
    }

    /// Everything that the exchange said about orders, whoever was asked.
    pub fn stated_orders(&self) -> impl Iterator<Item = &Stated<Order>> {
        let wide = [&self.orders, &self.force_orders].into_iter().flatten().flat_map(|walk| &walk.rows);
        let open = self.open_orders.iter().flat_map(|answer| &answer.rows);
        let close = self.symbols.values().flat_map(|close| {
            let conditional = close.conditional_orders.iter().flatten().flat_map(|walk| &walk.rows);
            let named = close.orders.iter().filter_map(|(_, asked)| asked.as_ref().ok()?.as_ref());
            conditional.chain(named)
        });
        wide.chain(open).chain(close)
    }
}
