//! The SQLite file of a Python trading bot: signals, orders, fills and cancels as such bots keep them, read as
//! statements of [`Source::BotDatabase`](ledger_core::Source::BotDatabase).
//!
//! The file is opened for reading only. Columns may be missing, and values may be TEXT, INTEGER or REAL. A REAL is
//! read as the shortest decimal that names the same float, which is what the bot's own `repr` shows, and money to the
//! 15 digits that a double holds faithfully; exact decimals of the raw payload are preferred to it.
//!
//! Invariants, each with a test of the same name:
//! 1. `an_order_answer_makes_no_fill`: a `fills` row without a trade id of its own becomes what its order executed.
//! 2. `a_bad_row_is_named_and_stops_no_other`.
//! 3. `large_ids_and_decimals_are_exact`.
//! 4. `reading_ends_whatever_the_file_claims`: only tables that rows are stored in are read, no views and no virtual tables;
//!    row numbers have to grow, and texts and pages are of bounded size.

mod amounts;
mod cells;
mod row;
#[cfg(test)]
mod tests;
mod time;
mod venue;

use std::path::Path;

use diesel::prelude::*;
use diesel::query_dsl::LoadQuery;
use diesel::sql_types::{BigInt, Text};
use ledger_core::Statement;

use self::cells::{Cells, RawRow};
pub use self::venue::BotVenue;
use crate::error::{BackendError, StoreError};
use crate::sqlite::{BookConnection, failed, open_foreign};
use crate::store::StoreResult;

/// A table of a bot's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BotTable {
    /// What the strategies decided.
    EngineSignals,
    /// Orders as the bot knew them.
    Orders,
    /// Trades, or order answers taken for trades.
    Fills,
    /// The bot's own positions: derived, so nothing is read from them.
    Positions,
    /// Cancelled orders.
    Cancels,
}

ledger_core::names!(BotTable, "table", {
    EngineSignals = "engine_signals", Orders = "orders", Fills = "fills", Positions = "positions", Cancels = "cancels",
});

impl BotTable {
    /// The columns that are read, where they exist; the first is the key.
    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::EngineSignals => &["id", "ts", "symbol", "side", "engine", "reason", "meta_json"],
            Self::Orders => &[
                "order_id",
                "ts",
                "symbol",
                "side",
                "order_type",
                "status",
                "price",
                "qty",
                "engine",
                "client_order_id",
                "raw_json",
            ],
            Self::Fills => &[
                "fill_id",
                "ts",
                "order_id",
                "symbol",
                "side",
                "price",
                "qty",
                "fee",
                "fee_asset",
                "status",
                "raw_json",
            ],
            Self::Positions => &["id", "ts", "symbol", "side", "qty"],
            Self::Cancels => &["id", "ts", "order_id", "symbol", "side", "reason", "raw_json"],
        }
    }
}

/// A row of a bot's database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BotRow {
    /// Its table.
    pub table: BotTable,
    /// Its number in the table.
    pub rowid: i64,
    /// What it states, or why it cannot be read.
    pub parsed: Result<Vec<Statement>, String>,
    /// What the reader should know of how it was read.
    pub note: Option<&'static str>,
    /// Whether its figures are apart by a power of 1000, so that no number of the file is to be believed.
    pub doubts_number_format: bool,
}

/// A bot's database, open for reading.
pub struct BotDatabase {
    conn: BookConnection,
    venue: BotVenue,
    tables: Vec<FoundTable>,
}

/// A table that the file has.
struct FoundTable {
    table: BotTable,
    /// Its columns.
    columns: Vec<String>,
    /// What SQLite calls the numbers of its rows, or what it is instead of a table that has such.
    row_id: Result<&'static str, &'static str>,
}

/// How much text a page holds before it is cut, in bytes.
const PAGE_BYTES_MAX: usize = 16 << 20;

/// The names that SQLite has for the number of a row. A column that is called so hides it.
const ROW_IDS: [&str; 3] = ["rowid", "_rowid_", "oid"];

impl std::fmt::Debug for BotDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BotDatabase").field("tables", &self.tables()).finish_non_exhaustive()
    }
}

#[derive(QueryableByName)]
struct ColumnName {
    #[diesel(sql_type = Text)]
    name: String,
    /// Not 0 for what is computed instead of stored.
    #[diesel(sql_type = BigInt)]
    hidden: i64,
}

/// What the schema says that a name stands for.
#[derive(QueryableByName)]
struct SchemaEntry {
    #[diesel(sql_type = Text)]
    kind: String,
    /// 0 for what is stored nowhere.
    #[diesel(sql_type = BigInt)]
    root_page: i64,
}

