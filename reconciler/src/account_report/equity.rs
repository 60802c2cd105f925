//! What open positions would bring at the ends of a report's period.
//!
//! At an end, a position is what the fills say where none came later, else what the exchange stated before it with no
//! fill in between. It counts at the last mark price on record, which may be a minute old. The last look asks for prices after
//! wallets, so that its own mark, which need not be a fact, may be as much younger.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::footing::{AssetFooting, Equity, Unrealized};
use ledger_core::{
    Asset, Certainty, Decimal, Instrument, LookStream, MathError, Position, PositionSide, Price, PriceKind, Symbol,
    TimestampMs,
};
use ledger_store::{BookPosition, FillFilter, PageRequest, Pages, Scope, TripFilter};

use super::{PAGE_ROWS, Reading};
use crate::error::{Doing, ReconcileError};

/// How old a mark price may be.
const MARK_AGE_MS_MAX: i64 = 60_000;
/// The digits after the point that the exchange states unrealized profit with.
const UNREALIZED_SCALE: u8 = 8;

/// A contract and one of its positions.
type Held = (Symbol, PositionSide);

/// What was open at an instant, by the asset that it settles in.
type Open = BTreeMap<Asset, Unrealized>;

/// An end of a period.
#[derive(Clone, Copy)]
enum End {
    /// An instant that somebody asked for.
    At(TimestampMs),
    /// The last look.
    Look(TimestampMs),
}

impl End {
    fn at(self) -> TimestampMs {
        match self {
            Self::At(at) | Self::Look(at) => at,
        }
    }

    /// Before when its mark prices are.
    fn marked_until(self) -> TimestampMs {
        match self {
            Self::At(at) => at,
            Self::Look(at) => at.saturating_add_ms(MARK_AGE_MS_MAX),
        }
    }
}

