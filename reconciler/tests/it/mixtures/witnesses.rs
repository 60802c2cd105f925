//! How many answers said what a book has confirmed. Counted from what was answered and from the exchange's own books; the
//! reconciler is asked for nothing but what it has confirmed, and what its book holds.

use std::collections::{BTreeMap, BTreeSet};

use exchange_client::simulator::{AccountSnapshot, IncomeTruth, TradeTruth};
use exchange_client::{Request, Response};
use ledger_core::{Decimal, PositionSide};
use ledger_store::{DerivedReader, Discrepancy, DiscrepancyStatus, FactReader, IncomeFilter, PageRequest, Scope};
use reconciler::DiscrepancyKind;
use serde_json::Value;

use super::facts::Misstated;
use crate::support::Fixture;

const POSITIONS: &str = "/fapi/v3/positionRisk";
const BALANCES: &str = "/fapi/v3/balance";
const TRADES: &str = "/fapi/v1/userTrades";
const LEDGER: &str = "/fapi/v1/income";
const TIME: &str = "/fapi/v1/time";

/// What was asked, and what was answered to it, true or not.
pub(super) struct Answered {
    path: String,
    query: String,
    /// `None` where it cannot be read.
    body: Option<Value>,
}

impl Answered {
    pub(super) fn new(request: &Request, answer: &Response) -> Self {
        let body = (answer.status == 200).then(|| serde_json::from_slice(&answer.body).ok()).flatten();
        Self { path: request.path.clone(), query: request.query.clone(), body }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').filter_map(|part| part.split_once('=')).find(|(key, _)| *key == name).map(|(_, it)| it)
    }

    fn rows(&self) -> Option<&Vec<Value>> {
        self.body.as_ref()?.as_array()
    }

    /// Whether it names an account as the one that it is of.
    pub(super) fn names(&self, alias: &str) -> bool {
        self.rows().is_some_and(|rows| rows.iter().any(|row| row["accountAlias"] == alias))
    }

    /// Whether it is about a contract, or about all of them.
    fn is_about(&self, symbol: &str) -> bool {
        self.parameter("symbol").is_none_or(|of| of == symbol)
    }
}

type Quantities = BTreeMap<(String, PositionSide), Decimal>;

/// A look: what was answered in it, what was so, and what the book holds after it.
pub(super) struct Witness {
    answers: Vec<Answered>,
    truth: AccountSnapshot,
    at_ms: i64,
    lacking_trades: Vec<TradeTruth>,
    lacking_rows: Vec<IncomeTruth>,
    derived: Quantities,
    added_up: Quantities,
}

impl Witness {
    pub(super) async fn of(book: &Fixture, answers: Vec<Answered>) -> Self {
        let books = book.simulator.books();
        let (truth, at_ms) = (books.accounts[0].clone(), books.at_ms);
        let fills = book.book_fills().await;
        let mut added_up = Quantities::new();
        for fill in &fills {
            let side = fill.position_side.unwrap_or(PositionSide::Net);
            let sum = added_up.entry((fill.key.symbol.to_string(), side)).or_default();
            *sum = sum.checked_add(fill.signed_qty()).unwrap();
        }
        let known: BTreeSet<_> = fills.iter().map(|fill| (fill.key.symbol.as_str(), fill.sequence)).collect();
        let is_lacking = |trade: &&TradeTruth| !known.contains(&(trade.symbol.as_str(), Some(trade.id)));
        let lacking_trades = truth.trades.iter().filter(is_lacking).cloned().collect();
        let filter = IncomeFilter { scope: Scope::account(book.account.clone()), income_type: None };
        let mut booked: Vec<_> = book.store.income(&filter, PageRequest::first(1_000)).await.unwrap().items;
        let mut lacking_rows = truth.income.clone();
        lacking_rows.retain(|row| {
            let is_it = |known: &_| is_row(known, row);
            booked.iter().map(|known| &known.fact).position(is_it).map(|at| booked.swap_remove(at)).is_none()
        });
        let held = book.store.positions(&book.account).await.unwrap().into_iter();
        let derived = held.map(|held| ((held.symbol.to_string(), held.position.position_side), held.position.qty));
        let derived = derived.collect();
        Self { answers, truth, at_ms, lacking_trades, lacking_rows, derived, added_up }
    }