impl BotDatabase {
    /// Opens `path` and recognises its tables. `venue` is the one of the book that its rows are read for.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::NotABotDatabase`] for a SQLite file with none of the tables, or for a book.
    pub fn open(path: impl AsRef<Path>, venue: BotVenue) -> StoreResult<Self> {
        let path = path.as_ref();
        let mut conn = open_foreign(path)?;
        // Nothing that the file brings along is run, and pages are looked at before they are believed.
        conn.control("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")?;
        let mut tables = Vec::new();
        for table in BotTable::ALL {
            let found = find(&mut conn, *table).map_err(|error| conn.explain_opening(failed(READING)(error)))?;
            tables.extend(found);
        }
        let is_book = tables.iter().any(|found| found.columns.iter().any(|name| name == "account_id"));
        if tables.is_empty() || is_book {
            return Err(StoreError::NotABotDatabase { path: path.to_owned() });
        }
        Ok(Self { conn, venue, tables })
    }

    /// The tables that it has.
    pub fn tables(&self) -> Vec<BotTable> {
        self.tables.iter().map(|found| found.table).collect()
    }

    /// Up to `limit` rows of a table with a number above `after`, fewer where they are long; empty at the end.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read, the table is none that rows are stored in, or its rows are in no order; a
    /// row that cannot be read is an answer, not an error.
    pub fn rows(&mut self, table: BotTable, after: Option<i64>, limit: u32) -> StoreResult<Vec<BotRow>> {
        let Some(found) = self.tables.iter().find(|found| found.table == table) else { return Ok(Vec::new()) };
        let row_id = found.row_id.map_err(|what| StoreError::NotAnOrdinaryTable {
            path: self.conn.path().to_owned(),
            table: table.as_str(),
            what,
        })?;
        let query = diesel::sql_query(cells::select(table, &found.columns, row_id))
            .bind::<BigInt, _>(after.unwrap_or(i64::MIN))
            .bind::<BigInt, _>(i64::from(limit));
        let rows = load(query, &mut self.conn).map_err(|error| self.conn.explain(failed(READING)(error)))?;
        let mut before = after;
        for row in &rows {
            // Read on behind such a row, the table would never end.
            if let Some(before) = before.filter(|before| row.number() <= *before) {
                let source = BackendError::new(format!("row {} of table {table} follows row {before}", row.number()));
                return Err(StoreError::Damaged { path: self.conn.path().to_owned(), source });
            }
            before = Some(row.number());
        }
        Ok(rows.into_iter().map(|row| read(table, row, &self.venue)).collect())
    }
}

/// A table of this name, if the file has one with the columns of a bot's.
fn find(conn: &mut SqliteConnection, table: BotTable) -> QueryResult<Option<FoundTable>> {
    // Asked first: to tell the columns of a view, SQLite would have to take it apart.
    let entry: Option<SchemaEntry> = diesel::sql_query(
        "SELECT type AS kind, rootpage AS root_page FROM sqlite_master
         WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')",
    )
    .bind::<Text, _>(table.as_str())
    .get_result(conn)
    .optional()?;
    let Some(SchemaEntry { kind, root_page }) = entry else { return Ok(None) };
    if kind != "table" || root_page <= 0 {
        let what = if kind == "view" { "a view" } else { "a virtual table" };
        return Ok(Some(FoundTable { table, columns: Vec::new(), row_id: Err(what) }));
    }
    let all: Vec<ColumnName> = diesel::sql_query("SELECT name, hidden FROM pragma_table_xinfo(?)")
        .bind::<Text, _>(table.as_str())
        .load(conn)?;
    let row_id = ROW_IDS.into_iter().find(|id| !all.iter().any(|column| column.name.eq_ignore_ascii_case(id)));
    let columns: Vec<String> = all.into_iter().filter(|column| column.hidden == 0).map(|column| column.name).collect();
    if !table.columns().first().is_some_and(|key| columns.iter().any(|name| name == key)) {
        return Ok(None);
    }
    let row_id = match row_id {
        Some(id) => match diesel::sql_query(format!("SELECT {id} FROM {table} LIMIT 0")).execute(conn) {
            Ok(_) => Ok(id),
            Err(error) if error.to_string().contains("no such column") => Err("a table without row numbers"),
            Err(error) => return Err(error),
        },
        None => Err("a table whose columns hide the numbers of its rows"),
    };
    Ok(Some(FoundTable { table, columns, row_id }))
}

/// The rows of a page, as far as they may be held at once.
fn load(
    query: impl LoadQuery<'static, SqliteConnection, RawRow>,
    conn: &mut SqliteConnection,
) -> QueryResult<Vec<RawRow>> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for row in query.internal_load(conn)? {
        let row = row?;
        bytes += row.text_bytes();
        rows.push(row);
        if bytes >= PAGE_BYTES_MAX {
            break;
        }
    }
    Ok(rows)
}

fn read(table: BotTable, row: RawRow, venue: &BotVenue) -> BotRow {
    if let Some(column) = row.too_long() {
        let parsed = Err(format!("{column}: it has more than {} bytes", cells::VALUE_BYTES_MAX));
        return BotRow { table, rowid: row.number(), parsed, note: None, doubts_number_format: false };
    }
    row::read(&Cells::new(table, row), venue)
}

/// What is being done, for the error.
const READING: &str = "read the bot's database";