impl Reading<'_> {
    /// Adds to each footing that has a wallet at both ends what the account was worth there.
    pub(super) async fn value(&self, footings: &mut [AssetFooting]) -> Result<(), ReconcileError> {
        if self.request.symbol.is_some() {
            return Ok(());
        }
        // The last look states the wallet after what happened at its instant.
        let last_look = self.looks.iter().map(|look| look.at.saturating_add_ms(1)).max();
        let Some(until) = self.request.until.map(End::At).or(last_look.map(End::Look)) else { return Ok(()) };
        let before = match self.request.since {
            Some(since) => self.open_at(End::At(since)).await?,
            None => self.open_before_history().await?,
        };
        let after = self.open_at(until).await?;
        let of = |open: &Open, asset: &Asset| open.get(asset).cloned().unwrap_or_default();
        for footing in footings {
            if let (Some(wallet_before), Some(wallet_after)) = (footing.before, footing.after) {
                let (before, after) = (of(&before, &footing.asset), of(&after, &footing.asset));
                footing.equity = Some(Equity { wallet_before, wallet_after, before, after });
            }
        }
        Ok(())
    }

    /// What was open before everything that is on record: nothing, except where the book begins with an open position.
    async fn open_before_history(&self) -> Result<Open, ReconcileError> {
        let mut open = Open::new();
        let positions = self.positions().await?;
        let mut begun_open = BTreeSet::new();
        let scope = Scope::account(self.request.account.clone());
        let mut pages =
            Pages::of(PageRequest::first(PAGE_ROWS).past_unreadable(), |page| self.store.anchors(&scope, page));
        while let Some(read) = pages.next().await.doing("reading the stated positions")? {
            let stated = read.items.into_iter().map(|anchor| anchor.fact);
            begun_open.extend(stated.filter(|it| it.withdrawn.is_none() && !it.qty.is_zero()).map(|it| it.symbol));
        }
        for held in positions.iter().filter(|held| begun_open.contains(&held.symbol)) {
            open.entry(held.settle_asset.clone()).or_default().leave_out(held.symbol.clone());
        }
        Ok(open)
    }

    async fn positions(&self) -> Result<Vec<BookPosition>, ReconcileError> {
        self.store.positions(&self.request.account).await.doing("reading the positions")
    }

    /// What was open just before an instant.
    async fn open_at(&self, end: End) -> Result<Open, ReconcileError> {
        let at = end.at();
        let mut open = Open::new();
        let crossing = self.crossing(at).await?;
        for held in self.positions().await? {
            let key = (held.symbol.clone(), held.position.position_side);
            let has_later = self.has_fills(&held.symbol, Some(at), None).await?;
            if if has_later { !crossing.contains(&key) } else { is_surely_flat(&held) } {
                continue;
            }
            let unrealized = open.entry(held.settle_asset.clone()).or_default();
            match self.unrealized(&held, end, has_later).await? {
                Some((amount, certainty, marked_at)) => unrealized.add(amount, certainty, marked_at)?,
                None => unrealized.leave_out(held.symbol.clone()),
            }
        }
        Ok(open)
    }

    /// The positions with a round trip that was open just before an instant, and ended after it or has not.
    async fn crossing(&self, at: TimestampMs) -> Result<BTreeSet<Held>, ReconcileError> {
        let mut crossing = BTreeSet::new();
        let open = self.store.open_trips(&self.request.account).await.doing("reading the open round trips")?;
        let is_opened = |opened_at: Option<TimestampMs>| opened_at.is_none_or(|opened| opened < at);
        crossing.extend(
            open.into_iter().filter(|trip| is_opened(trip.opened_at)).map(|trip| (trip.symbol, trip.position_side)),
        );
        let scope = Scope { since: Some(at), ..Scope::account(self.request.account.clone()) };
        let filter = TripFilter { scope, engine: None, position_side: None };
        let mut pages =
            Pages::of(PageRequest::first(PAGE_ROWS).past_unreadable(), |page| self.store.trips(&filter, page));
        while let Some(read) = pages.next().await.doing("reading the round trips")? {
            let trips = read.items.into_iter().filter(|trip| is_opened(trip.opened_at));
            crossing.extend(trips.map(|trip| (trip.symbol, trip.position_side)));
        }
        Ok(crossing)
    }

    async fn has_fills(
        &self,
        symbol: &Symbol,
        since: Option<TimestampMs>,
        until: Option<TimestampMs>,
    ) -> Result<bool, ReconcileError> {
        let scope = Scope { since, until, ..Scope::symbol(self.request.account.clone(), symbol.clone()) };
        Ok(self.store.fill_count(&FillFilter::from(scope)).await.doing("counting fills")? > 0)
    }

    /// What closing a position would have realized just before an instant, how sure that is, and of when the mark price is.
    async fn unrealized(
        &self,
        held: &BookPosition,
        end: End,
        has_later: bool,
    ) -> Result<Option<(Decimal, Certainty, TimestampMs)>, ReconcileError> {
        let instrument =
            self.store.instrument(&self.request.account, &held.symbol).await.doing("reading a contract")?;
        let Some(instrument) = instrument else { return Ok(None) };
        let Some((mark, marked_at)) = self.mark(&held.symbol, end).await? else { return Ok(None) };
        let amount = if has_later {
            let stated = self.stated(held, end.at()).await?;
            stated.map(|(qty, entry)| stated_unrealized(&instrument.fact, qty, entry, mark)).transpose()?
        } else {
            held.position.position.map(|open| closed_at(&open, &instrument.fact, mark)).transpose()?
        };
        let certainty = if has_later { Certainty::Known } else { held.position.certainty };
        Ok(amount.map(|amount| (amount, certainty, marked_at)))
    }

    /// The mark price of just before an end; at a look that has none, the first one after it.
    async fn mark(&self, symbol: &Symbol, end: End) -> Result<Option<(Price, TimestampMs)>, ReconcileError> {
        let (at, until) = (end.at(), end.marked_until());
        let since = at.saturating_add_ms(-MARK_AGE_MS_MAX);
        let account = &self.request.account;
        let scope = Scope { since: Some(since), until: Some(until), ..Scope::symbol(account.clone(), symbol.clone()) };
        let page = PageRequest::first(PAGE_ROWS).past_unreadable();
        let read = self.store.price_snapshots(&scope, page).await.doing("reading the mark prices")?;
        let marks = read.items.into_iter().map(|price| price.fact).filter(|price| price.kind == PriceKind::Mark);
        let mut marks: Vec<_> = marks.map(|price| (price.price, price.at)).collect();
        let looks = self.store.looks(account).await.doing("reading the looks")?;
        let seen = looks.into_iter().filter(|look| look.stream == LookStream::Prices);
        let seen = seen.filter_map(|look| look.success?.seen.marks.remove(symbol));
        marks.extend(seen.map(|mark| (mark.mark_price, mark.ts)).filter(|(_, ts)| *ts >= since && *ts < until));
        let before = marks.iter().filter(|(_, ts)| *ts < at).max_by_key(|(_, ts)| *ts);
        Ok(before.or_else(|| marks.iter().min_by_key(|(_, ts)| *ts)).copied())
    }

    /// What the exchange stated last before an instant, where no fill came between.
    async fn stated(&self, held: &BookPosition, at: TimestampMs) -> Result<Option<(Decimal, Price)>, ReconcileError> {
        let scope = Scope { until: Some(at), ..Scope::symbol(self.request.account.clone(), held.symbol.clone()) };
        let mut pages = Pages::of(PageRequest::newest(PAGE_ROWS).past_unreadable(), |page| {
            self.store.position_snapshots(&scope, page)
        });
        while let Some(read) = pages.next().await.doing("reading the stated positions")? {
            let mut own = read.items.into_iter().map(|it| it.fact);
            if let Some(last) = own.find(|it| it.position_side == held.position.position_side) {
                let is_overtaken = self.has_fills(&held.symbol, Some(last.at), Some(at)).await?;
                return Ok(last.entry_price.filter(|_| !is_overtaken).map(|entry| (last.qty, entry)));
            }
        }
        Ok(None)
    }
}

fn is_surely_flat(held: &BookPosition) -> bool {
    held.position.qty.is_zero() && held.position.certainty != Certainty::Unknown
}

fn closed_at(open: &Position, instrument: &Instrument, mark: Price) -> Result<Decimal, MathError> {
    Ok(open.unrealized(instrument.into(), mark)?.to_decimal()?.round(UNREALIZED_SCALE))
}

fn stated_unrealized(instrument: &Instrument, qty: Decimal, entry: Price, mark: Price) -> Result<Decimal, MathError> {
    closed_at(&Position::stated(instrument.into(), qty, entry)?, instrument, mark)
}
