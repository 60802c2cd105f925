//! What a kind of fact needs to be kept in a table.

use diesel::sqlite::SqliteConnection;
use ledger_core::{AccountId, Fact, FactKind, Field, Sourced};

use super::effects::Effects;
use crate::store::StoreResult;

pub(super) type QueryResult<T> = Result<T, diesel::result::Error>;

/// The most rows of one statement. Measured: at 1000 rows preparing the statement no longer shows; SQLite allows
/// 32766 variables, and the widest row has 32.
pub(super) const ROWS_MAX: usize = 1_000;

/// A kind of fact with its table.
pub(super) trait FactTable: Fact + serde::Serialize + Send + Sync + 'static {
    /// The kind.
    const KIND: FactKind;
    /// The names that [`Fact::join`] gives its fields.
    const FIELDS: &'static [Field];
    /// A row of the table, without derived columns.
    type Row: Send + Sync + 'static;

    fn encode(account: &AccountId, fact: &Sourced<Self>) -> Self::Row;
    fn decode(row: &Self::Row) -> StoreResult<Sourced<Self>>;

    /// The key columns of a row, as errors name them.
    fn row_key(row: &Self::Row) -> String;

    /// At most `limit` rows behind the row id `after`, each with its own.
    fn rows_after(conn: &mut SqliteConnection, after: i64, limit: i64) -> QueryResult<Vec<(i64, Self::Row)>>;

    /// The key as it stands in `fact_sources`: unique among facts of the kind, and the same for ever.
    fn fact_key(&self) -> String;

    /// The largest row id in use. Rows that a later insert adds have larger ones.
    fn row_id_max(conn: &mut SqliteConnection) -> QueryResult<i64>;

    /// Inserts the rows whose keys are new; answers how many.
    fn insert(conn: &mut SqliteConnection, rows: &[Self::Row]) -> QueryResult<usize>;

    /// The rows with these keys and a row id up to `row_id_max`.
    fn existing(
        conn: &mut SqliteConnection,
        account: &AccountId,
        keys: &[Self::Key],
        row_id_max: i64,
    ) -> QueryResult<Vec<Self::Row>>;

    /// Replaces the row with the same key.
    fn update(conn: &mut SqliteConnection, row: &Self::Row) -> QueryResult<usize>;

    /// Notes what has to be recomputed when `before` becomes `after`.
    fn note_effects(before: Option<&Self>, after: &Self, effects: &mut Effects);

    /// Notes what has to be recomputed when it changes who stated a fact, and nothing else.
    fn note_restated(_fact: &Self, _effects: &mut Effects) {}

    /// Notes what is out of date because other sources stand behind a fact now than before.
    fn note_sources(_before: &Sourced<Self>, _after: &Sourced<Self>, _effects: &mut Effects) {}

    /// Notes what has to be looked at again when sources disagree about a fact, be it for the second time.
    fn note_conflict(_fact: &Self, _effects: &mut Effects) {}
}

/// The parts of [`FactTable`] that differ by nothing but the table.
macro_rules! table_statements {
    ($table:ident, [$($key:ident),+]) => {
        fn row_id_max(conn: &mut diesel::sqlite::SqliteConnection) -> crate::sqlite::fact_table::QueryResult<i64> {
            use diesel::prelude::*;
            use crate::sqlite::prepared::PrepareOnce as _;
            let largest: Option<i64> = crate::sqlite::schema::$table::table
                .select(diesel::dsl::sql::<diesel::sql_types::Nullable<diesel::sql_types::BigInt>>("max(rowid)"))
                .prepared_once()
                .get_result(conn)?;
            Ok(largest.unwrap_or(0))
        }

        fn row_key(row: &Self::Row) -> String {
            [$(row.$key.to_string()),+].join("/")
        }

        fn rows_after(
            conn: &mut diesel::sqlite::SqliteConnection,
            after: i64,
            limit: i64,
        ) -> crate::sqlite::fact_table::QueryResult<Vec<(i64, Self::Row)>> {
            use diesel::prelude::*;
            use diesel::sql_types::{BigInt, Bool};
            crate::sqlite::schema::$table::table
                .filter(diesel::dsl::sql::<Bool>("rowid > ").bind::<BigInt, _>(after))
                .order(diesel::dsl::sql::<BigInt>("rowid"))
                .limit(limit)
                .select((diesel::dsl::sql::<BigInt>("rowid"), Self::Row::as_select()))
                .load(conn)
        }

        fn insert(
            conn: &mut diesel::sqlite::SqliteConnection,
            rows: &[Self::Row],
        ) -> crate::sqlite::fact_table::QueryResult<usize> {
            use diesel::prelude::*;
            Ok(crate::sqlite::prepared::insert_in_runs!(rows, |run| {
                diesel::insert_into(crate::sqlite::schema::$table::table)
                    .values(run)
                    .on_conflict_do_nothing()
                    .execute(conn)?
            }))
        }

        fn update(
            conn: &mut diesel::sqlite::SqliteConnection,
            row: &Self::Row,
        ) -> crate::sqlite::fact_table::QueryResult<usize> {
            use diesel::prelude::*;
            use crate::sqlite::schema::$table::dsl;
            diesel::update(dsl::$table)
                $(.filter(dsl::$key.eq(&row.$key)))+
                .set(row)
                .execute(conn)
        }
    };
}
pub(super) use table_statements;

/// Keys in groups that share what an index begins with, so that each group is one lookup by an `IN` list.
pub(super) fn grouped<K, G: Ord>(keys: &[K], group: impl Fn(&K) -> G) -> std::collections::BTreeMap<G, Vec<&K>> {
    let mut groups = std::collections::BTreeMap::<G, Vec<&K>>::new();
    for key in keys {
        groups.entry(group(key)).or_default().push(key);
    }
    groups
}
