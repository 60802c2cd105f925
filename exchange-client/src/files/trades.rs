//! Binance USD-M trade exports: rows into fills.

use std::sync::Arc;

use ledger_core::{Asset, Decimal, Fill, FillId, FillKey, Side, Source, Statement};

use super::Kind;
use super::amounts::Stated;
use super::cell::{Assets, Cell};
use super::columns::Columns;
use super::context::{Context, linear};
use super::error::{RowError, RowProblem};
use super::table::{Column, Header, Record};
use crate::binance_usdm::instrument_from_symbol;

/// Where a trade export keeps what.
#[derive(Debug)]
pub(super) struct TradeColumns {
    kind: Kind,
    pub(super) time: Column,
    symbol: Column,
    side: Column,
    position_side: Option<Column>,
    price: Column,
    qty: Column,
    /// Price x quantity.
    amount: Option<Column>,
    fee: Column,
    fee_asset: Option<Column>,
    margin_asset: Option<Column>,
    realized_pnl: Option<Column>,
    buyer: Option<Column>,
    maker: Option<Column>,
    trade_id: Column,
    order_id: Column,
}

impl TradeColumns {
    /// The columns that it cannot do without, as the exchange names them and as they are found.
    pub(super) const NEEDED: &[(&str, &[&str])] = &[
        ("Time", &["time", "date"]),
        ("Symbol", &["symbol"]),
        ("Side", &["side"]),
        ("Price", &["price"]),
        ("Quantity", &["quantity", "qty"]),
        ("Fee", &["fee", "commission"]),
        ("Trade ID", &["tradeid", "id"]),
        ("Order ID", &["orderid"]),
    ];

    const USUAL: &[(&str, &[&str])] = &[("Amount", &["amount", "quoteqty"]), ("Realized Profit", Self::REALIZED)];
    const POSSIBLE: &[(&str, &[&str])] = &[
        ("Position Side", &["positionside"]),
        ("Fee Asset", &["feeasset", "commissionasset"]),
        ("Buyer", &["buyer", "isbuyer"]),
        ("Maker", &["maker"]),
    ];
    const REALIZED: &[&str] = &["realizedprofit", "realizedpnl", "realisedprofit", "realisedpnl"];
    const KNOWN: &[&str] = &[
        "amount",
        "baseqty",
        "buyer",
        "commission",
        "commissionasset",
        "date",
        "fee",
        "feeasset",
        "isbuyer",
        "maker",
        "marginasset",
        "orderid",
        "pair",
        "positionside",
        "price",
        "qty",
        "quantity",
        "quoteqty",
        "realisedpnl",
        "realisedprofit",
        "realizedpnl",
        "realizedprofit",
        "side",
        "symbol",
        "time",
        "tradeid",
    ];

    /// The columns that it may have.
    pub(super) fn columns(&self) -> Columns {
        match self.kind {
            Kind::BinanceTradesArchive => {
                const KNOWN: &[&str] = &[
                    "baseqty",
                    "buyer",
                    "commission",
                    "commissionasset",
                    "id",
                    "maker",
                    "marginasset",
                    "orderid",
                    "pair",
                    "positionside",
                    "price",
                    "qty",
                    "quoteqty",
                    "realizedpnl",
                    "side",
                    "symbol",
                    "time",
                ];
                Columns { known: KNOWN, never_first: &[], usual: Self::USUAL, possible: Self::POSSIBLE }
            }
            _ => Columns {
                known: Self::KNOWN,
                never_first: &["orderid", "tradeid"],
                usual: Self::USUAL,
                possible: Self::POSSIBLE,
            },
        }
    }

