//! What the book has of the time before everything that the exchange remembers.

use std::collections::BTreeMap;

use ledger_core::{Anchor, Decimal, Fill, KnownBefore, PositionSide, PositionSnapshot, Sourced, Symbol, TimestampMs};
use ledger_store::{FillFilter, PageRequest, Scope};

use super::{BOOK_PAGE_ROWS, BookReader};
use crate::error::{Doing, ReconcileError};
use crate::observe::book_view::{Beginning, BookView};

/// Fills before a stated position are read up to this many.
const BEFORE_ANCHOR_MAX: u32 = 10_000;

impl BookReader<'_> {
    /// The beginning of a symbol of which the exchange remembers what comes after `since`.
    pub(in crate::observe) async fn beginning(
        &self,
        symbol: &Symbol,
        since: TimestampMs,
        anchors: &[Sourced<Anchor>],
    ) -> Result<Beginning, ReconcileError> {
        let known = self.known_before(symbol, since).await?;
        let said = self.said_of(symbol, since).await?;
        let anchors = anchors.iter().map(|known| &known.fact).filter(|anchor| anchor.withdrawn.is_none());
        let anchors: Vec<&Anchor> = anchors.filter(|anchor| anchor.symbol == *symbol).collect();
        let mut before_anchors = BTreeMap::new();
        for anchor in &anchors {
            let same = anchors.iter().filter(|other| other.position_side == anchor.position_side);
            let earlier = same.map(|other| other.at).filter(|at| *at < anchor.at).max();
            let Some(fills) = self.fills_before(anchor).await? else { continue };
            let since = |fill: &&Sourced<Fill>| earlier.is_none_or(|earlier| fill.fact.time.at >= earlier);
            let mut signed = fills.iter().filter(since).map(|fill| fill.fact.signed_qty());
            let sum = signed.try_fold(Decimal::ZERO, |sum: Decimal, qty| sum.checked_add(qty).ok());
            before_anchors.extend(sum.map(|sum| ((anchor.position_side, anchor.at), sum)));
        }
        Ok(Beginning { known, said, before_anchors })
    }

    /// What the exchange said of a symbol's positions, as far as it is on record: the first of it, oldest first.
    async fn said_of(&self, symbol: &Symbol, since: TimestampMs) -> Result<Vec<PositionSnapshot>, ReconcileError> {
        let scope = Scope { since: Some(since), ..Scope::symbol(self.account.clone(), symbol.clone()) };
        let page = self.book.position_snapshots(&scope, PageRequest::first(BOOK_PAGE_ROWS)).await;
        let page = page.doing("reading the position snapshots")?;
        Ok(page.items.into_iter().map(|said| said.fact).collect())
    }

    /// The fills of a position before it is stated, in fold order; `None` where they are many.
    async fn fills_before(&self, anchor: &Anchor) -> Result<Option<Vec<Sourced<Fill>>>, ReconcileError> {
        let scope = Scope { until: Some(anchor.at), ..Scope::symbol(self.account.clone(), anchor.symbol.clone()) };
        let page = self.book.fills(&FillFilter::from(scope), PageRequest::first(BEFORE_ANCHOR_MAX)).await;
        let page = page.doing("reading the fills")?;
        let of_side =
            |fill: &Sourced<Fill>| fill.fact.position_side.unwrap_or(PositionSide::Net) == anchor.position_side;
        let mut ours: Vec<_> = page.items.into_iter().filter(of_side).collect();
        ours.sort_by_cached_key(|fill| fill.fact.fold_key());
        Ok(page.next.is_none().then_some(ours))
    }

    /// The fills before each stated position of which the book has learned something since it was stated; of a history
    /// that is long by itself, nothing is said.
    pub(in crate::observe) async fn read_before_anchors(&self, view: &mut BookView) -> Result<(), ReconcileError> {
        let stated = view.anchors.iter().map(|anchor| &anchor.fact).filter(|anchor| anchor.withdrawn.is_none());
        for anchor in stated {
            let scope = Scope { until: Some(anchor.at), ..Scope::symbol(self.account.clone(), anchor.symbol.clone()) };
            let before = FillFilter { may_be_of: Some(anchor.position_side), ..FillFilter::from(scope) };
            let count = self.book.fill_count(&before).await.doing("counting the fills")?;
            let known_count = anchor.known_before.map_or(0, |known| known.fill_count);
            if count == known_count || count > u64::from(BEFORE_ANCHOR_MAX) {
                continue;
            }
            if let Some(fills) = self.fills_before(anchor).await?.filter(|fills| !fills.is_empty()) {
                view.before_anchors.insert((anchor.symbol.clone(), anchor.position_side, anchor.at), fills);
            }
        }
        Ok(())
    }

    /// What the book has of a symbol before an instant: of each position how many fills, and the last one. A fill that
    /// nothing places counts for all; where the last of a position lies far behind, it is taken for nearer than it is.
    async fn known_before(
        &self,
        symbol: &Symbol,
        before: TimestampMs,
    ) -> Result<BTreeMap<PositionSide, KnownBefore>, ReconcileError> {
        let scope = Scope { until: Some(before), ..Scope::symbol(self.account.clone(), symbol.clone()) };
        let filter = FillFilter::from(scope);
        let page = self.book.fills(&filter, PageRequest::newest(BOOK_PAGE_ROWS)).await;
        let page = page.doing("reading the fills")?;
        let fills = || page.items.iter().map(|fill| &fill.fact);
        let mut known = BTreeMap::new();
        for side in [PositionSide::Net, PositionSide::Long, PositionSide::Short] {
            let ours = || fills().filter(|fill| fill.position_side.is_none_or(|of| of == side));
            let unread = page.next.as_ref().and_then(|_| fills().next_back());
            let Some(until) = ours().next().or(unread).map(|fill| fill.time.latest()) else { continue };
            let fill_count = match page.next {
                Some(_) => {
                    let ours = FillFilter { may_be_of: Some(side), ..filter.clone() };
                    self.book.fill_count(&ours).await.doing("counting the fills")?
                }
                None => u64::try_from(ours().count()).unwrap_or(u64::MAX),
            };
            known.insert(side, KnownBefore { until, fill_count });
        }
        Ok(known)
    }
}
