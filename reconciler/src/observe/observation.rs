//! What was seen at the exchange and in the book, as a value that planning is a pure function of.
//!
//! A question that failed is an error in its place, never an empty answer.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::{AccountIdentity, Answer, ExchangeError, MarkPrice, OrderRef, Stated, TimeWindow, VenueFacts};
use ledger_core::demands::{demanded_rows, lacking_rows};
use ledger_core::{
    BalanceSnapshot, Decimal, Fill, FillKey, Income, Instrument, Order, OrderClass, PositionMode, PositionSide,
    PositionSnapshot, Sourced, Symbol, TimestampMs,
};
use ledger_store::{Discrepancy, DiscrepancyStatus};

use super::book_view::{Beginning, BookView};
use super::by_type::ByType;
use super::walk::{FillWalk, Walk};
use crate::asked::Asked;
use crate::confirming::ReadBefore;
use crate::label::LabelSources;
use crate::memory::doubt::Looks;
use crate::memory::{DemandMemory, FundingMemory, recall_all};

/// What was seen of a symbol that was looked at closely.
#[derive(Debug)]
pub(crate) struct SymbolObservation {
    /// Its fills at the exchange.
    pub fills: Asked<FillWalk>,
    /// The book's fills of the same window, and those of other times that the exchange mentioned.
    pub book_fills: BTreeMap<FillKey, Sourced<Fill>>,
    /// What the book has of the time before the window; told where that begins as far back as the exchange answers.
    pub beginning: Beginning,
    /// Its positions, asked between two looks at the fills.
    pub positions: Asked<Answer<PositionSnapshot>>,
    /// Its conditional orders; asked for where something differs.
    pub conditional_orders: Asked<Walk<Order>>,
    /// Orders asked for one by one; an answer of `None`: the exchange does not know them (any more).
    pub orders: Vec<(OrderRef, Asked<Option<Stated<Order>>>)>,
}

impl SymbolObservation {
    /// What the exchange said about an order that was asked for; `None` when it was not asked or did not answer.
    #[expect(clippy::option_option, reason = "whether it answered, and whether the answer has one, are two questions")]
    pub(crate) fn answer(&self, reference: &OrderRef) -> Option<Option<&Stated<Order>>> {
        let (_, asked) = self.orders.iter().find(|(order, _)| order == reference)?;
        asked.answer().map(Option::as_ref)
    }

    /// What the exchange said about orders in the closer look.
    pub(crate) fn stated_orders(&self) -> impl Iterator<Item = &Stated<Order>> {
        let conditional = self.conditional_orders.iter().flat_map(|walk| &walk.rows);
        let named = self.orders.iter().filter_map(|(_, asked)| asked.answer()?.as_ref());
        conditional.chain(named)
    }
}

/// How far the local clock is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ClockReading {
    /// The local clock minus the exchange's, in ms.
    pub skew_ms: i64,
    /// By how much that may be wrong: half of the time that the question took.
    pub uncertainty_ms: i64,
}

/// Everything that was seen.
#[derive(Debug)]
pub(crate) struct Observation {
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
    /// The same once more, where the book has no balance of an asset to hold the first answer against.
    pub balances_again: Asked<Answer<BalanceSnapshot>>,
    /// Mark prices.
    pub mark_prices: Asked<Answer<MarkPrice>>,
    /// Regular orders of all symbols since the last cursor.
    pub orders: Asked<Walk<Order>>,
    /// Orders by which the exchange closed positions, since the last cursor.
    pub force_orders: Asked<Walk<Order>>,
    /// The ledger since the last cursor.
    pub income: Asked<Walk<Income>>,
    /// Where else the ledger was asked for what is missing: its rows are among those of `income`.
    pub asked_again: Vec<TimeWindow>,
    /// The ledger once more, one type after the other: the rows that the book lacks are among those of `income`.
    pub by_type: ByType,
    /// Contracts; asked only when the book lacks one that its facts or suspects name.
    pub instruments: Asked<Answer<Instrument>>,
    /// The book.
    pub book: BookView,
    /// The contracts that deserve a closer look and are out of scope: nothing was asked about them.
    pub left_aside: BTreeSet<Symbol>,
    /// The symbols that were looked at closely.
    pub symbols: BTreeMap<Symbol, SymbolObservation>,
    /// What the bot's own files say.
    pub labels: LabelSources,
    /// What was read before this cycle.
    pub read_before: ReadBefore,
}

