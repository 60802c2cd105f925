//! Binance USD-M order exports: rows into orders.

use std::sync::Arc;

use ledger_core::{AnyFact, Order, OrderClass, OrderKey, OrderTerms, Source, Statement};

use super::cell::Cell;
use super::columns::Columns;
use super::context::{Context, statement};
use super::error::RowError;
use super::executed::{Executed, check_order};
use super::table::{Column, Header, Record};
use crate::binance_usdm::VENUE;

/// Where an order export keeps what.
#[derive(Debug)]
pub(super) struct OrderColumns {
    source: Source,
    pub(super) time: Column,
    symbol: Column,
    order_type: Column,
    side: Column,
    position_side: Option<Column>,
    price: Column,
    avg_price: Column,
    qty: Column,
    executed_qty: Column,
    /// Executed quantity x average price.
    quote: Option<Column>,
    trigger_price: Option<Column>,
    status: Column,
    client_order_id: Option<Column>,
    time_in_force: Option<Column>,
    reduce_only: Option<Column>,
    close_position: Option<Column>,
    updated: Option<Column>,
    order_id: Column,
}

impl OrderColumns {
    /// The columns that it cannot do without, as the exchange names them and as they are found.
    pub(super) const NEEDED: &[(&str, &[&str])] = &[
        ("Time", &["time", "date"]),
        ("Symbol", &["symbol"]),
        ("Type", &["origtype", "type"]),
        ("Side", &["side"]),
        ("Price", &["price"]),
        ("Average Price", &["averageprice", "avgprice"]),
        ("Amount", &["amount", "quantity", "origqty"]),
        ("Executed Amount", &["executedamount", "executedqty"]),
        ("Status", &["status"]),
        ("Order No", &["orderno", "orderid"]),
    ];

    const POSSIBLE: &[(&str, &[&str])] = &[
        ("Position Side", &["positionside"]),
        ("Executed Quote Amount", &["executedquoteamount", "cumquote"]),
        ("Stop Price", &["stopprice", "triggerprice"]),
        ("Client Order Id", &["clientorderid"]),
        ("Update Time", &["updatetime"]),
        ("Reduce Only", &["reduceonly"]),
        ("Close Position", &["closeposition"]),
        ("Time In Force", &["timeinforce"]),
    ];
    const KNOWN: &[&str] = &[
        "activateprice",
        "activationprice",
        "amount",
        "averageprice",
        "avgprice",
        "baseqty",
        "clientorderid",
        "closeposition",
        "cumbase",
        "cumqty",
        "cumquote",
        "date",
        "executedamount",
        "executedqty",
        "executedquoteamount",
        "goodtilldate",
        "marginasset",
        "orderid",
        "orderno",
        "origqty",
        "origtype",
        "pair",
        "positionside",
        "price",
        "pricerate",
        "priceprotect",
        "quantity",
        "reduceonly",
        "side",
        "status",
        "stopprice",
        "symbol",
        "time",
        "timeinforce",
        "triggerprice",
        "type",
        "updatetime",
        "workingtype",
    ];

    /// The columns that it may have.
    pub(super) fn columns(&self) -> Columns {
        let never_first: &[&str] = if self.source == Source::ExchangeArchive { &[] } else { &["orderid", "orderno"] };
        Columns { known: Self::KNOWN, never_first, usual: &[], possible: Self::POSSIBLE }
    }

    /// Recognises the header.
    pub(super) fn recognise(header: &Header) -> Option<Self> {
        // The archive names its columns as the API does.
        let is_archive = header.has(&["origqty", "executedqty"]);
        Some(Self {
            source: if is_archive { Source::ExchangeArchive } else { Source::ExchangeCsv },
            time: header.column(&["time", "date"])?,
            symbol: header.column(&["symbol"])?,
            order_type: header.column(&["origtype"]).or_else(|| header.column(&["type"]))?,
            side: header.column(&["side"])?,
            position_side: header.column(&["positionside"]),
            price: header.column(&["price"])?,
            avg_price: header.column(&["averageprice", "avgprice"])?,
            qty: header.column(&["amount", "quantity", "origqty"])?,
            executed_qty: header.column(&["executedamount", "executedqty"])?,
            quote: header.column(&["executedquoteamount", "cumquote"]),
            trigger_price: header.column(&["stopprice", "triggerprice"]),
            status: header.column(&["status"])?,
            client_order_id: header.column(&["clientorderid"]),
            time_in_force: header.column(&["timeinforce"]),
            reduce_only: header.column(&["reduceonly"]),
            close_position: header.column(&["closeposition"]),
            updated: header.column(&["updatetime"]),
            order_id: header.column(&["orderno", "orderid"])?,
        })
    }

    /// What a row states.
    pub(super) fn parse(
        &self,
        row: Record<'_>,
        payload: &Arc<str>,
        context: &mut Context,
    ) -> Result<Vec<Statement>, RowError> {
        let zone = context.zone.as_ref();
        let key = OrderKey {
            symbol: row.required(self.symbol)?.contract()?,
            class: OrderClass::Regular,
            order_id: row.required(self.order_id)?.counted_id()?,
        };
        let created = row.required(self.time)?.time(zone)?;
        let updated = row.optional(self.updated).map(|cell| cell.time(zone)).transpose()?;
        let side = row.required(self.side)?.side()?;
        let qty = row.optional(Some(self.qty)).map_or(Ok(None), Cell::quantity_unless_zero)?;
        let executed = Executed {
            symbol: &key.symbol,
            qty: row.optional(Some(self.executed_qty)),
            avg_price: row.optional(Some(self.avg_price)),
            quote: row.optional(self.quote),
        };
        let executed = executed.read()?;
        let order = VENUE.order_rules.tell(Order {
            client_order_id: row.optional(self.client_order_id).map(Cell::id).transpose()?,
            side,
            position_side: row.optional(self.position_side).map(super::cell::Cell::position_side).transpose()?,
            order_type: Some(row.required(self.order_type)?.label_as_name()?),
            time_in_force: row.optional(self.time_in_force).map(Cell::label_as_name).transpose()?,
            status: row.required(self.status)?.status()?,
            terms: OrderTerms {
                as_of: Some(updated.unwrap_or(created).at),
                qty,
                price: row.optional(Some(self.price)).map_or(Ok(None), Cell::price_unless_zero)?,
                trigger_price: row.optional(self.trigger_price).map_or(Ok(None), Cell::price_unless_zero)?,
            },
            executed,
            reduce_only: row.optional(self.reduce_only).map(Cell::boolean).transpose()?,
            close_position: row.optional(self.close_position).map(Cell::boolean).transpose()?,
            created: Some(created),
            updated,
            ..Order::known_from_fill(key.clone(), side, None)
        });
        check_order(&order)?;
        context.check_account(row.owners())?;
        let symbol = key.symbol;
        let source = self.source;
        let mut statements = vec![statement(AnyFact::Order(order), source, payload)];
        statements.extend(context.instrument_statement(&symbol, None, source, payload));
        Ok(statements)
    }
}
