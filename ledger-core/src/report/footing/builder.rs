//! Adds up both sides of a footing as they are read.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::contracts::{Compared, Contracts, Entry};
use super::outcome::{Asked, AssetSums};
use super::wallet::MOMENT_MS;
use super::{AssetFooting, Footed, LedgerClass, Stretch};
use crate::amount::{Decimal, MathError};
use crate::certainty::Certainty;
use crate::id::{Asset, FillId, Symbol};
use crate::income::{Income, IncomeKey};
use crate::movement::{Movement, MovementKind, MovementOrigin};
use crate::report::time_span::{SpanOf, Spans};
use crate::round_trip::{AssetTotal, RoundTrip};
use crate::snapshot::BalanceSnapshot;
use crate::time::{EventTime, TimestampMs};
use crate::trip_key::TripKey;

/// How far an entry's time may be from its fill's.
pub(super) const EDGE_MS: i64 = 60_000;

/// What is footed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FootingScope {
    /// The period.
    pub period: Stretch,
    /// One contract only.
    pub symbol: Option<Symbol>,
}

/// What is known of how far the ledger was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerReach {
    /// Entries after it may be missing; `None` where the ledger was never read from an exchange.
    pub reached: Option<TimestampMs>,
    /// Stretches that were not read: from, and until (not included).
    pub unread: Vec<(TimestampMs, TimestampMs)>,
}

/// A movement beside an edge of the period, for entries that name no trade.
#[derive(Debug)]
struct BesideEdge {
    symbol: Symbol,
    asset: Asset,
    kind: MovementKind,
    at: TimestampMs,
    amount: Decimal,
    tolerance: Decimal,
    is_taken: bool,
}

/// A round trip that closed in the period.
#[derive(Debug, Clone, Copy)]
struct Closed {
    at: TimestampMs,
    /// Whether its profit has become unknown: single amounts of it stand as they were, and are in no total.
    is_unknown: bool,
}

/// What a round trip that was open before the period had in all, less what is dated in the period or after.
type Carried = BTreeMap<TripKey, Vec<AssetTotal>>;

/// Foots a period. Feed it in this order: all looks at the wallets; contract by contract the round trips that closed in
/// the period, then the contract's movements from [`movements_since`](Self::movements_since) to a minute after the period;
/// at last the ledger's entries of [`entries_wanted`](Self::entries_wanted), in order of time.
#[derive(Debug)]
pub struct FootingBuilder {
    scope: FootingScope,
    reach: LedgerReach,
    spans: Option<Spans>,
    /// Narrower periods of single assets. Where there are any, nothing else is footed.
    clips: BTreeMap<Asset, Stretch>,
    assets: BTreeMap<Asset, AssetSums>,
    contracts: Contracts,
    /// The round trips of the present contract that closed in the period.
    closed: HashMap<TripKey, Closed>,
    carried: Carried,
    fills_at_edges: HashMap<(Symbol, FillId), TimestampMs>,
    beside_edges: Vec<BesideEdge>,
    /// Entries that movements have and that would be the account's else: what came back of fees, and what liquidations
    /// cost.
    taken: HashSet<IncomeKey>,
    is_pruned: bool,
    has_unreadable: bool,
}

impl FootingBuilder {
    /// Begins. By `span_of`, differences are placed in spans of time; without it, in the whole period.
    pub fn new(scope: FootingScope, reach: LedgerReach, span_of: Option<SpanOf>) -> Self {
        Self {
            scope,
            reach,
            spans: span_of.map(Spans::new),
            clips: BTreeMap::new(),
            assets: BTreeMap::new(),
            contracts: Contracts::default(),
            closed: HashMap::new(),
            carried: Carried::new(),
            fills_at_edges: HashMap::new(),
            beside_edges: Vec::new(),
            taken: HashSet::new(),
            is_pruned: false,
            has_unreadable: false,
        }
    }

    /// Foots these narrower periods only ([`Footed::narrower`]).
    #[must_use]
    pub fn within(mut self, clips: BTreeMap<Asset, Stretch>) -> Self {
        self.clips = clips;
        self
    }