impl Observation {
    /// Whether the ledger was asked for what happened at an instant, or cannot be asked for it any more.
    pub(crate) fn asks_for_income_of(&self, at: TimestampMs) -> bool {
        let Some(walk) = self.income.answer() else { return false };
        let is_lost = at.as_ms() < walk.asked_at.as_ms().saturating_sub(self.venue.income.retention_ms);
        is_lost || walk.window.contains(at) || self.asked_again.iter().any(|window| window.contains(at))
    }

    /// When the ledger's answer and the book differ.
    pub(crate) fn differing_income(&self) -> Vec<TimestampMs> {
        let rows = self.income.iter().flat_map(|walk| &walk.rows).map(|row| &row.entity);
        let new = rows.filter(|row| !self.book.known_income.contains(&row.key)).map(|row| row.time.at);
        new.chain(self.book.unlisted_income.iter().copied()).collect()
    }

    /// When rows of the ledger are due that no answer has had: an earlier look misses them and waits for them, or this one
    /// found their fill.
    pub(crate) fn demanded_income(&self) -> Vec<TimestampMs> {
        let on_record = &self.book.discrepancies;
        let is_awaited = |known: &Discrepancy| known.entry.status == DiscrepancyStatus::Pending;
        let demands = recall_all::<DemandMemory>(on_record).map(|(known, memory)| (known, memory.at));
        let funding = recall_all::<FundingMemory>(on_record).map(|(known, memory)| (known, memory.at));
        let awaited = demands.chain(funding).filter(|(known, _)| is_awaited(known)).map(|(_, at)| at);
        let fills = self.symbols.values().flat_map(|close| {
            let rows = close.fills.iter().flat_map(|walk| walk.rows.values()).map(|row| &row.entity);
            rows.filter(|fill| !close.book_fills.contains_key(&fill.key))
        });
        let lacking = fills.filter(|fill| self.lacks_income(fill)).map(|fill| fill.time.at);
        awaited.chain(lacking).collect()
    }

    /// Whether the ledger's answer lacks a row of this fill.
    fn lacks_income(&self, fill: &Fill) -> bool {
        let rows = self.income.iter().flat_map(|walk| &walk.rows).map(|row| &row.entity);
        let is_of = |row: &&Income| {
            row.key.symbol.as_ref() == Some(&fill.key.symbol) && row.fill_id.as_ref() == Some(&fill.key.fill_id)
        };
        let rows: Vec<_> = rows.filter(is_of).cloned().collect();
        // Profit in another asset than the fee's is profit all the same.
        let Some(fee) = &fill.fee else { return false };
        let lacking = demanded_rows(std::slice::from_ref(fill), &fee.asset);
        lacking.and_then(|demanded| lacking_rows(demanded, &rows)).map_or(true, |lacking| !lacking.is_empty())
    }

    /// When the answer about all orders and the book differ, by when each order was created.
    pub(crate) fn differing_orders(&self) -> Vec<TimestampMs> {
        self.differing(&self.orders, &self.book.unlisted_orders)
    }

    /// The same of the orders by which the exchange closed positions.
    pub(crate) fn differing_force_orders(&self) -> Vec<TimestampMs> {
        self.differing(&self.force_orders, &self.book.unlisted_force_orders)
    }

    /// The same of the conditional orders of a contract.
    pub(crate) fn differing_conditional_orders(&self, symbol: &Symbol) -> Vec<TimestampMs> {
        let unlisted = self.book.unlisted_conditional_orders.get(symbol).map_or(&[][..], Vec::as_slice);
        self.symbols.get(symbol).map_or_else(Vec::new, |close| self.differing(&close.conditional_orders, unlisted))
    }

    fn differing(&self, asked: &Asked<Walk<Order>>, unlisted: &[TimestampMs]) -> Vec<TimestampMs> {
        let rows = asked.iter().flat_map(|walk| &walk.rows).map(|row| &row.entity);
        let new = rows.filter(|order| !self.book.orders.contains_key(&order.key));
        let new = new.filter_map(|order| Some(order.created.or(order.updated)?.at));
        new.chain(unlisted.iter().copied()).collect()
    }

