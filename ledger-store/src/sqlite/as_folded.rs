//! How the fold takes fills: in the position that order or position mode tells, and at the fee that the ledger tells,
//! where the fill itself leaves these open or states them in another way.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use ledger_core::{
    AccountId, Asset, Decimal, Fee, Fill, FillId, IncomeType, OrderId, Source, Sourced, Span, Symbol, ledger_fee,
};

use super::codec::RowReader;
use super::failure::failed;
use super::income::is_counted;
use super::order_info::{self, Infos, OrderSources};
use super::placement;
use super::schema::{fills, income};
use crate::store::StoreResult;

/// What the fills of a symbol may have to be completed from.
pub(super) struct Completion<'a> {
    account: &'a AccountId,
    symbol: &'a Symbol,
    sources: OrderSources,
    /// Whether any entry of the ledger names a trade.
    has_trades_in_ledger: bool,
    spans: Vec<Span>,
}

/// What was found out about a page of fills.
#[derive(Debug, Default)]
pub(super) struct Completed {
    pub(super) infos: Infos,
    /// By their place on the page, the fills whose fee the ledger states in another way, with what they state.
    pub(super) stated_fees: HashMap<usize, Option<Fee>>,
}

impl<'a> Completion<'a> {
    pub(super) fn open(conn: &mut SqliteConnection, account: &'a AccountId, symbol: &'a Symbol) -> StoreResult<Self> {
        let named = income::table
            .filter(income::account_id.eq(account.as_str()))
            .filter(income::symbol.eq(symbol.as_str()))
            .filter(income::fill_id.is_not_null());
        Ok(Self {
            account,
            symbol,
            sources: OrderSources::of(conn, account, symbol)?,
            has_trades_in_ledger: diesel::select(diesel::dsl::exists(named))
                .get_result(conn)
                .map_err(failed("read income"))?,
            spans: placement::spans(conn, account)?,
        })
    }

    pub(super) fn account(&self) -> &'a AccountId {
        self.account
    }

    pub(super) fn symbol(&self) -> &'a Symbol {
        self.symbol
    }

    pub(super) fn sources(&self) -> OrderSources {
        self.sources
    }

    pub(super) fn has_trades_in_ledger(&self) -> bool {
        self.has_trades_in_ledger
    }

    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Completes a page of fills, all of the symbol.
    pub(super) fn complete(&self, conn: &mut SqliteConnection, page: &mut [Fill]) -> StoreResult<Completed> {
        let infos = if self.sources.any_order() {
            let ids = page.iter().filter_map(|fill| fill.order_id.as_ref()).map(OrderId::as_str).collect();
            order_info::of_orders(conn, self.account, self.symbol, self.sources, &ids)?
        } else {
            Infos::new()
        };
        for fill in page.iter_mut().filter(|fill| fill.position_side.is_none()) {
            let order = fill.order_id.as_ref().and_then(|id| infos.get(id));
            fill.position_side =
                order.and_then(|order| order.position_side).or_else(|| placement::by_mode(&self.spans, fill.time.at));
        }
        let mut stated_fees = HashMap::new();
        if self.has_trades_in_ledger {
            for (index, fee) in self.ledger_fees(conn, page)? {
                if let Some(fill) = page.get_mut(index) {
                    stated_fees.insert(index, fill.fee.replace(fee));
                }
            }
        }
        Ok(Completed { infos, stated_fees })
    }

    /// The fees that the ledger states in another way than the fills, by their place on the page.
    fn ledger_fees(&self, conn: &mut SqliteConnection, page: &[Fill]) -> StoreResult<Vec<(usize, Fee)>> {
        let entries = commissions(conn, self.account, self.symbol, page.iter().map(|fill| &fill.key.fill_id))?;
        let decide = |fill: &Fill, is_self_trade| {
            let entries = entries.get(&fill.key.fill_id)?;
            ledger_fee(fill.fee.as_ref(), entries, is_self_trade).filter(|fee| fill.fee.as_ref() != Some(fee))
        };
        let differing: Vec<(usize, Fee)> =
            page.iter().enumerate().filter_map(|(index, fill)| Some((index, decide(fill, false)?))).collect();
        let ids = differing.iter().filter_map(|(index, _)| page.get(*index)).map(|fill| &fill.key.fill_id);
        let self_trades = self_trades(conn, self.account, self.symbol, ids)?;
        let is_open = |index: &usize| page.get(*index).is_some_and(|fill| self_trades.contains(&fill.key.fill_id));
        Ok(differing.into_iter().filter(|(index, _)| !is_open(index)).collect())
    }
}

