//! Round trips and single amounts, contract by contract.

use std::collections::{BTreeSet, HashMap};

use ledger_core::footing::FootingBuilder;
use ledger_core::{Asset, AssetPrices, Certainty, Decimal, ReportBuilder, RoundTrip, Symbol, TimestampMs, TripKey};
use ledger_store::{PageRequest, Pages, Scope, StoreError, TripFilter};

use super::{PAGE_ROWS, Reading, TripParts};
use crate::error::{Doing, ReconcileError};

/// The round trips of a contract that have money in assets that they do not settle in.
#[derive(Default)]
struct Mixed {
    /// Their settle assets.
    trips: HashMap<TripKey, Asset>,
    /// Since when amounts of them are needed; `None` inside: from the beginning.
    #[expect(clippy::option_option, reason = "not needed is not the same as needed from the beginning")]
    since: Option<Option<TimestampMs>>,
}

impl Mixed {
    fn add(&mut self, trip: &RoundTrip) {
        self.trips.insert(trip.key(), trip.settle_asset.clone());
        self.since = Some(match self.since {
            None => trip.opened_at,
            Some(since) => since.zip(trip.opened_at).map(|(since, opened)| since.min(opened)),
        });
    }
}

impl Reading<'_> {
    /// Adds what the fills say to the footing and, in a first pass, to the report.
    pub(super) async fn read_contracts(
        &mut self,
        footing: &mut FootingBuilder,
        mut builder: Option<&mut ReportBuilder>,
    ) -> Result<TripParts, ReconcileError> {
        let mut parts = TripParts::default();
        for symbol in self.symbols.clone() {
            footing.begin_contract();
            let mixed = self.read_closed(&symbol, footing, builder.is_some(), &mut parts).await?;
            self.read_movements(&symbol, footing, builder.as_deref_mut(), &mixed, &mut parts).await?;
        }
        Ok(parts)
    }

    /// Adds the contract's round trips that closed in the period.
    async fn read_closed(
        &self,
        symbol: &Symbol,
        footing: &mut FootingBuilder,
        is_valued: bool,
        parts: &mut TripParts,
    ) -> Result<Mixed, ReconcileError> {
        let mut mixed = Mixed::default();
        let mut pairs = BTreeSet::new();
        let scope = Scope { symbol: Some(symbol.clone()), ..self.request.scope() };
        let filter = TripFilter { scope, engine: None, position_side: None };
        let mut pages =
            Pages::of(PageRequest::first(PAGE_ROWS).past_unreadable(), |page| self.store.trips(&filter, page));
        while let Some(read) = pages.next().await.doing("reading the round trips")? {
            for trip in &read.items {
                footing.add_closed_trip(trip)?;
                let others = trip.net()?.into_iter().filter(|total| total.asset != trip.settle_asset);
                let others = others.filter(|total| {
                    total.total.certainty() == Certainty::Unknown || total.total.told() != Some(Decimal::default())
                });
                let others: Vec<_> = others.map(|total| (total.asset, trip.settle_asset.clone())).collect();
                if is_valued && !others.is_empty() {
                    mixed.add(trip);
                    pairs.extend(others);
                }
            }
        }
        for (asset, settle_asset) in pairs {
            self.read_prices(&asset, &settle_asset, &mut parts.prices).await?;
        }
        Ok(mixed)
    }

    /// Reads all prices of an asset in another, or in a third one that both are priced in, unless they are there.
    async fn read_prices(
        &self,
        asset: &Asset,
        settle_asset: &Asset,
        prices: &mut AssetPrices,
    ) -> Result<(), ReconcileError> {
        let pairs = AssetPrices::pair(asset, settle_asset).into_iter();
        let crosses = AssetPrices::crosses(asset, settle_asset).flatten();
        for pair in pairs.chain(crosses).collect::<BTreeSet<_>>() {
            if !prices.has(&pair) {
                self.read_prices_of(pair, prices).await?;
            }
        }
        Ok(())
    }

    /// Reads all prices of a contract.
    async fn read_prices_of(&self, pair: Symbol, prices: &mut AssetPrices) -> Result<(), ReconcileError> {
        let scope = Scope::symbol(self.request.account.clone(), pair);
        let mut pages = Pages::of(PageRequest::first(PAGE_ROWS), |page| self.store.price_snapshots(&scope, page));
        while let Some(read) = pages.next().await.doing("reading the prices")? {
            read.items.iter().for_each(|price| prices.add(&price.fact));
        }
        Ok(())
    }

    /// Adds the contract's single amounts.
    async fn read_movements(
        &mut self,
        symbol: &Symbol,
        footing: &mut FootingBuilder,
        mut builder: Option<&mut ReportBuilder>,
        mixed: &Mixed,
        parts: &mut TripParts,
    ) -> Result<(), ReconcileError> {
        let period = self.request.period();
        let since = footing.movements_since();
        let since = mixed.since.map_or(since, |mixed| mixed.zip(since).map(|(mixed, since)| mixed.min(since)));
        let until = footing.movements_until();
        let (store, account) = (self.store, &self.request.account);
        let mut pages =
            Pages::of(PageRequest::first(PAGE_ROWS), |page| store.movements(account, symbol, since, page.after));
        let mut is_over = false;
        while !is_over {
            let read = match pages.next().await {
                Ok(Some(read)) => read,
                Ok(None) => break,
                Err(StoreError::CorruptRow { row }) => {
                    if builder.is_some() && !self.left_out.contains(&row) {
                        self.left_out.push(row);
                    }
                    footing.leave_out_row();
                    return Ok(());
                }
                Err(error) => return Err(error).doing("computing the single amounts"),
            };
            // They come in the order of the fold, which is nearly that of time: fills of files may be out of it.
            is_over = !read.items.is_empty();
            for movement in &read.items {
                footing.add_movement(symbol, movement)?;
                is_over &= until.is_some_and(|until| movement.at >= until);
                if let Some(builder) = builder.as_deref_mut().filter(|_| period.contains(movement.at)) {
                    builder.add_movement(movement)?;
                }
                if let Some(key) = &movement.trip
                    && let Some(settle_asset) = mixed.trips.get(key)
                {
                    let other = parts.other.entry(key.clone()).or_default();
                    other.add(movement, settle_asset, &parts.prices)?;
                }
            }
        }
        Ok(())
    }
}
