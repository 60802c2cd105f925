//! What the ledger says of contracts, against what their fills say.
//!
//! Entries are compared in sums per contract and asset, because exports name no trade. Realized profit may differ by what
//! the exchange's rounding explains; fees, funding and clearance may not differ at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{LedgerClass, Stretch, Unexplained, UnexplainedPlace};
use crate::amount::{Decimal, MathError};
use crate::fill::FillKey;
use crate::id::{Asset, FillId, Symbol};
use crate::movement::{Movement, MovementKind, MovementOrigin};
use crate::report::time_span::TimeSpan;

/// Both sides of one kind of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sides {
    entries: Decimal,
    fold: Decimal,
}

impl Sides {
    fn difference(self) -> Result<Decimal, MathError> {
        self.entries.checked_sub(self.fold)
    }

    fn merge(&mut self, other: Self) -> Result<(), MathError> {
        self.entries = self.entries.checked_add(other.entries)?;
        self.fold = self.fold.checked_add(other.fold)?;
        Ok(())
    }
}

/// A contract's money in one asset.
#[derive(Debug, Clone, Copy, Default)]
struct Money {
    realized: Sides,
    tolerance: Decimal,
    fees: Sides,
    position: Sides,
}

impl Money {
    fn merge(&mut self, other: Self) -> Result<(), MathError> {
        self.realized.merge(other.realized)?;
        self.tolerance = self.tolerance.checked_add(other.tolerance)?;
        self.fees.merge(other.fees)?;
        self.position.merge(other.position)
    }
}

/// Fills of which the fold does not know an amount. Their entries stand in for it.
#[derive(Debug, Default)]
struct Missing {
    /// Whether the entry of each was found.
    fills: HashMap<FillId, bool>,
    /// Some of which no trade id leads to an entry.
    has_others: bool,
}

impl Missing {
    fn add(&mut self, origin: &MovementOrigin) {
        match origin {
            MovementOrigin::Fill(key) => drop(self.fills.entry(key.fill_id.clone()).or_default()),
            _ => self.has_others = true,
        }
    }

    /// Whether an entry stands in for one of them.
    fn finds(&mut self, fill_id: &FillId) -> bool {
        match self.fills.get_mut(fill_id) {
            Some(is_found) => {
                *is_found = true;
                true
            }
            None => false,
        }
    }

    /// Whether some of them have no entry of their own: whatever the ledger has beside the fold stands in for them.
    fn is_left(&self) -> bool {
        self.has_others || self.fills.values().any(|is_found| !is_found)
    }
}

/// How many entries and how many fills of a contract have money of one kind, in whatever asset. Where they are as many,
/// nothing is missing on either side.
#[derive(Debug, Default)]
struct Counts {
    entries: u64,
    fills: u64,
    /// A fill that turns a position around has two parts.
    last_fill: Option<FillKey>,
}

impl Counts {
    fn add_fill(&mut self, origin: &MovementOrigin, amount: Decimal) {
        let MovementOrigin::Fill(key) = origin else { return };
        if !amount.is_zero() && self.last_fill.as_ref() != Some(key) {
            self.fills += 1;
            self.last_fill = Some(key.clone());
        }
    }

    fn are_even(&self) -> bool {
        self.entries == self.fills
    }
}

/// Both kinds of money that every fill may have an entry of.
#[derive(Debug, Default)]
struct Traded {
    realized: Counts,
    fees: Counts,
}

/// Fills of a contract of which the fold does not know an amount.
#[derive(Debug, Default)]
struct Untold {
    realized: Missing,
    fees: Missing,
}

/// An entry of the ledger that a fill or a position has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) asset: &'a Asset,
    pub(super) symbol: Option<&'a Symbol>,
    pub(super) fill_id: Option<&'a FillId>,
    pub(super) class: LedgerClass,
    pub(super) amount: Decimal,
}

/// Money of a contract in one asset, by span of time.
type MoneyBySpan = BTreeMap<Stretch, Money>;

