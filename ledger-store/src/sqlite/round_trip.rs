//! The table `round_trips`.
//!
//! Every value has one place: a column, or, where it would only be in the way of people who query by hand, `detail_json`.
//! A book has a row for every few fills, so what is written twice is paid for twice.

use diesel::prelude::*;
use ledger_core::{
    AccountId, Asset, AssetTotal, CertainTotal, Certainty, Decimal, EngineLabel, FillId, RoundTrip, TimestampMs,
    TripKey,
};
use serde::{Deserialize, Serialize};

use super::codec::RowReader;
use super::derived::{amount_column, not_serialized, number};
use super::failure::failed;
use super::prepared::insert_in_runs;
use super::refold::Stop;
use super::schema::round_trips;
use crate::store::StoreResult;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = round_trips, treat_none_as_default_value = false)]
pub(super) struct TripRow {
    pub(super) account_id: String,
    pub(super) symbol: String,
    pub(super) trip_no: i64,
    trip_key: String,
    position_side: String,
    direction: String,
    opened_ts: Option<i64>,
    pub(super) closed_ts: Option<i64>,
    qty_max: String,
    avg_entry: Option<String>,
    avg_exit: Option<String>,
    gross: Option<String>,
    settle_asset: String,
    engine: Option<String>,
    exit_reason: String,
    certainty: String,
    detail_json: String,
}

/// A total, most of which are of known parts only.
#[derive(Debug, Serialize, Deserialize)]
enum Total {
    #[serde(rename = "known")]
    Known(Decimal),
    #[serde(rename = "parts")]
    Parts(Decimal, Decimal, bool, u64),
}

impl From<&CertainTotal> for Total {
    fn from(total: &CertainTotal) -> Self {
        let CertainTotal { known, estimated, has_estimates, unknown_count } = *total;
        if *total == (CertainTotal { known, ..CertainTotal::default() }) {
            Self::Known(known)
        } else {
            Self::Parts(known, estimated, has_estimates, unknown_count)
        }
    }
}

impl From<Total> for CertainTotal {
    fn from(total: Total) -> Self {
        match total {
            Total::Known(known) => Self { known, ..Self::default() },
            Total::Parts(known, estimated, has_estimates, unknown_count) => {
                Self { known, estimated, has_estimates, unknown_count }
            }
        }
    }
}

/// What the columns do not say of a round trip.
#[derive(Debug, Serialize, Deserialize)]
struct Detail {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed_by: Option<FillId>,
    fills: u64,
    entry_qty: Decimal,
    exit_qty: Decimal,
    /// Where the column is not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gross: Option<Total>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exchange_realized_pnl: Option<Decimal>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fees: Vec<(Asset, Total)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    funding: Vec<(Asset, Total)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    clearance: Vec<(Asset, Total)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    was_liquidated: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    other_engines: Vec<EngineLabel>,
}

fn totals(of: &[AssetTotal]) -> Vec<(Asset, Total)> {
    of.iter().map(|total| (total.asset.clone(), Total::from(&total.total))).collect()
}

fn asset_totals(of: Vec<(Asset, Total)>) -> Vec<AssetTotal> {
    of.into_iter().map(|(asset, total)| AssetTotal { asset, total: total.into() }).collect()
}

impl Detail {
    fn of(trip: &RoundTrip) -> Self {
        Self {
            closed_by: trip.closed_by.clone(),
            fills: trip.fill_count,
            entry_qty: trip.entry_qty,
            exit_qty: trip.exit_qty,
            gross: Some(Total::from(&trip.gross)).filter(|total| !matches!(total, Total::Known(_))),
            exchange_realized_pnl: trip.exchange_realized_pnl,
            fees: totals(&trip.fees),
            funding: totals(&trip.funding),
            clearance: totals(&trip.clearance),
            was_liquidated: trip.was_liquidated,
            other_engines: trip.other_engines.clone(),
        }
    }
}

