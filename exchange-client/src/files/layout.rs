//! Which of the known tables a header begins.

use std::sync::Arc;

use ledger_core::Statement;

use super::Kind;
use super::columns::Columns;
use super::context::Context;
use super::error::RowError;
use super::orders::OrderColumns;
use super::table::{Column, Header, Record};
use super::trades::TradeColumns;
use super::transactions::TransactionColumns;

/// A known table.
#[derive(Debug)]
pub(super) enum Layout {
    Trades(TradeColumns),
    Orders(OrderColumns),
    Transactions(TransactionColumns),
}

impl Layout {
    /// Recognises a header by the columns it has, in whatever order, and whatever else it has.
    pub(super) fn recognise(header: &Header) -> Option<Self> {
        // Orders first: their header would almost do for trades.
        OrderColumns::recognise(header)
            .map(Self::Orders)
            .or_else(|| TradeColumns::recognise(header).map(Self::Trades))
            .or_else(|| TransactionColumns::recognise(header).map(Self::Transactions))
    }

    /// Which known table a header that is none comes closest to, in words, and the columns that it lacks. `None` where it
    /// lacks more than a few of each.
    pub(super) fn lacking(header: &Header) -> Option<(&'static str, String)> {
        const LACKING_MAX: usize = 2;
        let tables = [
            ("trade history", TradeColumns::NEEDED),
            ("order history", OrderColumns::NEEDED),
            ("transaction history", TransactionColumns::NEEDED),
        ];
        let lacking = tables.into_iter().map(|(table, needed)| {
            let names = needed.iter().filter(|(_, keys)| header.column(keys).is_none()).map(|(name, _)| *name);
            (table, names.collect::<Vec<_>>())
        });
        let (table, names) = lacking.min_by_key(|(_, names)| names.len())?;
        let is_close = (1..=LACKING_MAX).contains(&names.len());
        is_close.then(|| (table, names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")))
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Trades(columns) => columns.kind(),
            Self::Orders(_) => Kind::BinanceOrders,
            Self::Transactions(_) => Kind::BinanceTransactions,
        }
    }

    /// The columns that it may have.
    pub(super) fn columns(&self) -> Columns {
        match self {
            Self::Trades(columns) => columns.columns(),
            Self::Orders(columns) => columns.columns(),
            Self::Transactions(columns) => columns.columns(),
        }
    }

    pub(super) fn time_column(&self) -> Column {
        match self {
            Self::Trades(columns) => columns.time,
            Self::Orders(columns) => columns.time,
            Self::Transactions(columns) => columns.time,
        }
    }

    pub(super) fn parse(
        &self,
        row: Record<'_>,
        payload: &Arc<str>,
        context: &mut Context,
    ) -> Result<Vec<Statement>, RowError> {
        match self {
            Self::Trades(columns) => columns.parse(row, payload, context),
            Self::Orders(columns) => columns.parse(row, payload, context),
            Self::Transactions(columns) => columns.parse(row, payload, context),
        }
    }
}