/// All contracts' money.
#[derive(Debug, Default)]
pub(super) struct Contracts {
    money: BTreeMap<(Asset, Symbol), MoneyBySpan>,
    /// Entries that should name a contract and do not, by asset.
    unnamed: BTreeMap<Asset, Money>,
    untold: BTreeMap<Symbol, Untold>,
    traded: BTreeMap<Symbol, Traded>,
    /// Contracts that cannot be folded: the ledger stands in for all of their fills.
    unfolded: BTreeSet<Symbol>,
}

/// What came of comparing, in one asset.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) stand_in: Decimal,
    pub(super) rounding: Decimal,
    pub(super) rounding_max: Decimal,
    pub(super) parts: Vec<Unexplained>,
    /// When fills and as many entries say something else, which no missing row excuses.
    pub(super) contradicted: Vec<Stretch>,
}

fn add(to: &mut Decimal, amount: Decimal) -> Result<(), MathError> {
    *to = to.checked_add(amount)?;
    Ok(())
}

fn stretch(span: Option<&TimeSpan>) -> Stretch {
    span.map_or_else(Stretch::default, |span| Stretch { since: Some(span.since), until: Some(span.until) })
}

impl Contracts {
    pub(super) fn leave_out(&mut self, symbol: Symbol) {
        self.unfolded.insert(symbol);
    }

    /// Adds what the fold says.
    pub(super) fn add_movement(
        &mut self,
        symbol: &Symbol,
        movement: &Movement,
        span: Option<&TimeSpan>,
    ) -> Result<(), MathError> {
        let Some(amount) = movement.amount else {
            let untold = self.untold.entry(symbol.clone()).or_default();
            match movement.kind {
                MovementKind::Realized => untold.realized.add(&movement.origin),
                MovementKind::Fee => untold.fees.add(&movement.origin),
                MovementKind::Funding | MovementKind::Clearance => {}
            }
            return Ok(());
        };
        let traded = self.traded.entry(symbol.clone()).or_default();
        match movement.kind {
            MovementKind::Realized => traded.realized.add_fill(&movement.origin, amount),
            MovementKind::Fee => traded.fees.add_fill(&movement.origin, amount),
            MovementKind::Funding | MovementKind::Clearance => {}
        }
        let spans = self.money.entry((movement.asset.clone(), symbol.clone())).or_default();
        let money = spans.entry(stretch(span)).or_default();
        match (&movement.origin, movement.kind) {
            (MovementOrigin::Ledger(_), _) | (_, MovementKind::Funding | MovementKind::Clearance) => {
                add(&mut money.position.fold, amount)
            }
            (_, MovementKind::Realized) => {
                add(&mut money.tolerance, movement.tolerance)?;
                add(&mut money.realized.fold, amount)
            }
            (_, MovementKind::Fee) => add(&mut money.fees.fold, amount),
        }
    }

    /// Adds an entry, and answers whether it stands in for what the fold does not know.
    pub(super) fn add_entry(&mut self, entry: Entry<'_>, span: Option<&TimeSpan>) -> Result<bool, MathError> {
        let Entry { asset, symbol, fill_id, class, amount } = entry;
        let Some(symbol) = symbol else {
            let money = self.unnamed.entry(asset.clone()).or_default();
            let sides = if class == LedgerClass::Fee { &mut money.fees } else { &mut money.realized };
            add(&mut sides.entries, amount)?;
            return Ok(false);
        };
        if self.unfolded.contains(symbol) {
            return Ok(true);
        }
        if let (Some(untold), Some(fill_id)) = (self.untold.get_mut(symbol), fill_id) {
            let stands_in = match class {
                LedgerClass::Realized => untold.realized.finds(fill_id),
                LedgerClass::Fee => untold.fees.finds(fill_id),
                _ => false,
            };
            if stands_in {
                return Ok(true);
            }
        }
        let spans = self.money.entry((asset.clone(), symbol.clone())).or_default();
        let money = spans.entry(stretch(span)).or_default();
        let traded = self.traded.entry(symbol.clone()).or_default();
        match class {
            LedgerClass::Realized if !amount.is_zero() => traded.realized.entries += 1,
            LedgerClass::Fee if !amount.is_zero() => traded.fees.entries += 1,
            _ => {}
        }
        let sides = match class {
            LedgerClass::Realized => &mut money.realized,
            LedgerClass::Fee => &mut money.fees,
            _ => &mut money.position,
        };
        add(&mut sides.entries, amount)?;
        Ok(false)
    }