/// Fills as the fold takes them; what it takes from elsewhere is marked so in their provenance.
pub(super) fn as_folded(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    stated: Vec<Sourced<Fill>>,
) -> StoreResult<Vec<Sourced<Fill>>> {
    let completion = Completion::open(conn, account, symbol)?;
    let mut page: Vec<Fill> = stated.iter().map(|fill| fill.fact.clone()).collect();
    let completed = completion.complete(conn, &mut page)?;
    let mut folded = Vec::with_capacity(stated.len());
    for (index, (mut sourced, fill)) in stated.into_iter().zip(page).enumerate() {
        let exceptions = &mut sourced.provenance.exceptions;
        if sourced.fact.position_side != fill.position_side {
            exceptions.insert("position_side", Source::Repair);
        }
        if completed.stated_fees.contains_key(&index) {
            exceptions.insert("fee", Source::Repair);
        }
        sourced.fact = fill;
        folded.push(sourced);
    }
    Ok(folded)
}

/// The ledger's commission entries of trades of a symbol.
pub(super) fn commissions<'f>(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    fill_ids: impl Iterator<Item = &'f FillId>,
) -> StoreResult<HashMap<FillId, Vec<(Asset, Decimal)>>> {
    let ids: Vec<&str> = fill_ids.map(FillId::as_str).collect();
    let mut entries = HashMap::<FillId, Vec<(Asset, Decimal)>>::new();
    for ids in ids.chunks(super::fact_table::ROWS_MAX) {
        let rows: Vec<(Option<String>, String, String)> = income::table
            .filter(income::account_id.eq(account.as_str()))
            .filter(income::symbol.eq(symbol.as_str()))
            .filter(income::fill_id.eq_any(ids))
            .filter(income::income_type.eq(IncomeType::COMMISSION))
            .filter(is_counted())
            .select((income::fill_id, income::asset, income::amount))
            .load(conn)
            .map_err(failed("read income"))?;
        for (fill_id, asset, amount) in rows {
            let Some(fill_id) = fill_id else { continue };
            let reader = RowReader { table: "income", key: || format!("{account}/{symbol}/{fill_id}") };
            let entry = (reader.text("asset", &asset)?, reader.text("amount", &amount)?);
            entries.entry(reader.text("fill_id", &fill_id)?).or_default().push(entry);
        }
    }
    // In an order of their own: what is decided must not depend on that of the rows.
    for entries in entries.values_mut() {
        entries.sort();
    }
    Ok(entries)
}

/// Which of these trades have fills on both sides.
pub(super) fn self_trades<'f>(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    fill_ids: impl Iterator<Item = &'f FillId>,
) -> StoreResult<BTreeSet<FillId>> {
    let ids: Vec<&str> = fill_ids.map(FillId::as_str).collect();
    let mut both = BTreeSet::new();
    for ids in ids.chunks(super::fact_table::ROWS_MAX) {
        let found: Vec<String> = fills::table
            .filter(fills::account_id.eq(account.as_str()))
            .filter(fills::symbol.eq(symbol.as_str()))
            .filter(fills::fill_id.eq_any(ids))
            .group_by(fills::fill_id)
            .having(diesel::dsl::count_star().gt(1))
            .select(fills::fill_id)
            .load(conn)
            .map_err(failed("read fills"))?;
        let reader = RowReader { table: "fills", key: || format!("{account}/{symbol}") };
        for fill_id in found {
            both.insert(reader.text("fill_id", &fill_id)?);
        }
    }
    Ok(both)
}