    fn answers<'a>(&'a self, path: &'static str, symbol: &'a str) -> impl Iterator<Item = &'a Answered> {
        self.answers.iter().filter(move |it| it.path == path && it.body.is_some() && it.is_about(symbol))
    }

    /// How many of this look's answers agree about a number that is false: those that state it, and those that do not list
    /// what would contradict it.
    pub(super) fn agree_falsely(&self, told: &Misstated) -> usize {
        let (name, side) = &told.about;
        let is_told = |value: &Value| value.as_str().and_then(|it| it.parse::<Decimal>().ok()) == Some(told.told);
        let stating = if let Some(side) = side {
            let says = |rows: &Vec<Value>| {
                let mut of = rows.iter().filter(|row| row["symbol"] == name.as_str());
                let row = of.find(|row| side_of(row) == side.to_string());
                row.map_or(told.told.is_zero(), |row| is_told(&row["positionAmt"]))
            };
            self.answers(POSITIONS, name).filter_map(Answered::rows).filter(|rows| says(rows)).count()
        } else {
            let says = |row: &Value| row["asset"] == name.as_str() && is_told(&row["balance"]);
            let lists = self.answers(BALANCES, "").filter_map(Answered::rows);
            lists.filter(|rows| rows.iter().any(says)).count()
        };
        stating + self.silent_lists(name, side.is_some())
    }

    /// How many lists leave out something of their time that the book lacks: a trade of a contract, or what is booked in an
    /// asset.
    fn silent_lists(&self, name: &str, is_contract: bool) -> usize {
        let lacking_rows =
            self.lacking_rows.iter().filter(|row| if is_contract { row.symbol == name } else { row.asset == name });
        let lacking_rows: Vec<_> = lacking_rows.map(|row| row.time_ms).collect();
        let lacking_trades = self.lacking_trades.iter().filter(|trade| is_contract && trade.symbol == name);
        let lacking_trades: Vec<_> = lacking_trades.map(|trade| trade.time_ms).collect();
        let edge = |it: &Answered, name| it.parameter(name).and_then(|at| at.parse::<i64>().ok());
        let is_silent = |it: &&Answered, lacking: &[i64]| {
            let (since, until) = (edge(it, "startTime").unwrap_or(0), edge(it, "endTime").unwrap_or(i64::MAX));
            lacking.iter().any(|at| (since..=until).contains(at))
        };
        self.answers(TRADES, name).filter(|it| is_contract && is_silent(it, &lacking_trades)).count()
            + self.answers(LEDGER, "").filter(|it| is_silent(it, &lacking_rows)).count()
    }

    fn lacks_trades(&self, symbol: &str) -> bool {
        self.lacking_trades.iter().any(|trade| trade.symbol == symbol)
    }

    /// What this look's answers say of what a discrepancy is about, in words that are the same where they say the same.
    fn says(&self, kind: DiscrepancyKind, about: &str) -> BTreeSet<String> {
        use DiscrepancyKind as Kind;
        let parts: Vec<&str> = about.split('/').collect();
        let says = |is_said: bool| is_said.then(|| "so".to_owned()).into_iter().collect();
        match kind {
            Kind::UnrecordedPosition | Kind::UnrecordedClose | Kind::PositionMismatch => {
                self.beyond(parts[0], parts[1])
            }
            Kind::AverageEntryMismatch => says(self.misstates_entry(parts[0], parts[1])),
            Kind::MissingFills => self.unlisted_part(parts[0], parts[2]),
            Kind::RealizedPnlMismatch => {
                says(self.answers(TRADES, parts[0]).next().is_some() && self.lacks_trades(parts[0]))
            }
            Kind::UnconfirmedFill => says(self.does_not_list(parts[0], parts[1])),
            Kind::IncomeMismatch => {
                let mut lacking = self.lacking_trades.iter();
                let lacks = lacking.any(|trade| trade.symbol == parts[0] && trade.id.to_string() == parts[1]);
                says(lacks && self.answers(LEDGER, parts[0]).next().is_some())
            }
            Kind::MissingIncome | Kind::MissingFunding | Kind::FundingMismatch => {
                let lacks = self.lacking_rows.iter().any(|row| row.symbol == parts[0]) || self.lacks_trades(parts[0]);
                says(lacks && self.answers(LEDGER, parts[0]).next().is_some())
            }
            Kind::UnexplainedBalance | Kind::FootingMismatch => says(self.misstates_wallet(parts[0])),
            Kind::ClockSkew => {
                let mut told = self.answers(TIME, "").filter_map(|it| it.body.as_ref()?["serverTime"].as_i64());
                says(told.any(|told| told != self.at_ms))
            }
            // Nothing that is so leads to any other.
            _ => BTreeSet::new(),
        }
    }

    /// By how much what is said to be held exceeds what the book holds, or what its fills add up to.
    fn beyond(&self, symbol: &str, side: &str) -> BTreeSet<String> {
        let mut beyond = BTreeSet::new();
        for rows in self.answers(POSITIONS, symbol).filter_map(Answered::rows) {
            let row = rows.iter().find(|row| row["symbol"] == symbol && side_of(row) == side);
            let told: Decimal = row.map_or(Decimal::ZERO, |row| row["positionAmt"].as_str().unwrap().parse().unwrap());
            for of_book in [&self.derived, &self.added_up] {
                let held = of_book.iter().find(|((of, on), _)| of == symbol && on.to_string() == side);
                let held = held.map(|(_, held)| *held).unwrap_or_default();
                if told != held {
                    beyond.insert(told.checked_sub(held).unwrap().to_string());
                }
            }
        }
        beyond
    }

    fn misstates_entry(&self, symbol: &str, side: &str) -> bool {
        let is_it = |held: &&_| is_position(held, symbol, side);
        let truth = self.truth.positions.iter().find(is_it).map(|held| (held.qty, held.entry_price));
        let mut lists = self.answers(POSITIONS, symbol).filter_map(Answered::rows).peekable();
        let is_answered = lists.peek().is_some();
        let is_false = lists.any(|rows| {
            let row = rows.iter().find(|row| row["symbol"] == symbol && side_of(row) == side);
            let number = |value: &Value| value.as_str().unwrap().parse::<Decimal>().unwrap();
            row.map(|row| (number(&row["positionAmt"]), number(&row["entryPrice"]))) != truth
        });
        is_answered && (is_false || self.lacks_trades(symbol))
    }

    /// How much of an order the fills lack that are listed.
    fn unlisted_part(&self, symbol: &str, order_id: &str) -> BTreeSet<String> {
        let lacking = self.lacking_trades.iter();
        let lacking = lacking.filter(|trade| trade.symbol == symbol && trade.order_id.to_string() == order_id);
        let lacking = lacking.fold(Decimal::ZERO, |sum, trade| sum.checked_add(trade.qty).unwrap());
        let is_answered = self.answers(TRADES, symbol).next().is_some();
        (is_answered && !lacking.is_zero()).then(|| lacking.to_string()).into_iter().collect()
    }

    /// Whether a list of the time of a trade lacks it.
    fn does_not_list(&self, symbol: &str, id: &str) -> bool {
        let mut trades = self.truth.trades.iter();
        let Some(trade) = trades.find(|trade| trade.symbol == symbol && trade.id.to_string() == id) else {
            return false;
        };
        let edge = |it: &Answered, name| it.parameter(name).and_then(|at| at.parse::<i64>().ok());
        self.answers(TRADES, symbol).any(|it| {
            let (Some(since), Some(until)) = (edge(it, "startTime"), edge(it, "endTime")) else { return false };
            let lists = |rows: &Vec<Value>| rows.iter().any(|row| row["id"].as_i64() == Some(trade.id));
            (since..=until).contains(&trade.time_ms) && !it.rows().is_some_and(lists)
        })
    }

    fn misstates_wallet(&self, asset: &str) -> bool {
        let truth = self.truth.wallets.get(asset).copied().unwrap_or_default();
        let mut lists = self.answers(BALANCES, "").filter_map(Answered::rows).peekable();
        let is_answered = lists.peek().is_some();
        let is_false = lists.any(|rows| {
            let row = rows.iter().find(|row| row["asset"] == asset);
            row.is_some_and(|row| row["balance"].as_str().unwrap().parse::<Decimal>().unwrap() != truth)
        });
        is_answered && (is_false || self.lacking_rows.iter().any(|row| row.asset == asset))
    }
}