    /// Recognises any generation of the header.
    pub(super) fn recognise(header: &Header) -> Option<Self> {
        let is_archive = header.has(&["symbol", "id", "orderid", "side", "price", "qty", "commission", "time"]);
        let position_side = header.column(&["positionside"]);
        let kind = match (is_archive, position_side) {
            (true, _) => Kind::BinanceTradesArchive,
            (false, Some(_)) => Kind::BinanceTradesLegacy,
            (false, None) => Kind::BinanceTrades,
        };
        Some(Self {
            kind,
            time: header.column(&["time", "date"])?,
            symbol: header.column(&["symbol"])?,
            side: header.column(&["side"])?,
            position_side,
            price: header.column(&["price"])?,
            qty: header.column(if is_archive { &["qty"] } else { &["quantity"] })?,
            amount: header.column(if is_archive { &["quoteqty"] } else { &["amount", "quoteqty"] }),
            fee: header.column(if is_archive { &["commission"] } else { &["fee"] })?,
            fee_asset: header.column(&["commissionasset", "feeasset"]),
            margin_asset: header.column(&["marginasset"]),
            realized_pnl: header.column(Self::REALIZED),
            buyer: header.column(&["buyer", "isbuyer"]),
            maker: header.column(&["maker"]),
            trade_id: header.column(if is_archive { &["id"] } else { &["tradeid"] })?,
            order_id: header.column(&["orderid"])?,
        })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// What a row states.
    pub(super) fn parse(
        &self,
        row: Record<'_>,
        payload: &Arc<str>,
        context: &mut Context,
    ) -> Result<Vec<Statement>, RowError> {
        let symbol = row.required(self.symbol)?.contract()?;
        let fill_id: FillId = row.required(self.trade_id)?.counted_id()?;
        let margin_asset = row.optional(self.margin_asset).map(Cell::id::<Asset>).transpose()?;
        let fee_asset: Option<Asset> = row.optional(self.fee_asset).map(Cell::id).transpose()?;
        let settle = margin_asset.clone().or_else(|| context.settle_asset(&symbol));
        let carried = Assets::Carried { symbol: &symbol, settle: settle.as_ref() };
        let assets = fee_asset.as_ref().map_or(carried, Assets::Named);
        let maker = row.optional(self.maker).map(Cell::boolean).transpose()?;
        let fee = row.optional(Some(self.fee)).map(|cell| context.fee(cell, assets, maker)).transpose()?;
        let assets = margin_asset.as_ref().map_or(carried, Assets::Named);
        let realized_pnl = match row.optional(self.realized_pnl) {
            Some(cell) => Some(profit(cell, assets, settle.as_ref())?),
            None => None,
        };
        let (price, qty) = (row.required(self.price)?.price()?, row.required(self.qty)?.quantity()?);
        // The margin asset says what a linear contract settles in, not that the contract is linear: COIN-M's are not, and
        // their amounts are in coins.
        let is_linear = instrument_from_symbol(&symbol).is_some();
        if let Some(amount) = row.optional(self.amount).filter(|_| is_linear) {
            Stated::exact(amount)?.check(price.get(), qty.get(), Decimal::ZERO)?;
        }
        let side = row.required(self.side)?.side()?;
        if let Some(buyer) = row.optional(self.buyer)
            && buyer.boolean()? != (side == Side::Buy)
        {
            return Err(buyer.error(RowProblem::BuyerOfOtherSide { side: side.as_str().to_owned() }));
        }
        let fill = Fill {
            order_id: row.optional(Some(self.order_id)).map(Cell::counted_id).transpose()?,
            time: row.required(self.time)?.time(context.zone.as_ref())?,
            price,
            qty,
            position_side: row.optional(self.position_side).map(super::cell::Cell::position_side).transpose()?,
            fee,
            maker,
            exchange_realized_pnl: realized_pnl,
            sequence: fill_id.as_sequence(),
            key: FillKey { symbol, fill_id, side },
        };
        context.check_account(row.owners())?;
        let source = match self.kind {
            Kind::BinanceTradesArchive => Source::ExchangeArchive,
            _ => Source::ExchangeCsv,
        };
        let instrument = margin_asset.filter(|_| is_linear).and_then(|asset| linear(&fill.key.symbol, asset));
        Ok(context.fill_statements(fill, instrument, source, payload))
    }
}

/// The asset in which the exchange pays the profit of any contract to an account in its credits trading mode.
const CREDITS: &str = "BNFCR";

/// A realized profit. It is in what the contract settles in, or in credits.
fn profit(cell: Cell<'_>, assets: Assets<'_>, settle: Option<&Asset>) -> Result<Decimal, RowError> {
    let (amount, asset) = cell.money(assets)?;
    match asset.zip(settle) {
        Some((found, settle)) if found != *settle && found.as_str() != CREDITS => {
            Err(cell.error(RowProblem::ProfitAsset { found: found.to_string(), settle: settle.to_string() }))
        }
        _ => Ok(amount),
    }
}
