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

mod amounts;
mod cells;
mod row;
#[cfg(test)]
mod tests;
mod time;

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use ledger_core::{Statement, VenueRules};

use self::cells::{Cells, RawRow};
use crate::error::StoreError;
use crate::repository::StoreResult;
use crate::sqlite::{BookConnection, failed, open_foreign};

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
    rules: VenueRules,
    tables: Vec<(BotTable, Vec<String>)>,
}

impl std::fmt::Debug for BotDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BotDatabase").field("tables", &self.tables()).finish_non_exhaustive()
    }
}

#[derive(QueryableByName)]
struct ColumnName {
    #[diesel(sql_type = Text)]
    name: String,
}

impl BotDatabase {
    /// Opens `path` and recognises its tables. `rules` say what the client order ids and types mean at the venue that the bot
    /// trades at.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::NotABotDatabase`] for a SQLite file with none of the tables, or for a book.
    pub fn open(path: impl AsRef<Path>, rules: VenueRules) -> StoreResult<Self> {
        let path = path.as_ref();
        let mut conn = open_foreign(path)?;
        conn.control("PRAGMA query_only = ON")?;
        let mut tables = Vec::new();
        for table in BotTable::ALL {
            let names: Vec<ColumnName> = diesel::sql_query("SELECT name FROM pragma_table_info(?)")
                .bind::<Text, _>(table.as_str())
                .load(&mut *conn)
                .map_err(|error| conn.explain_opening(failed(READING)(error)))?;
            let names: Vec<String> = names.into_iter().map(|column| column.name).collect();
            if table.columns().first().is_some_and(|key| names.iter().any(|name| name == key)) {
                tables.push((*table, names));
            }
        }
        let is_book = tables.iter().any(|(_, names)| names.iter().any(|name| name == "account_id"));
        if tables.is_empty() || is_book {
            return Err(StoreError::NotABotDatabase { path: path.to_owned() });
        }
        Ok(Self { conn, rules, tables })
    }

    /// The tables that it has.
    pub fn tables(&self) -> Vec<BotTable> {
        self.tables.iter().map(|(table, _)| *table).collect()
    }

    /// Up to `limit` rows of a table with a number above `after`; empty at the end.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read; a row that cannot be read is an answer, not an error.
    pub fn rows(&mut self, table: BotTable, after: Option<i64>, limit: u32) -> StoreResult<Vec<BotRow>> {
        let Some((_, present)) = self.tables.iter().find(|(known, _)| *known == table) else { return Ok(Vec::new()) };
        let rows: Vec<RawRow> = diesel::sql_query(cells::select(table, present))
            .bind::<BigInt, _>(after.unwrap_or(i64::MIN))
            .bind::<BigInt, _>(i64::from(limit))
            .load(&mut *self.conn)
            .map_err(|error| self.conn.explain(failed(READING)(error)))?;
        Ok(rows.into_iter().map(|row| Cells::new(table, row)).map(|cells| row::read(&cells, &self.rules)).collect())
    }
}

/// What is being done, for the error.
const READING: &str = "read the bot's database";