fn trip_row(account: &str, trip: &RoundTrip, detail_json: String) -> TripRow {
    TripRow {
        account_id: account.to_owned(),
        symbol: trip.symbol.as_str().to_owned(),
        trip_no: number(trip.number),
        trip_key: trip.key().to_string(),
        position_side: trip.position_side.as_str().to_owned(),
        direction: trip.direction.as_str().to_owned(),
        opened_ts: trip.opened_at.map(TimestampMs::as_ms),
        closed_ts: trip.closed_at.map(TimestampMs::as_ms),
        qty_max: trip.qty_max.to_string(),
        avg_entry: trip.entry_price_avg.map(|price| price.to_string()),
        avg_exit: trip.exit_price_avg.map(|price| price.to_string()),
        gross: amount_column(&trip.gross),
        settle_asset: trip.settle_asset.as_str().to_owned(),
        engine: trip.engine.as_ref().map(|engine| engine.as_str().to_owned()),
        exit_reason: trip.exit_reason.as_str().to_owned(),
        certainty: trip.certainty.as_str().to_owned(),
        detail_json,
    }
}

pub(super) fn write(conn: &mut SqliteConnection, account: &AccountId, trips: &[RoundTrip]) -> Result<(), Stop> {
    let rows = trips
        .iter()
        .map(|trip| {
            let detail_json = serde_json::to_string(&Detail::of(trip)).map_err(not_serialized("round_trips"))?;
            Ok(trip_row(account.as_str(), trip, detail_json))
        })
        .collect::<Result<Vec<_>, Stop>>()?;
    insert_in_runs!(rows.as_slice(), |run| {
        diesel::insert_into(round_trips::table).values(run).execute(conn).map_err(failed("write round trips"))?
    });
    Ok(())
}

pub(super) fn decode(row: &TripRow) -> StoreResult<RoundTrip> {
    let reader =
        RowReader { table: "round_trips", key: || format!("{}/{}/{}", row.account_id, row.symbol, row.trip_no) };
    let detail: Detail = reader.json("detail_json", &row.detail_json)?;
    let told: Option<Decimal> = reader.optional("gross", row.gross.as_deref())?;
    let gross = match (detail.gross, told) {
        (None, Some(known)) => CertainTotal { known, ..CertainTotal::default() },
        (Some(total), _) => CertainTotal::from(total),
        (None, None) => return Err(reader.corrupt("gross", "there is none")),
    };
    if amount_column(&gross) != row.gross {
        return Err(reader.corrupt("gross", "detail_json says otherwise"));
    }
    let key: TripKey = reader.text("trip_key", &row.trip_key)?;
    if key.symbol.as_str() != row.symbol || key.position_side.as_str() != row.position_side {
        return Err(reader.corrupt("trip_key", "it names another position"));
    }
    let instant = |column, ms: Option<i64>| ms.map(|ms| reader.instant(column, ms)).transpose();
    Ok(RoundTrip {
        symbol: key.symbol,
        position_side: key.position_side,
        number: reader.number("trip_no", row.trip_no)?,
        direction: reader.text("direction", &row.direction)?,
        opened_at: instant("opened_ts", row.opened_ts)?,
        closed_at: instant("closed_ts", row.closed_ts)?,
        opening: key.opening,
        closed_by: detail.closed_by,
        entry_qty: detail.entry_qty,
        entry_price_avg: reader.optional("avg_entry", row.avg_entry.as_deref())?,
        exit_qty: detail.exit_qty,
        exit_price_avg: reader.optional("avg_exit", row.avg_exit.as_deref())?,
        qty_max: reader.text("qty_max", &row.qty_max)?,
        settle_asset: reader.text("settle_asset", &row.settle_asset)?,
        gross,
        exchange_realized_pnl: detail.exchange_realized_pnl,
        fees: asset_totals(detail.fees),
        funding: asset_totals(detail.funding),
        clearance: asset_totals(detail.clearance),
        was_liquidated: detail.was_liquidated,
        engine: reader.optional("engine", row.engine.as_deref())?,
        other_engines: detail.other_engines,
        exit_reason: reader.text("exit_reason", &row.exit_reason)?,
        fill_count: detail.fills,
        certainty: reader.text::<Certainty>("certainty", &row.certainty)?,
    })
}
