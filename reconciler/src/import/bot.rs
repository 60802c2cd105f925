//! A bot's own database: table by table, after a look at whether its numbers can be believed.

use std::path::Path;

use exchange_client::binance_usdm::VENUE;
use exchange_client::files::{BookVenue, other_venue};
use ledger_store::StoreError;
use ledger_store::bot_database::{BotDatabase, BotVenue};

use super::PAGE;
use super::event::Origin;
use super::reading::Reading;
use super::survey::give_way;

/// A database whose numbers do not mean what they seem to.
#[derive(Debug, thiserror::Error)]
#[error(
    "the number format of `{file}` is in doubt, as after a program that took dots for separators of thousands: {reason}; no row \
     of it is taken. Import the database as the bot wrote it"
)]
struct NumberFormat {
    file: String,
    reason: String,
}

/// The first row that is apart by a power of 1000 from what it says itself. What cannot be read shows when it is read again.
async fn doubt(database: &mut BotDatabase) -> Option<String> {
    for table in database.tables() {
        let mut after = None;
        while let Ok(rows) = database.rows(table, after, PAGE) {
            let Some(last) = rows.last() else { break };
            after = Some(last.rowid);
            give_way().await;
            let doubtful = rows.into_iter().find(|row| row.doubts_number_format);
            if let Some((rowid, Err(reason))) = doubtful.map(|row| (row.rowid, row.parsed)) {
                return Some(format!("row {rowid} of {table}: {reason}"));
            }
        }
    }
    None
}

impl Reading<'_> {
    pub(super) async fn bot_database(&mut self, path: &Path, book: BookVenue) -> Result<(), StoreError> {
        let venue = BotVenue {
            rules: VENUE.order_rules,
            other_venue,
            counts_coins: (book == BookVenue::BinanceUsdm).then_some("Binance USD-M"),
        };
        let mut database = match BotDatabase::open(path, venue) {
            Ok(database) => database,
            Err(error) => {
                self.refuse(&error);
                return Ok(());
            }
        };
        if let Some(reason) = doubt(&mut database).await {
            self.refuse(&NumberFormat { file: path.display().to_string(), reason });
            return Ok(());
        }
        for table in database.tables() {
            let mut after = None;
            loop {
                let rows = match database.rows(table, after, PAGE) {
                    Ok(rows) => rows,
                    Err(error) => {
                        self.refuse(&error);
                        break;
                    }
                };
                let Some(last) = rows.last() else { break };
                after = Some(last.rowid);
                give_way().await;
                for row in rows {
                    self.rows += 1;
                    let line = u64::try_from(row.rowid).unwrap_or_default();
                    let origin = Origin { member: Some(table.as_str().into()), line, element: None };
                    if let Some(note) = row.note {
                        self.note(&origin, note);
                    }
                    match row.parsed {
                        Ok(statements) => self.take(statements, &origin).await?,
                        Err(reason) => self.reject(&origin, &reason),
                    }
                }
            }
        }
        self.commit().await?;
        self.remark_owner();
        Ok(())
    }
}