    fn period(&self, asset: &Asset) -> Stretch {
        self.clips.get(asset).copied().unwrap_or(self.scope.period)
    }

    fn is_wanted(&self, asset: &Asset) -> bool {
        self.clips.is_empty() || self.clips.contains_key(asset)
    }

    /// The edges of all periods.
    fn edges(&self) -> impl Iterator<Item = TimestampMs> {
        let periods = self.clips.values().chain([&self.scope.period]);
        periods.flat_map(|period| [period.since, period.until]).flatten()
    }

    fn is_beside_edge(&self, at: TimestampMs) -> bool {
        self.edges().any(|edge| (edge.as_ms() - at.as_ms()).abs() <= EDGE_MS)
    }

    /// Adds a look at a wallet; those of one asset come oldest first. One contract is not in a wallet of its own.
    pub fn add_look(&mut self, look: &BalanceSnapshot) {
        if self.scope.symbol.is_none() {
            self.assets.entry(look.asset.clone()).or_default().track.add_look(look.at, look.wallet);
        }
    }

    /// From when on a contract's movements are wanted; `None`: from the beginning.
    pub fn movements_since(&self) -> Option<TimestampMs> {
        self.scope.period.since.map(|since| since.saturating_add_ms(-EDGE_MS))
    }

    /// Until when a contract's movements are wanted; `None`: to the end.
    pub fn movements_until(&self) -> Option<TimestampMs> {
        self.scope.period.until.map(|until| until.saturating_add_ms(EDGE_MS))
    }

    /// From when (included) until when (not included) ledger entries are wanted: the period, and what lies between its
    /// edges and the looks around it, two on either side: one alone may be outvoted. All looks have to be there.
    pub fn entries_wanted(&mut self) -> Stretch {
        let tracks = || self.assets.values().map(|sums| &sums.track);
        let since = self.scope.period.since.map(|since| {
            let looks = tracks().filter_map(|track| track.judged_since(since));
            looks.chain([since.saturating_add_ms(-EDGE_MS)]).min().unwrap_or(since)
        });
        let until = self.scope.period.until.map(|until| {
            let looks = tracks().filter_map(|track| track.judged_until(until));
            let looks = looks.map(|look| look.saturating_add_ms(MOMENT_MS + 1));
            looks.chain([until.saturating_add_ms(EDGE_MS)]).max().unwrap_or(until)
        });
        if let Some(since) = since {
            self.assets.values_mut().for_each(|sums| sums.track.forget_before(since));
        }
        self.is_pruned = true;
        Stretch { since, until }
    }

    /// Ends one contract and begins another.
    pub fn begin_contract(&mut self) {
        self.closed.clear();
    }

    /// Notes a contract of which the fold knows nothing: the ledger stands in for it.
    pub fn leave_out_contract(&mut self, symbol: Symbol) {
        self.contracts.leave_out(symbol);
    }

