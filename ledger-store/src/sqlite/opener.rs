//! The column `round_trips.awaits_signal`: whether the exchange's REST interface has stated the fill that opened the round
//! trip, and no signal is known that its order followed.
//!
//! It stands in the row because every look at the exchange asks for these, mostly to find none, and a book has a round
//! trip for every few fills. What it rests on changes with orders, intents and fills, all of which have the round trip
//! folded again, and with who stated the fill, which has not: that is told here.

use std::collections::BTreeMap;

use diesel::prelude::*;
use ledger_core::{AccountId, Symbol};

use super::failure::failed;
use super::prepared::Literal;
use crate::store::StoreResult;

/// The opening fill `f` of the round trip `t`, where it is one: what follows `FROM` or a join.
macro_rules! unsignalled_opener {
    () => {
        "fills f
        LEFT JOIN orders o ON o.account_id = f.account_id AND o.symbol = f.symbol
            AND o.order_class = 'REGULAR' AND o.order_id = f.order_id
        LEFT JOIN order_intents i ON i.account_id = o.account_id AND i.client_order_id = o.client_order_id
        WHERE f.account_id = t.account_id AND f.symbol = t.symbol
            AND f.side = CASE t.direction WHEN 'long' THEN 'BUY' ELSE 'SELL' END
            AND f.fill_id = substr(t.trip_key, length(t.symbol || t.position_side) + CASE t.direction WHEN 'long' THEN 7 ELSE 8 END)
            AND t.trip_key = t.symbol || '|' || t.position_side || '|' || f.side || '-' || f.fill_id
            AND f.source = 'rest' AND f.order_id IS NOT NULL AND o.signal_id IS NULL AND i.signal_id IS NULL
            AND NOT EXISTS (
                SELECT 1 FROM orders c
                LEFT JOIN order_intents s ON s.account_id = c.account_id AND s.client_order_id = c.client_order_id
                WHERE c.account_id = f.account_id AND c.symbol = f.symbol AND c.triggered_order_id = f.order_id
                    AND (c.signal_id IS NOT NULL OR s.signal_id IS NOT NULL)
            )"
    };
}

/// The row ids of these fills, of the account that is to follow. Asked in full, so that what is derived, and may be about
/// to be folded again, only ever leaves out.
pub(super) const UNSIGNALLED_OPENERS: &str = concat!(
    "SELECT f.rowid FROM round_trips t CROSS JOIN ",
    unsignalled_opener!(),
    " AND t.awaits_signal = 1 AND t.account_id = "
);

/// Brings the column up to date for those of the round trips that `$which` says.
macro_rules! update {
    ($which:literal) => {
        concat!(
            "UPDATE round_trips AS t SET awaits_signal = 1 - awaits_signal WHERE awaits_signal <> EXISTS (SELECT 1 FROM ",
            unsignalled_opener!(),
            ") AND t.account_id = ? AND t.symbol = ? AND ",
            $which
        )
    };
}

const UPDATE_BEHIND: &str = update!("t.trip_no > ?");

const UPDATE_OPENED: &str = update!("t.opened_ts BETWEEN ? AND ?");

/// The first and the last time, in milliseconds, of fills of which it changed who stated them, and nothing else.
pub(super) type Restated = BTreeMap<Symbol, (i64, i64)>;

/// Brings the column up to date for the round trips of a symbol behind the first `trips`.
pub(super) fn update_after(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    trips: i64,
) -> StoreResult<()> {
    Literal::new(UPDATE_BEHIND)
        .text(account.as_str())
        .text(symbol.as_str())
        .number(trips)
        .execute(conn)
        .map_err(failed("find round trips without a signal"))?;
    Ok(())
}

/// Brings the column up to date for the round trips that restated fills may have opened.
pub(super) fn update_restated(
    conn: &mut SqliteConnection,
    account: &AccountId,
    restated: &Restated,
) -> StoreResult<()> {
    for (symbol, (first, last)) in restated {
        Literal::new(UPDATE_OPENED)
            .text(account.as_str())
            .text(symbol.as_str())
            .number(*first)
            .number(*last)
            .execute(conn)
            .map_err(failed("find round trips without a signal"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::Text;

    use super::*;
    use crate::sqlite::connection::{Reading, Target};

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// A fold asks this of every round trip that it wrote: a walk through the fills for each would be quadratic.
    #[test]
    fn an_opening_fill_is_found_by_its_key() {
        let target = Target { path: None, busy_timeout_ms: 0, pages_max: None, reading: Reading::Beside };
        let mut conn = target.open_writer(true).unwrap();
        let text = format!("EXPLAIN QUERY PLAN {UPDATE_BEHIND}");
        let plan: Vec<Step> = diesel::sql_query(text).load(&mut *conn).unwrap();
        let plan: Vec<_> = plan.iter().map(|step| step.detail.as_str()).collect();
        let by_key = |step: &&str| step.starts_with("SEARCH f USING") && step.contains("fill_id=?");
        assert!(plan.iter().any(by_key), "{plan:#?}");
    }
}
