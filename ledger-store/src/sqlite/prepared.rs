//! Statements that are prepared once a connection.
//!
//! Diesel prepares a statement anew each time it is run if parts of it are literal SQL, an `IN` list, more rows than one, or
//! an update, for the text of these can differ from one time to the next. SQLite then spends more time on reading statements
//! than on running them, when a batch is a handful of rows. A query in [`PreparedOnce`] and a [`Literal`] are kept by their
//! text. So the number of texts has to be small: lists are [`padded`], and rows go in runs of few lengths
//! (`insert_in_runs`).

use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite;
use diesel::{QueryResult, RunQueryDsl, SqliteConnection};

/// How many rows are few: of more, preparing the statement is not what takes the time.
pub(super) const FEW_ROWS: usize = 64;

/// A query that is prepared once for each text it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct PreparedOnce<Q>(Q);

/// Says of a query that it is to be prepared once.
pub(super) trait PrepareOnce: Sized {
    fn prepared_once(self) -> PreparedOnce<Self> {
        PreparedOnce(self)
    }
}

impl<Q: Query> PrepareOnce for Q {}

impl<Q: QueryFragment<Sqlite>> QueryFragment<Sqlite> for PreparedOnce<Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _backend: &Sqlite) -> QueryResult<bool> {
        Ok(true)
    }
}

// By its text, and not by its type: of one type there are several texts.
impl<Q> QueryId for PreparedOnce<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for PreparedOnce<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> RunQueryDsl<SqliteConnection> for PreparedOnce<Q> {}

/// A statement without an answer, in literal SQL, that is prepared once. (Diesel asks a reference whether such a statement may be
/// kept, and so does not hear what [`PreparedOnce`] says of it.)
#[derive(Debug, Clone)]
pub(super) struct Literal<'a> {
    sql: &'static str,
    values: Vec<Value<'a>>,
}

#[derive(Debug, Clone)]
enum Value<'a> {
    Text(Option<&'a str>),
    Number(i64),
}

impl<'a> Literal<'a> {
    /// The values that `sql` has a `?` for follow in their order.
    pub(super) fn new(sql: &'static str) -> Self {
        Self { sql, values: Vec::new() }
    }

    pub(super) fn text(mut self, value: impl Into<Option<&'a str>>) -> Self {
        self.values.push(Value::Text(value.into()));
        self
    }

    pub(super) fn number(mut self, value: i64) -> Self {
        self.values.push(Value::Number(value));
        self
    }
}

impl QueryFragment<Sqlite> for Literal<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let mut parts = self.sql.split('?');
        pass.push_sql(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(&self.values) {
            match value {
                Value::Text(text) => pass.push_bind_param::<Nullable<Text>, _>(text)?,
                Value::Number(number) => pass.push_bind_param::<BigInt, _>(number)?,
            }
            pass.push_sql(part);
        }
        Ok(())
    }
}

impl QueryId for Literal<'_> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<SqliteConnection> for Literal<'_> {}

/// A list for `IN`, with its last element repeated until its length is a power of two: there are few such lengths, and a list
/// means the same however often something stands in it.
pub(super) fn padded<T: Clone>(list: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut list: Vec<T> = list.into_iter().collect();
    if let Some(last) = list.last().cloned() {
        list.resize(list.len().next_power_of_two(), last);
    }
    list
}

/// Inserts rows by statements of few sizes, which are prepared once: each length of an array is a type of its own. `$rows` is
/// a slice, and `$insert` what inserts the rows that it calls `$run`; the sum of what it answers is the answer.
macro_rules! insert_in_runs {
    ($rows:expr, |$run:ident| $insert:expr) => {{
        let (mut rest, mut inserted) = ($rows, 0);
        loop {
            if let Some(($run, behind)) = rest.split_first_chunk::<{ crate::sqlite::fact_table::ROWS_MAX }>() {
                inserted += $insert;
                rest = behind;
            } else if rest.len() > crate::sqlite::prepared::FEW_ROWS {
                let $run = rest;
                inserted += $insert;
                break;
            } else if let Some(($run, behind)) = rest.split_first_chunk::<8>() {
                inserted += $insert;
                rest = behind;
            } else if let Some(($run, behind)) = rest.split_first() {
                inserted += $insert;
                rest = behind;
            } else {
                break;
            }
        }
        inserted
    }};
}
pub(super) use insert_in_runs;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use diesel::connection::InstrumentationEvent;
    use diesel::prelude::*;

    use super::*;

    diesel::table! {
        t (a) {
            a -> Integer,
            b -> Nullable<Text>,
        }
    }

    #[derive(Insertable)]
    #[diesel(table_name = t, treat_none_as_default_value = false)]
    struct Row {
        a: i32,
    }

    #[test]
    fn a_padded_list_means_the_same() {
        assert_eq!(padded([7, 8, 9]), [7, 8, 9, 9]);
        assert_eq!(padded([7, 8]), [7, 8]);
        assert_eq!(padded(Vec::<i32>::new()), Vec::<i32>::new());
    }

    #[test]
    fn a_statement_is_prepared_once_for_each_of_its_texts() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        diesel::sql_query("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)").execute(&mut conn).unwrap();
        let seen = Arc::clone(&kept);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::CacheQuery { sql, .. } = event {
                seen.lock().unwrap().push(sql.to_owned());
            }
        });
        for number in 0..5 {
            let rows: Vec<Row> = (0..11).map(|row| Row { a: number * 11 + row }).collect();
            let inserted = insert_in_runs!(rows.as_slice(), |run| {
                diesel::insert_into(t::table).values(run).on_conflict_do_nothing().execute(&mut conn).unwrap()
            });
            assert_eq!(inserted, 11);
            let update = Literal::new("UPDATE t SET b = ? WHERE a = ?").text("x").number(i64::from(number));
            assert_eq!(update.execute(&mut conn).unwrap(), 1);
            let read = t::table.filter(t::a.eq_any(padded([0, 1, number]))).order(t::a).prepared_once();
            let rows: Vec<(i32, Option<String>)> = read.load(&mut conn).unwrap();
            assert!(rows.iter().all(|(a, b)| b.is_some() == (*a <= number)), "{rows:?}");
        }
        // Inserts of eight rows and of one, the update, and the list of four.
        let kept = kept.lock().unwrap();
        assert_eq!(kept.len(), 4, "{kept:#?}");
        let rows = insert_in_runs!([Row { a: 1_000 }].as_slice(), |run| {
            diesel::insert_into(t::table).values(run).on_conflict_do_nothing().execute(&mut conn).unwrap()
        });
        assert_eq!(rows, 1);
    }
}
