//! What the rows of a file share: settings, and what earlier rows have already said.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use ledger_core::{
    AnyFact, Asset, Fee, Fill, Instrument, Order, OrderClass, OrderId, OrderKey, PositionSide, Side, Source, Statement,
    Symbol,
};

use super::Options;
use super::cell::{Assets, Cell};
use super::error::{RowError, RowProblem};
use super::zone::Zone;
use crate::binance_usdm::instrument_from_symbol;
use crate::income_id::IncomeDigest;

/// How many keys are remembered for certain. Beyond that old ones are forgotten, and what follows from them is stated
/// again, which changes nothing in a book.
const REMEMBERED: usize = 1 << 14;

/// A map of bounded size that forgets its oldest half.
#[derive(Debug, Clone)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V: Copy> Recent<K, V> {
    fn new() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }

    /// The value stored last for `key`, if remembered, which `value` replaces.
    pub(super) fn replace(&mut self, key: K, value: impl FnOnce(Option<V>) -> V) -> Option<V> {
        let earlier = self.young.get(&key).or_else(|| self.old.get(&key)).copied();
        if self.young.len() >= REMEMBERED && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value(earlier));
        earlier
    }
}

/// How far the rows without an id of an export in several parts have been counted. Parts of one export do not overlap: of
/// identical rows of one second the first may end one part and the second begin the next.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The name without the part's number.
    export: String,
    /// The parts that were counted.
    counted: BTreeSet<u32>,
    occurrences: Recent<IncomeDigest, u32>,
}

/// Splits `Export(UTC+3)-part1-of2.csv` into the export's name and the number of the part.
fn part_of(name: &str) -> Option<(String, u32)> {
    let lower = name.to_ascii_lowercase();
    let (before, after) = lower.rsplit_once("-part")?;
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = after.split_at_checked(digits)?;
    Some((format!("{before}-part{rest}"), number.parse().ok().filter(|_| rest.starts_with("-of"))?))
}

/// What parsing a row needs besides the row.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) options: Options,
    /// The zone of the present member's local times.
    pub(super) zone: Option<Zone>,
    /// How often each row without a transaction id has occurred.
    pub(super) occurrences: Recent<IncomeDigest, u32>,
    /// The export that the present member is a part of, with its parts so far.
    export: Option<(String, BTreeSet<u32>)>,
    /// What the reader should know of how the present row was read.
    pub(super) note: Option<&'static str>,
    /// What is wrong with parts of the present row, the rest of which is read.
    pub(super) rejected: Vec<RowError>,
    /// Whether a row has named the exchange account that it is of.
    pub(super) names_owners: bool,
    /// Whether takers' fees stand there below zero, and above.
    taker_fees: (bool, bool),
    instruments: Recent<Symbol, ()>,
    orders: Recent<OrderKey, ()>,
}

impl Context {
    pub(super) fn new(mut options: Options) -> Self {
        let (export, occurrences) = match options.after.take() {
            Some(Parts { export, counted, occurrences }) => (Some((export, counted)), occurrences),
            None => (None, Recent::new()),
        };
        Self {
            options,
            zone: None,
            occurrences,
            export,
            note: None,
            rejected: Vec::new(),
            names_owners: false,
            taker_fees: (false, false),
            instruments: Recent::new(),
            orders: Recent::new(),
        }
    }

    /// Forgets what concerns one member of an archive, or one file, only. Identical rows are counted anew, because files
    /// overlap each other more often than they cut through a second; those of another part of the same export are counted
    /// on.
    pub(super) fn begin_member(&mut self, name: &str) {
        let Some((export, part)) = part_of(name) else {
            self.export = None;
            self.occurrences = Recent::new();
            return;
        };
        let counted = self.export.take().filter(|(known, _)| *known == export).map(|(_, counted)| counted);
        let mut counted = counted.unwrap_or_default();
        if counted.is_empty() || !counted.insert(part) {
            self.occurrences = Recent::new();
            counted = BTreeSet::from([part]);
        }
        self.export = Some((export, counted));
    }

    /// What the next part of the same export needs.
    pub(super) fn parts(&self) -> Option<Parts> {
        let (export, counted) = self.export.clone()?;
        Some(Parts { export, counted, occurrences: self.occurrences.clone() })
    }

