//! The lines as they stand in the file: texts, integers and truth values, not yet checked for what they mean.

use serde::{Deserialize, Serialize};

/// What every line begins with.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    pub(super) schema: String,
    pub(super) source: String,
}

/// Declares the layout of a line: the fields that it always has, and those that are left out when unknown.
macro_rules! line {
    ($(#[$doc:meta])* $name:ident { $($required:ident: $type:ty),+ $(,)? } $({ $($optional:ident: $inner:ty),+ $(,)? })?) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize)]
        pub(super) struct $name {
            pub(super) schema: String,
            pub(super) source: String,
            $(pub(super) $required: $type,)+
            $($(
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub(super) $optional: Option<$inner>,
            )+)?
        }
    };
}

line!(
    /// An execution.
    FillLine { symbol: String, fill_id: String, side: String, ts: i64, price: String, qty: String }
    {
        ts_precision: String, order_id: String, position_side: String, fee: String, fee_asset: String, maker: bool,
        exchange_realized_pnl: String, sequence: String,
    }
);

/// A fee that an order's answer states.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FeeLine {
    pub(super) amount: String,
    pub(super) asset: String,
}

line!(
    /// An order's state.
    OrderLine { symbol: String, order_class: String, order_id: String, side: String, status: String }
    {
        client_order_id: String, position_side: String, order_type: String, time_in_force: String, qty: String,
        price: String, trigger_price: String, terms_ts: i64, executed_qty: String, avg_price: String,
        fees_qty: String, fees: Vec<FeeLine>,
        reduce_only: bool, close_position: bool, ts: i64, ts_precision: String, updated_ts: i64,
        updated_ts_precision: String, triggered_order_id: String, origin: String, condition: String,
        engine: String, signal_id: String, exit_reason: String,
    }
);

line!(
    /// A cancellation.
    CancelLine { symbol: String, order_class: String, order_id: String, ts: i64 }
    { ts_precision: String, side: String, reason: String }
);

line!(
    /// An entry of the exchange's ledger.
    IncomeLine { income_type: String, tran_id: String, asset: String, amount: String, ts: i64 }
    { symbol: String, ts_precision: String, fill_id: String, info: String }
);

line!(
    /// A strategy's decision.
    SignalLine { signal_id: String, ts: i64, symbol: String, side: String, kind: String }
    {
        ts_precision: String, skew_ms: i64, engine: String, reason: String, skipped: String, meta_json: String,
        restored: bool,
    }
);

line!(
    /// An order about to be sent.
    IntentLine {
        client_order_id: String, symbol: String, order_class: String, side: String, role: String, dca_step: u32,
        attempt: u32, order_type: String, reduce_only: bool, created_local_ms: i64, outcome: String,
    }
    { position_side: String, qty: String, price: String, trigger_price: String, signal_id: String, engine: String }
);

line!(
    /// A contract.
    InstrumentLine { symbol: String, kind: String, multiplier: String, settle_asset: String }
    { tick_size: String, step_size: String, liquidation_fee: String, terms_ts: i64 }
);

line!(
    /// A position as the exchange stated it.
    PositionLine { symbol: String, position_side: String, ts: i64, qty: String }
    { entry_price: String }
);

line!(
    /// A balance as the exchange stated it.
    BalanceLine { asset: String, ts: i64, wallet: String }
);

line!(
    /// A price as the exchange stated it.
    PriceLine { symbol: String, kind: String, ts: i64, price: String }
);

line!(
    /// What was paid at a funding instant.
    FundingRateLine { symbol: String, ts: i64, rate: String }
    { mark_price: String }
);

line!(
    /// A stated position where no fills can be had.
    AnchorLine { symbol: String, position_side: String, ts: i64, qty: String, derivation: String }
    { entry_price: String, known_until: i64, known_fills: u64, withdrawn: String }
);

line!(
    /// The position mode as the exchange stated it.
    PositionModeLine { ts: i64, mode: String }
);
