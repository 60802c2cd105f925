//! Lists of signals.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel::sqlite::Sqlite;
use ledger_core::{Signal, Sourced};

use super::super::fact_table::FactTable;
use super::super::failure::failed;
use super::super::schema::engine_signals;
use super::super::signal::SignalRow;
use super::{cursor, position};
use crate::filter::{SignalFilter, SignalOutlook};
use crate::page::{Direction, Page, PageRequest};
use crate::store::StoreResult;

type SignalQuery<'a> =
    engine_signals::BoxedQuery<'a, Sqlite, diesel::dsl::SqlTypeOf<diesel::dsl::AsSelect<SignalRow, Sqlite>>>;

pub(in super::super) fn signals(
    conn: &mut SqliteConnection,
    filter: &SignalFilter,
    page: &PageRequest,
) -> StoreResult<Page<Sourced<Signal>>> {
    let query = signal_query(filter);
    let rows: Vec<SignalRow> = page_rows!(conn, query, page, engine_signals::ts, "engine_signals.signal_id");
    page.finish(rows, |row| cursor(row.ts, row.signal_id.clone()), |row| Signal::decode(&row))
}

fn signal_query(filter: &SignalFilter) -> SignalQuery<'_> {
    let mut query = scoped!(engine_signals, SignalRow, engine_signals::ts, filter.scope, without symbol);
    if let Some(symbol) = &filter.scope.symbol {
        // Those that wait are found by contract and time. Of others the plus sign keeps SQLite from reading by symbol and then
        // sorting all of it for every page.
        let column = match filter.outlook {
            Some(SignalOutlook::Awaited) => "engine_signals.symbol = ",
            _ => "+engine_signals.symbol = ",
        };
        query = query.filter(sql::<Bool>(column).bind::<Text, _>(symbol.as_str().to_owned()));
    }
    if let Some(engine) = &filter.engine {
        query = query.filter(engine_signals::engine.eq(engine.as_str()));
    }
    if let Some(prefix) = filter.id_prefix {
        // Behind every id that begins like this.
        let end = format!("{prefix}{}", char::MAX);
        let ids = match (filter.outlook, &filter.scope.symbol) {
            (Some(SignalOutlook::Awaited), Some(_)) => {
                ("+engine_signals.signal_id >= ", "+engine_signals.signal_id < ")
            }
            _ => ("engine_signals.signal_id >= ", "engine_signals.signal_id < "),
        };
        query =
            query.filter(sql::<Bool>(ids.0).bind::<Text, _>(prefix)).filter(sql::<Bool>(ids.1).bind::<Text, _>(end));
    }
    // What was inferred to be behind an order gives way to what its sender says: it counts as long as the order names it.
    query = query.filter(sql::<Bool>(
        "(engine_signals.restored = 0 OR EXISTS (SELECT 1 FROM orders \
         WHERE orders.account_id = engine_signals.account_id AND orders.signal_id = engine_signals.signal_id))",
    ));
    match filter.outlook {
        // Each in the words of the index on them.
        Some(SignalOutlook::Awaited) => {
            query = query.filter(sql::<Bool>(match filter.scope.symbol {
                Some(_) => "restored = 0 AND coalesce(skipped, 'sent_after_all') = 'sent_after_all'",
                None => "restored = 0 AND (skipped IS NULL OR skipped = 'sent_after_all')",
            }));
        }
        Some(SignalOutlook::Concluded) => {
            query = query.filter(sql::<Bool>("skipped IN ('never_sent', 'rejected')"));
        }
        None => {}
    }
    if let Some(named) = filter.named_by_order {
        let is_named = sql::<Bool>(
            "EXISTS (SELECT 1 FROM orders WHERE orders.account_id = engine_signals.account_id \
             AND orders.signal_id = engine_signals.signal_id)",
        );
        query = if named { query.filter(is_named) } else { query.filter(diesel::dsl::not(is_named)) };
    }
    query
}

#[cfg(test)]
mod tests {
    use ledger_core::TimestampMs;

    use super::*;
    use crate::contract::main_account;
    use crate::filter::Scope;
    use crate::sqlite::connection::{Reading, Target};

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    /// What a line costs does not grow with the signals of other contracts and times.
    #[test]
    fn those_of_a_contract_that_wait_are_found_by_contract_and_time() {
        let target = Target { path: None, busy_timeout_ms: 0, pages_max: None, reading: Reading::Beside };
        let mut conn = target.open_writer(true).unwrap();
        let mut scope = Scope::symbol(main_account(), ledger_core::Symbol::new("BTCUSDT").unwrap());
        let outlook = Some(SignalOutlook::Awaited);
        for until in [None, Some(1_772_344_900_000)] {
            let at = |ms| TimestampMs::new(ms).unwrap();
            (scope.since, scope.until) = (Some(at(1_772_344_800_000)), until.map(at));
            for (id_prefix, named_by_order) in [(Some(".closed:"), Some(false)), (None, Some(false)), (None, None)] {
                let filter = SignalFilter { id_prefix, named_by_order, outlook, ..scope.clone().into() };
                let query = signal_query(&filter).order((engine_signals::ts.desc(), sql::<Text>("signal_id DESC")));
                let text = format!("EXPLAIN QUERY PLAN {}", diesel::debug_query::<Sqlite, _>(&query));
                // The text ends with what is bound, as a comment would.
                let text = text.split(" -- binds").next().unwrap();
                let plan: Vec<Step> = diesel::sql_query(text).load(&mut *conn).unwrap();
                let plan: Vec<_> = plan.into_iter().map(|step| step.detail).collect();
                let found = "INDEX engine_signals_symbol_awaited (account_id=? AND symbol=? AND ts>?";
                assert!(plan[0].contains(found), "{plan:?}");
                assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
            }
        }
    }
}