    /// Checks that a row belongs to the account whose rows are wanted, which is the first one seen unless stated. `owners` are
    /// the row's cells that name it, where the file has such columns: then each has to name the same. A cell that names nobody
    /// costs its row; two that name different accounts put all rows in doubt.
    pub(super) fn check_account<'a>(
        &mut self,
        mut owners: impl Iterator<Item = Cell<'a>> + Clone,
    ) -> Result<(), RowError> {
        let expected = self.options.uid.as_deref();
        // Exchanges count accounts; what a spreadsheet program makes of a long number would bind the book to nobody.
        let names_one = |cell: &Cell<'_>| {
            !cell.is_blank() && (expected == Some(cell.text) || cell.text.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let mut named = owners.clone().filter(names_one);
        let uid = named.next();
        if let Some(uid) = uid
            && let Some(other) = named.find(|other| other.text != uid.text)
        {
            let (column, found) = (uid.column.to_owned(), super::error::shown(uid.text));
            return Err(other.error(RowProblem::TwoOwners { column, found }));
        }
        if let Some(broken) = owners.find(|cell| !names_one(cell)) {
            let problem = if broken.is_blank() { RowProblem::Missing } else { RowProblem::MangledId };
            return Err(broken.error(problem));
        }
        let Some(uid) = uid else { return Ok(()) };
        self.names_owners = true;
        match expected {
            None => self.options.uid = Some(uid.text.to_owned()),
            Some(expected) if expected != uid.text => {
                return Err(uid.error(RowProblem::OtherAccount { expected: super::error::shown(expected) }));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// A fee, positive = paid. A taker always pays, so the takers' fees show which sign the file gives to a paid fee. The
    /// makers' fees are read with the same sign.
    pub(super) fn fee(&mut self, cell: Cell<'_>, assets: Assets<'_>, maker: Option<bool>) -> Result<Fee, RowError> {
        let (stated, _) = cell.money(assets)?;
        let fee = cell.fee(assets, maker)?;
        match maker {
            Some(false) => {
                self.taker_fees.0 |= stated.is_negative();
                self.taker_fees.1 |= stated.is_positive();
                Ok(fee)
            }
            Some(true) if self.options.charges_are_negative => Ok(Fee { amount: -stated, ..fee }),
            _ => Ok(fee),
        }
    }

    /// Whether what was paid stands there below zero, by all fees of takers that were read.
    pub(super) fn charges_are_negative(&self) -> bool {
        self.taker_fees == (true, false)
    }

    /// Notes the exchange that a row was of: the first one is the book's.
    pub(super) fn note_exchange(&mut self, exchange: Option<String>) {
        if self.options.exchange.is_none() {
            self.options.exchange = exchange;
        }
    }

    /// The asset in which `symbol` settles, as far as its name tells, else the caller's default.
    pub(super) fn settle_asset(&self, symbol: &Symbol) -> Option<Asset> {
        instrument_from_symbol(symbol)
            .map(|instrument| instrument.settle_asset)
            .or_else(|| self.options.settle_asset_default.clone())
    }

    /// The statements of a row that tells a fill: the fill itself and, the first time, its order and its contract.
    pub(super) fn fill_statements(
        &mut self,
        fill: Fill,
        instrument: Option<Instrument>,
        source: Source,
        payload: &Arc<str>,
    ) -> Vec<Statement> {
        let mut statements = Vec::with_capacity(3);
        let (symbol, side, position_side) = (fill.key.symbol.clone(), fill.key.side, fill.position_side);
        let order_id = fill.order_id.clone();
        statements.push(statement(AnyFact::Fill(fill), source, payload));
        if let Some(order_id) = order_id {
            statements.extend(self.order_stub(&symbol, order_id, side, position_side, source, payload));
        }
        statements.extend(self.instrument_statement(&symbol, instrument, source, payload));
        statements
    }

    /// Notes that a row states an order in full, so that its fills need not state it again.
    pub(super) fn order_is_stated(&mut self, key: &OrderKey) {
        self.orders.replace(key.clone(), |_| ());
    }

    fn order_stub(
        &mut self,
        symbol: &Symbol,
        order_id: OrderId,
        side: Side,
        position_side: Option<PositionSide>,
        source: Source,
        payload: &Arc<str>,
    ) -> Option<Statement> {
        let key = OrderKey { symbol: symbol.clone(), class: OrderClass::Regular, order_id };
        if self.orders.replace(key.clone(), |_| ()).is_some() {
            return None;
        }
        let order = Order::known_from_fill(key, side, position_side);
        Some(statement(AnyFact::Order(order), source, payload))
    }

    /// The contract, the first time that its symbol occurs, if the row or the symbol's name tells how it settles. A guess
    /// from the name is marked as one.
    pub(super) fn instrument_statement(
        &mut self,
        symbol: &Symbol,
        instrument: Option<Instrument>,
        source: Source,
        payload: &Arc<str>,
    ) -> Option<Statement> {
        if self.instruments.replace(symbol.clone(), |_| ()).is_some() {
            return None;
        }
        let (instrument, source) = match instrument {
            Some(stated) => (stated, source),
            None => (instrument_from_symbol(symbol)?, Source::Repair),
        };
        Some(statement(AnyFact::Instrument(instrument), source, payload))
    }
}

/// A fact with its source and the row it was read from.
pub(super) fn statement(fact: AnyFact, source: Source, payload: &Arc<str>) -> Statement {
    Statement { fact, source, payload: Some(Arc::clone(payload)) }
}

/// A linear contract of `symbol` that settles in `asset`.
pub(super) fn linear(symbol: &Symbol, asset: Asset) -> Option<Instrument> {
    Instrument::linear(symbol.clone(), asset).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_export_are_told_by_their_names() {
        let export = |name| part_of(name);
        assert_eq!(export("Export Transaction History(UTC+3)-part1-of2.csv").unwrap().1, 1);
        let (one, two) = (export("a-part1-of2.csv").unwrap(), export("A-Part2-of2.csv").unwrap());
        assert_eq!((one.0, one.1, two.1), (two.0, 1, 2));
        assert_ne!(export("a-part1-of2.csv").unwrap().0, export("b-part1-of2.csv").unwrap().0);
        for name in ["transactions.csv", "a-party.csv", "a-part1.csv", "a-part-of2.csv", ""] {
            assert_eq!(export(name), None, "{name}");
        }
    }
}