fn is_row(known: &ledger_core::Income, row: &IncomeTruth) -> bool {
    let known = (known.time.at.as_ms(), known.key.asset.as_str(), known.key.income_type.as_str(), known.amount);
    known == (row.time_ms, row.asset.as_str(), row.income_type.as_str(), row.amount)
}

fn is_position(held: &exchange_client::simulator::PositionTruth, symbol: &str, side: &str) -> bool {
    held.symbol == symbol && held.position_side.to_string() == side
}

/// The side of a position as the book names it.
fn side_of(row: &Value) -> String {
    let side = row["positionSide"].as_str().unwrap();
    if side == "BOTH" { PositionSide::Net.to_string() } else { side.to_owned() }
}

/// What is confirmed although fewer than two looks had an answer that says so. Nothing of what this exchange does is a discrepancy,
/// so whatever is confirmed is false; a question that failed, and what the book itself notices, says nothing of the exchange.
pub(super) fn unwitnessed(standing: &[Discrepancy], looks: &[Witness]) -> Vec<String> {
    let confirmed = standing.iter().filter(|known| known.entry.status == DiscrepancyStatus::Unresolved);
    let mut unwitnessed = Vec::new();
    for known in confirmed {
        let key = &known.entry.key;
        let kind = DiscrepancyKind::from_name(&key.kind).filter(|kind| *kind != DiscrepancyKind::QueryFailed);
        let Some(kind) = kind else { continue };
        let mut said = BTreeMap::<String, usize>::new();
        for word in looks.iter().flat_map(|look| look.says(kind, &key.fingerprint)) {
            *said.entry(word).or_default() += 1;
        }
        if said.values().all(|looks| *looks < 2) {
            unwitnessed.push(format!("{} ({said:?}) {}", key.kind, known.entry.evidence_json));
        }
    }
    unwitnessed
}
