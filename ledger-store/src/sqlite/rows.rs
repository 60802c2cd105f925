//! Every row of the file as text, for tests that something writes nothing.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::failure::failed;
use super::store::SqliteStore;
use crate::store::StoreResult;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(conn: &mut SqliteConnection, query: &str) -> StoreResult<Vec<String>> {
    let lines: Vec<Line> = diesel::sql_query(query).load(conn).map_err(failed("read all rows"))?;
    Ok(lines.into_iter().map(|line| line.line).collect())
}

impl SqliteStore {
    /// Every row of every table but `except`, one line each: what must be the same before and after something that
    /// writes nothing else.
    ///
    /// # Errors
    /// [`StoreError`](crate::StoreError) when the file cannot be read.
    pub async fn rows_except(&self, except: &'static [&'static str]) -> StoreResult<Vec<String>> {
        self.read(move |conn| {
            let tables = "SELECT name AS line FROM sqlite_master WHERE type = 'table' ORDER BY name";
            let mut all = Vec::new();
            for table in lines(conn, tables)?.into_iter().filter(|table| !except.contains(&table.as_str())) {
                let columns = format!("SELECT name AS line FROM pragma_table_info('{table}') ORDER BY cid");
                let values: Vec<_> =
                    lines(conn, &columns)?.iter().map(|column| format!("quote(\"{column}\")")).collect();
                let rows = format!("SELECT {} AS line FROM \"{table}\" ORDER BY 1", values.join(" || ' ' || "));
                all.extend(lines(conn, &rows)?.into_iter().map(|row| format!("{table} {row}")));
            }
            Ok(all)
        })
        .await
    }
}
