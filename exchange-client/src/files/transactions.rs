//! Binance USD-M transaction exports: rows into income.

use std::sync::Arc;

use ledger_core::{AnyFact, Asset, Income, IncomeKey, IncomeType, Source, Statement, TranId};

use super::cell::Cell;
use super::columns::Columns;
use super::context::{Context, statement};
use super::error::RowError;
use super::table::{Column, Header, Record};
use crate::income_id::{IncomeDigest, is_no_id};

/// Where a transaction export keeps what.
#[derive(Debug)]
pub(super) struct TransactionColumns {
    source: Source,
    pub(super) time: Column,
    income_type: Column,
    amount: Column,
    asset: Column,
    symbol: Column,
    tran_id: Column,
    fill_id: Option<Column>,
    info: Option<Column>,
}

impl TransactionColumns {
    /// The columns that it cannot do without, as the exchange names them and as they are found.
    pub(super) const NEEDED: &[(&str, &[&str])] = &[
        ("Date", &["date", "time"]),
        ("type", &["type", "incometype"]),
        ("Amount", &["amount", "income"]),
        ("Asset", &["asset"]),
        ("Symbol", &["symbol"]),
        ("Transaction ID", &["transactionid", "tranid"]),
    ];

    const KNOWN: &[&str] = &[
        "amount",
        "asset",
        "date",
        "income",
        "incometype",
        "info",
        "symbol",
        "time",
        "tradeid",
        "tranid",
        "transactionid",
        "type",
    ];

    /// The columns that it may have.
    pub(super) fn columns(&self) -> Columns {
        let is_archive = self.source == Source::ExchangeArchive;
        let never_first: &[&str] = if is_archive { &[] } else { &["tradeid", "tranid", "transactionid"] };
        Columns { known: Self::KNOWN, never_first, usual: &[], possible: &[("Trade ID", &["tradeid"])] }
    }

    /// Recognises the header.
    pub(super) fn recognise(header: &Header) -> Option<Self> {
        // The archive names its columns as the API does.
        let is_archive = header.has(&["incometype", "income"]);
        Some(Self {
            source: if is_archive { Source::ExchangeArchive } else { Source::ExchangeCsv },
            time: header.column(&["date", "time"])?,
            income_type: header.column(&["type", "incometype"])?,
            amount: header.column(&["amount", "income"])?,
            asset: header.column(&["asset"])?,
            symbol: header.column(&["symbol"])?,
            tran_id: header.column(&["transactionid", "tranid"])?,
            fill_id: header.column(&["tradeid"]),
            info: header.column(&["info"]),
        })
    }

    /// What a row states.
    pub(super) fn parse(
        &self,
        row: Record<'_>,
        payload: &Arc<str>,
        context: &mut Context,
    ) -> Result<Vec<Statement>, RowError> {
        let income_type = income_type(row.required(self.income_type)?)?;
        let time = row.required(self.time)?.time(context.zone.as_ref())?;
        let asset: Asset = row.required(self.asset)?.id()?;
        let amount = row.required(self.amount)?.decimal()?;
        let symbol = row.optional(Some(self.symbol)).map(Cell::symbol).transpose()?;
        let tran_id = row.optional(Some(self.tran_id)).filter(|cell| !is_no_id(cell.text));
        let tran_id: Option<TranId> = tran_id.map(Cell::counted_id).transpose()?;
        let fill_id = row.optional(self.fill_id).filter(|cell| !is_no_id(cell.text));
        let fill_id = fill_id.map(Cell::counted_id).transpose()?;
        let info = row.optional(self.info).map(Cell::id).transpose()?;
        context.check_account(row.owners())?;
        let tran_id = if let Some(tran_id) = tran_id {
            tran_id
        } else {
            let digest = IncomeDigest::new(&income_type, time.at, amount, &asset, symbol.as_ref());
            let earlier = context.occurrences.replace(digest, |earlier| earlier.unwrap_or(0).saturating_add(1));
            let made_up = digest.tran_id(earlier.unwrap_or(0));
            made_up.map_err(|problem| RowError::cell("Transaction ID", "", problem))?
        };
        let key = IncomeKey { income_type, tran_id, symbol, asset };
        let income = Income { key, amount, time, fill_id, info };
        Ok(vec![statement(AnyFact::Income(income), self.source, payload)])
    }
}

/// The API's name of an entry type that the export may word otherwise.
fn income_type(cell: Cell<'_>) -> Result<IncomeType, RowError> {
    let name = cell.open_name();
    let name = match name.as_str() {
        "REALIZED_PROFIT" | "REALISED_PNL" | "REALIZED_PROFIT_AND_LOSS" => IncomeType::REALIZED_PNL,
        "FEE" | "TRADING_FEE" | "TRANSACTION_FEE" => IncomeType::COMMISSION,
        "FUNDING" => IncomeType::FUNDING_FEE,
        name => name,
    };
    name.parse().map_err(|problem: ledger_core::UnknownName| cell.error(problem))
}