    /// Holds both sides against each other, in one asset.
    pub(super) fn compare(&self, asset: &Asset) -> Result<Compared, MathError> {
        let mut compared = Compared::default();
        let mut realized_parts = Vec::new();
        let mut realized_left = self.unnamed.get(asset).map_or(Decimal::ZERO, |money| money.realized.entries);
        let mut fee_parts = Vec::new();
        let mut fees_left = self.unnamed.get(asset).map_or(Decimal::ZERO, |money| money.fees.entries);
        for ((_, symbol), spans) in self.money.iter().filter(|((of, _), _)| of == asset) {
            let mut whole = Money::default();
            spans.values().try_for_each(|money| whole.merge(*money))?;
            let untold = self.untold.get(symbol);
            let is_even = |of: fn(&Traded) -> &Counts| self.traded.get(symbol).is_some_and(|it| of(it).are_even());
            add(&mut compared.rounding_max, whole.tolerance)?;
            let (mut realized, mut position) = (whole.realized.difference()?, whole.position.difference()?);
            // The entry of a settlement is the profit of fills that have no entry of their own.
            let settled = realized.checked_add(position)?;
            if realized.abs() > whole.tolerance && settled.abs() <= whole.tolerance {
                add(&mut compared.rounding, settled)?;
                (realized, position) = (Decimal::ZERO, Decimal::ZERO);
            }
            if untold.is_some_and(|untold| untold.realized.is_left()) {
                add(&mut compared.stand_in, realized)?;
            } else if realized.abs() <= whole.tolerance {
                add(&mut compared.rounding, realized)?;
            } else {
                add(&mut realized_left, realized)?;
                let stretches = stretches(spans, |money| Ok(money.realized.difference()?.abs() > money.tolerance))?;
                if is_even(|traded| &traded.realized) {
                    compared.contradicted.extend(&stretches);
                }
                let place = UnexplainedPlace::Realized(symbol.clone());
                realized_parts.push(Unexplained { place, amount: realized, stretches });
            }
            let fees = whole.fees.difference()?;
            if untold.is_some_and(|untold| untold.fees.is_left()) {
                add(&mut compared.stand_in, fees)?;
            } else if !fees.is_zero() {
                add(&mut fees_left, fees)?;
                let stretches = stretches(spans, |money| Ok(!money.fees.difference()?.is_zero()))?;
                if is_even(|traded| &traded.fees) {
                    compared.contradicted.extend(&stretches);
                }
                fee_parts.push(Unexplained { place: UnexplainedPlace::Fees(symbol.clone()), amount: fees, stretches });
            }
            if !position.is_zero() {
                let stretches = stretches(spans, |money| Ok(!money.position.difference()?.is_zero()))?;
                let place = UnexplainedPlace::Position(symbol.clone());
                compared.parts.push(Unexplained { place, amount: position, stretches });
            }
        }
        // Entries that name no contract may be those that contracts lack.
        if realized_left.abs() <= compared.rounding_max {
            add(&mut compared.rounding, realized_left)?;
        } else {
            compared.parts.extend(realized_parts);
        }
        if !fees_left.is_zero() {
            compared.parts.extend(fee_parts);
        }
        Ok(compared)
    }
}

fn stretches(
    spans: &MoneyBySpan,
    differs: impl Fn(&Money) -> Result<bool, MathError>,
) -> Result<Vec<Stretch>, MathError> {
    let mut stretches = Vec::new();
    for (stretch, money) in spans {
        if differs(money)? {
            stretches.push(*stretch);
        }
    }
    Ok(stretches)
}