    /// What earlier looks have left, for one at `now`.
    pub(crate) fn looks(&self, now: TimestampMs) -> Looks<'_> {
        Looks { on_record: &self.book.discrepancies, now, lag_ms: self.venue.settle_lag_ms, has_asked: true }
    }

    /// Whether a fill of a contract that the book lacks would have shown: the contract was looked at closely, or the lists of
    /// all contracts were read, which point to it.
    pub(crate) fn asks_for_fills_of(&self, symbol: &Symbol) -> bool {
        match self.symbols.get(symbol) {
            Some(close) => close.fills.is_answered(),
            None => self.income.is_answered() && self.orders.is_answered(),
        }
    }

    /// Whether a wallet is stated of which the book has no balance yet.
    pub(crate) fn states_new_wallet(&self) -> bool {
        let mut stated = self.balances.iter().flat_map(|answer| &answer.rows).map(|row| &row.entity);
        stated.any(|stated| self.book.balance(&stated.asset).is_none())
    }

    /// Whether the second answer about balances says the same of a wallet as the first.
    pub(crate) fn is_said_again(&self, stated: &BalanceSnapshot) -> bool {
        let mut again = self.balances_again.iter().flat_map(|answer| &answer.rows).map(|row| &row.entity);
        again.any(|again| again.asset == stated.asset && again.wallet == stated.wallet)
    }

    /// Whether a symbol may be looked at and changed.
    pub(crate) fn is_in_scope(&self, symbol: &Symbol) -> bool {
        self.scope.is_empty() || self.scope.contains(symbol)
    }

    /// One-way or hedge mode: as the exchange says, else as the book has it.
    pub(crate) fn mode(&self) -> Option<PositionMode> {
        self.position_mode.answer().copied().or(self.book.account.mode())
    }

    /// The exchange's word on a symbol's positions: the closer look where there was one. `None` when neither was
    /// answered, or a row about the symbol could not be read.
    pub(crate) fn exchange_positions(&self, symbol: &Symbol) -> Option<&Answer<PositionSnapshot>> {
        let asked = self.symbols.get(symbol).map_or(&self.positions, |close| &close.positions);
        asked.answer().filter(|answer| answer.speaks_of(symbol))
    }

    /// Whether no row about a symbol's orders was unreadable in the lists of all orders: then what they do not list is not
    /// on them.
    pub(crate) fn reads_orders_of(&self, symbol: &Symbol) -> bool {
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
    #[expect(clippy::option_option, reason = "whether it answered, and whether the answer has one, are two questions")]
    pub(crate) fn exchange_position(&self, symbol: &Symbol, side: PositionSide) -> Option<Option<&PositionSnapshot>> {
        let answer = self.exchange_positions(symbol)?;
        let mut rows = answer.rows.iter().map(|row| &row.entity);
        Some(rows.find(|position| position.symbol == *symbol && position.position_side == side))
    }

    /// The exchange's quantity of a position; `None` when there was no answer.
    pub(crate) fn exchange_qty(&self, symbol: &Symbol, side: PositionSide) -> Option<Decimal> {
        self.exchange_position(symbol, side).map(|stated| stated.map_or(Decimal::ZERO, |stated| stated.qty))
    }

    /// Every position that either side knows of, or would know of if it could be derived.
    pub(crate) fn position_keys(&self) -> BTreeSet<(Symbol, PositionSide)> {
        let listed = self.positions.iter().chain(self.symbols.values().flat_map(|close| close.positions.iter()));
        let listed =
            listed.flat_map(|answer| &answer.rows).map(|row| (row.entity.symbol.clone(), row.entity.position_side));
        let booked = self.book.positions.iter().map(|held| (held.symbol.clone(), held.position.position_side));
        let unfolded =
            self.book.unfolded.iter().flat_map(|symbol| self.sides().iter().map(|side| (symbol.clone(), *side)));
        listed.chain(booked).chain(unfolded).collect()
    }

    /// The positions that a symbol can have.
    pub(crate) fn sides(&self) -> &'static [PositionSide] {
        match self.mode() {
            Some(PositionMode::OneWay) => &[PositionSide::Net],
            Some(PositionMode::Hedge) => &[PositionSide::Long, PositionSide::Short],
            None => &[PositionSide::Net, PositionSide::Long, PositionSide::Short],
        }
    }

    /// The ledger's rows about trades that neither the book has nor the exchange has listed since.
    pub(crate) fn unfilled(&self) -> impl Iterator<Item = &Income> {
        let rows = self.income.iter().flat_map(|walk| &walk.rows).map(|row| &row.entity);
        rows.filter(|row| {
            let (Some(symbol), Some(fill_id)) = (&row.key.symbol, &row.fill_id) else { return false };
            let close = self.symbols.get(symbol);
            let mut listed = close.iter().flat_map(|close| close.fills.iter()).flat_map(|walk| walk.rows.keys());
            self.book.unfilled.contains(&(symbol.clone(), fill_id.clone()))
                && !listed.any(|key| key.fill_id == *fill_id)
        })
    }

    /// When orders were at work of which the exchange says that more was executed than the fills of book and look add up to:
    /// from creation to last change. Somewhere in there the exchange has a fill that nobody has seen.
    pub(crate) fn unfilled_orders(&self) -> Vec<(TimestampMs, TimestampMs)> {
        let orders = self.stated_orders().map(|row| &row.entity);
        let lacking = orders.filter(|order| order.key.class == OrderClass::Regular && self.lacks_fills(order));
        let times = lacking.filter_map(|order| {
            let updated = order.updated.or(order.created)?.at;
            Some((order.created.map_or(updated, |created| created.at.min(updated)), updated))
        });
        times.collect()
    }

    fn lacks_fills(&self, order: &Order) -> bool {
        let Some(executed) = order.executed.as_ref().map(|executed| executed.qty) else { return false };
        let booked = self.book.orders.get(&order.key).and_then(|booked| booked.filled_qty).unwrap_or_default();
        let close = self.symbols.get(&order.key.symbol);
        let listed = close.into_iter().flat_map(|close| {
            let rows = close.fills.iter().flat_map(|walk| walk.rows.values()).map(|row| &row.entity);
            rows.filter(|fill| !close.book_fills.contains_key(&fill.key))
        });
        let mut new = listed.filter(|fill| fill.order_id.as_ref() == Some(&order.key.order_id));
        let known = new.try_fold(booked, |sum, fill| sum.checked_add(fill.qty.get()));
        known.is_ok_and(|known| executed > known)
    }

    /// The questions that failed, with why.
    pub(crate) fn failed_queries(&self) -> Vec<(Option<Symbol>, String, &ExchangeError)> {
        let mut failed: Vec<(Option<Symbol>, String, &ExchangeError)> = Vec::new();
        let wide: [(&str, Option<&ExchangeError>); 10] = [
            ("position mode", self.position_mode.error()),
            ("positions", self.positions.error()),
            ("open orders", self.open_orders.error()),
            ("balances", self.balances.error()),
            ("mark prices", self.mark_prices.error()),
            ("orders", self.orders.error()),
            ("force orders", self.force_orders.error()),
            ("income", self.income.error()),
            ("income by type", self.by_type.error.as_ref()),
            ("instruments", self.instruments.error()),
        ];
        failed.extend(wide.into_iter().filter_map(|(what, error)| error.map(|error| (None, what.to_owned(), error))));
        let rows = self.unreadable().into_iter();
        failed.extend(rows.map(|((symbol, what), error)| (Some(symbol.clone()), format!("{what} of {symbol}"), error)));
        for (symbol, close) in &self.symbols {
            let fills = close.fills.error().map(|error| (format!("fills of {symbol}"), error));
            let positions = close.positions.error().map(|error| (format!("positions of {symbol}"), error));
            let conditional = close.conditional_orders.error();
            let conditional = conditional.map(|error| (format!("conditional orders of {symbol}"), error));
            let orders = close
                .orders
                .iter()
                .filter_map(|(order, asked)| asked.error().map(|error| (format!("{order} of {symbol}"), error)));
            let all = fills.into_iter().chain(positions).chain(conditional).chain(orders);
            failed.extend(all.map(|(what, error)| (Some(symbol.clone()), what, error)));
        }
        failed
    }

    /// Everything that the exchange said about orders, whoever was asked.
    pub(crate) fn stated_orders(&self) -> impl Iterator<Item = &Stated<Order>> {
        let wide = [&self.orders, &self.force_orders].into_iter().flatten().flat_map(|walk| &walk.rows);
        let open = self.open_orders.iter().flat_map(|answer| &answer.rows);
        let close = self.symbols.values().flat_map(SymbolObservation::stated_orders);
        wide.chain(open).chain(close)
    }
}
