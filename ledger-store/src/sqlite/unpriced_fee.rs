//! The table `unpriced_fees`: in which minutes fees were paid in another asset, until somebody has asked what that asset
//! was worth then. It is written with the facts, so that neither a crash nor an import leaves a fee out.
//!
//! Contracts are named after the asset that they settle in, so one whose name ends with the fee's asset needs no price.
//! That keeps the common case free of cost; whether the others need one is for the reader to say, who knows the contract.

use std::collections::BTreeSet;

use diesel::prelude::*;
use ledger_core::{AccountId, Asset, Symbol, TimestampMs};

use super::codec::RowReader;
use super::fact_table::ROWS_MAX;
use super::failure::failed;
use super::schema::unpriced_fees;
use crate::batch::UnpricedFee;
use crate::store::StoreResult;

const MINUTE_MS: i64 = 60_000;

/// The fees that new facts speak of: contract, asset and the minute's first millisecond.
#[derive(Debug, Default)]
pub(super) struct ForeignFees(BTreeSet<(i64, Symbol, Asset)>);

impl ForeignFees {
    pub(super) fn note(&mut self, symbol: &Symbol, asset: &Asset, at: TimestampMs) {
        if !symbol.as_str().ends_with(asset.as_str()) {
            let ms = at.as_ms();
            self.0.insert((ms - ms.rem_euclid(MINUTE_MS), symbol.clone(), asset.clone()));
        }
    }
}

#[derive(Debug, Insertable)]
#[diesel(table_name = unpriced_fees, treat_none_as_default_value = false)]
struct FeeRow<'a> {
    account_id: &'a str,
    minute_ts: i64,
    symbol: &'a str,
    asset: &'a str,
}

pub(super) fn add(conn: &mut SqliteConnection, account: &AccountId, fees: &ForeignFees) -> StoreResult<()> {
    let rows = fees.0.iter().map(|(minute_ts, symbol, asset)| FeeRow {
        account_id: account.as_str(),
        minute_ts: *minute_ts,
        symbol: symbol.as_str(),
        asset: asset.as_str(),
    });
    for chunk in rows.collect::<Vec<_>>().chunks(ROWS_MAX) {
        diesel::insert_into(unpriced_fees::table)
            .values(chunk)
            .on_conflict_do_nothing()
            .execute(conn)
            .map_err(failed("note fees in other assets"))?;
    }
    Ok(())
}

/// Forgets fees whose price was asked for.
pub(super) fn remove(conn: &mut SqliteConnection, account: &AccountId, fees: &[UnpricedFee]) -> StoreResult<()> {
    for fee in fees {
        let key = (account.as_str(), fee.minute.as_ms(), fee.symbol.as_str(), fee.asset.as_str());
        diesel::delete(unpriced_fees::table.find(key))
            .execute(conn)
            .map_err(failed("forget a fee that has a price"))?;
    }
    Ok(())
}

/// The latest of them.
pub(super) fn latest(conn: &mut SqliteConnection, account: &AccountId, limit: u32) -> StoreResult<Vec<UnpricedFee>> {
    let rows: Vec<(i64, String, String)> = unpriced_fees::table
        .filter(unpriced_fees::account_id.eq(account.as_str()))
        .order((unpriced_fees::minute_ts.desc(), unpriced_fees::symbol.desc(), unpriced_fees::asset.desc()))
        .limit(i64::from(limit))
        .select((unpriced_fees::minute_ts, unpriced_fees::symbol, unpriced_fees::asset))
        .load(conn)
        .map_err(failed("read fees in other assets"))?;
    rows.iter()
        .map(|(minute_ts, symbol, asset)| {
            let reader =
                RowReader { table: "unpriced_fees", key: || format!("{account}/{minute_ts}/{symbol}/{asset}") };
            Ok(UnpricedFee {
                symbol: reader.text("symbol", symbol)?,
                asset: reader.text("asset", asset)?,
                minute: reader.instant("minute_ts", *minute_ts)?,
            })
        })
        .collect()
}