    /// Adds a round trip of the present contract that closed in the period.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn add_closed_trip(&mut self, trip: &RoundTrip) -> Result<(), MathError> {
        let Some(closed_at) = trip.closed_at else { return Ok(()) };
        let key = trip.key();
        for total in trip.net()? {
            let period = self.period(&total.asset);
            if !period.contains(closed_at) || !self.is_wanted(&total.asset) {
                continue;
            }
            let amount = total.total.amount()?;
            let sums = self.assets.entry(total.asset.clone()).or_default();
            sums.is_active = true;
            sums.terms.closed = sums.terms.closed.checked_add(amount)?;
            let was_open = |since| trip.opened_at.is_none_or(|opened| opened < since);
            if period.since.is_some_and(was_open) {
                self.carried.entry(key.clone()).or_default().push(total);
            }
        }
        let is_unknown = trip.gross.certainty() == Certainty::Unknown;
        self.closed.insert(key, Closed { at: closed_at, is_unknown });
        Ok(())
    }

    /// Adds a movement of the present contract; movements outside of the period are looked at as far as they matter.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn add_movement(&mut self, symbol: &Symbol, movement: &Movement) -> Result<(), MathError> {
        let asset = &movement.asset;
        if !self.is_wanted(asset) {
            return Ok(());
        }
        let period = self.period(asset);
        self.note_beside_edge(symbol, movement);
        if let (MovementKind::Fee | MovementKind::Clearance, MovementOrigin::Ledger(key)) =
            (movement.kind, &movement.origin)
        {
            self.taken.insert(key.clone());
        }
        let is_after = period.until.is_some_and(|until| movement.at >= until);
        if !is_after && !period.contains(movement.at) {
            return Ok(());
        }
        let closed = movement.trip.as_ref().and_then(|key| self.closed.get(key));
        let closed_in_it = movement.trip.as_ref().filter(|_| closed.is_some_and(|closed| period.contains(closed.at)));
        let is_unknown = closed_in_it.is_some() && closed.is_some_and(|closed| closed.is_unknown);
        let untold;
        let movement = if is_unknown && movement.kind == MovementKind::Realized {
            untold = Movement { amount: None, certainty: Certainty::Unknown, ..movement.clone() };
            &untold
        } else {
            movement
        };
        let sums = self.assets.entry(asset.clone()).or_default();
        let amount = movement.amount.unwrap_or_default();
        if let Some(key) = closed_in_it
            && let Some(carried) = self.carried.get_mut(key)
        {
            // What is left in the end is dated before the period.
            if let Some(left) = carried.iter_mut().find(|left| left.asset == *asset) {
                left.total.add(-amount, Certainty::Known)?;
            }
        }
        if is_after {
            if closed_in_it.is_some() {
                sums.terms.carried_out = sums.terms.carried_out.checked_add(amount)?;
            }
            return Ok(());
        }
        sums.is_active = true;
        sums.last_event_at = sums.last_event_at.max(Some(movement.at));
        if movement.trip.is_none() {
            sums.terms.contracts = sums.terms.contracts.checked_add(amount)?;
        } else if closed_in_it.is_none() {
            sums.terms.open = sums.terms.open.checked_add(amount)?;
        }
        let span = self.spans.as_mut().map(|spans| spans.of(movement.at));
        self.contracts.add_movement(symbol, movement, span)
    }

    fn note_beside_edge(&mut self, symbol: &Symbol, movement: &Movement) {
        let MovementOrigin::Fill(fill) = &movement.origin else { return };
        if !self.is_beside_edge(movement.at) {
            return;
        }
        self.fills_at_edges.insert((symbol.clone(), fill.fill_id.clone()), movement.at);
        if let Some(amount) = movement.amount {
            self.beside_edges.push(BesideEdge {
                symbol: symbol.clone(),
                asset: movement.asset.clone(),
                kind: movement.kind,
                at: movement.at,
                amount,
                tolerance: movement.tolerance,
                is_taken: false,
            });
        }
    }

    /// When an entry counts: at its fill's time, where it has a fill beside an edge of the period.
    fn time_of(&mut self, row: &Income, class: LedgerClass) -> TimestampMs {
        let at = row.time.at;
        let kind = match class {
            LedgerClass::Realized => MovementKind::Realized,
            LedgerClass::Fee => MovementKind::Fee,
            _ => return at,
        };
        let Some(symbol) = row.key.symbol.as_ref().filter(|_| self.is_beside_edge(at)) else { return at };
        if let Some(fill_id) = &row.fill_id {
            return self.fills_at_edges.get(&(symbol.clone(), fill_id.clone())).copied().unwrap_or(at);
        }
        let second = EventTime::seconds(at).at;
        let fill = self.beside_edges.iter_mut().find(|fill| {
            let differs = fill.amount.checked_sub(row.amount).map(Decimal::abs);
            !fill.is_taken
                && fill.kind == kind
                && fill.symbol == *symbol
                && fill.asset == row.key.asset
                && EventTime::seconds(fill.at).at == second
                && differs.is_ok_and(|differs| differs <= fill.tolerance)
        });
        match fill {
            Some(fill) => {
                fill.is_taken = true;
                fill.at
            }
            None => at,
        }
    }

    /// Adds an entry of the ledger. All movements have to be there.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn add_entry(&mut self, row: &Income, class: LedgerClass) -> Result<(), MathError> {
        debug_assert!(self.is_pruned, "looks that no entries lead to say nothing");
        let (asset, amount) = (&row.key.asset, row.amount);
        if !self.is_wanted(asset) {
            return Ok(());
        }
        let class = match class {
            LedgerClass::Kickback | LedgerClass::Clearance if self.taken.contains(&row.key) => LedgerClass::Position,
            // A charge that names a contract is always the contract's.
            LedgerClass::Clearance if row.key.symbol.is_some() && amount.is_negative() => LedgerClass::Position,
            class => class,
        };
        let at = self.time_of(row, class);
        let period = self.period(asset);
        let is_unknown = class == LedgerClass::Unknown;
        let sums = self.assets.entry(asset.clone()).or_default();
        sums.track.add_entry(row.time, amount, is_unknown)?;
        if period.since.is_some_and(|since| at < since) {
            return sums.before.add(amount, is_unknown);
        }
        if !period.contains(at) {
            return Ok(());
        }
        sums.inside.add(amount, is_unknown)?;
        sums.is_active = true;
        sums.last_event_at = sums.last_event_at.max(Some(at));
        let terms = &mut sums.terms;
        let term = match class {
            LedgerClass::Position if row.key.symbol.is_none() => &mut terms.account,
            LedgerClass::Realized | LedgerClass::Fee | LedgerClass::Position => {
                let span = self.spans.as_mut().map(|spans| spans.of(at));
                let (symbol, fill_id) = (row.key.symbol.as_ref(), row.fill_id.as_ref());
                if !self.contracts.add_entry(Entry { asset, symbol, fill_id, class, amount }, span)? {
                    return Ok(());
                }
                &mut terms.stand_in
            }
            LedgerClass::Contract => &mut terms.contracts,
            LedgerClass::Kickback | LedgerClass::Account => &mut terms.account,
            LedgerClass::Clearance => &mut terms.liquidations,
            LedgerClass::Conversion => &mut terms.conversions,
            LedgerClass::Transfer => &mut terms.transfers,
            LedgerClass::Unknown => {
                let unknown = terms.unknown.entry(row.key.income_type.clone()).or_default();
                unknown.row_count += 1;
                &mut unknown.amount
            }
        };
        *term = term.checked_add(amount)?;
        Ok(())
    }

    /// Notes a row of the book that cannot be read.
    pub fn leave_out_row(&mut self) {
        self.has_unreadable = true;
    }

    /// The round trips that closed in the period and had been opened before it, with what of their money is dated before
    /// it. All movements have to be there.
    pub fn carried_in(&self) -> &BTreeMap<TripKey, Vec<AssetTotal>> {
        &self.carried
    }

    /// The result.
    ///
    /// # Errors
    /// [`MathError`] when a sum does not fit.
    pub fn finish(mut self) -> Result<Footed, MathError> {
        for total in self.carried.values().flatten() {
            let sums = self.assets.entry(total.asset.clone()).or_default();
            sums.terms.carried_in = sums.terms.carried_in.checked_add(total.total.amount()?)?;
        }
        let mut footed = Footed { assets: Vec::new(), narrower: BTreeMap::new() };
        for (asset, mut sums) in std::mem::take(&mut self.assets) {
            if !self.is_wanted(&asset) {
                continue;
            }
            sums.track.finish();
            let Compared { stand_in, rounding, rounding_max, parts, contradicted } = self.contracts.compare(&asset)?;
            sums.terms.stand_in = sums.terms.stand_in.checked_add(stand_in)?;
            (sums.terms.rounding, sums.terms.rounding_max) = (rounding, rounding_max);
            let asked = Asked {
                period: self.period(&asset),
                of_contract: self.scope.symbol.is_some(),
                reach: &self.reach,
                has_unreadable: self.has_unreadable,
            };
            let Some((footing, narrower)) = asked.foot(asset, sums, parts)? else { continue };
            let footing = AssetFooting { contradicted, ..footing };
            if let Some(narrower) = narrower.filter(|_| self.clips.is_empty()) {
                footed.narrower.insert(footing.asset.clone(), narrower);
            }
            footed.assets.push(footing);
        }
        Ok(footed)
    }
}
