//! Payloads as they come: every field optional, every value text. What is missing or wrong is said by [`super::parse`],
//! which knows the field's name.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// A scalar as text, whether it came as JSON string, number or boolean. Numbers keep their digits: they never pass
/// through a float, so ids above 2^53 and decimals stay exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scalar {
    /// The text of a string, number or boolean.
    Text(String),
    /// An object or list.
    Compound,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        match raw.get().as_bytes().first() {
            Some(b'"') => serde_json::from_str(raw.get()).map(Self::Text).map_err(de::Error::custom),
            Some(b'{' | b'[') => Ok(Self::Compound),
            _ => Ok(Self::Text(raw.get().to_owned())),
        }
    }
}

/// A field that may be absent or `null`.
pub(super) type Field = Option<Scalar>;

/// An element of `klines`: a list whose values have no names, only positions.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct KlineRow {
    /// Open time, open, high, low, close, volume, close time, and more.
    values: Vec<Field>,
}

impl KlineRow {
    /// When its first millisecond was.
    pub(super) fn open_time(&self) -> &Field {
        self.value(0)
    }

    /// The last price.
    pub(super) fn close(&self) -> &Field {
        self.value(4)
    }

    /// When its last millisecond was.
    pub(super) fn close_time(&self) -> &Field {
        self.value(6)
    }

    fn value(&self, place: usize) -> &Field {
        self.values.get(place).unwrap_or(&None)
    }
}

/// Unknown fields are ignored; known ones keep their names on the wire.
macro_rules! payload {
    ($(#[$doc:meta])* $name:ident { $($field:ident $(= $wire:literal)?),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub(super) struct $name {
            $($(#[serde(rename = $wire)])? pub(super) $field: Field),+
        }
    };
}

payload!(
    /// An element of `userTrades`.
    UserTradeRow {
        symbol, id, order_id, side, position_side, price, qty, commission, commission_asset, maker, realized_pnl, time,
    }
);
payload!(
    /// An order, wherever one is answered.
    OrderRow {
        symbol, order_id, client_order_id, side, position_side, kind = "type", orig_type, time_in_force, status,
        orig_qty, price, stop_price, executed_qty, avg_price, reduce_only, close_position, time, update_time,
        auto_close_type,
    }
);
payload!(
    /// A conditional order, wherever one is answered.
    AlgoOrderRow {
        symbol, algo_id, client_algo_id, order_type, side, position_side, time_in_force, quantity, algo_status,
        actual_order_id, trigger_price, price, reduce_only, close_position, create_time, update_time,
    }
);
payload!(
    /// An element of `fundingRate`.
    FundingRateRow { symbol, funding_time, funding_rate, mark_price }
);
payload!(
    /// The answer of `leverage`.
    LeverageRow { symbol, leverage }
);
payload!(
    /// An element of `income`.
    IncomeRow { symbol, income_type, income, asset, info, time, tran_id, trade_id }
);
payload!(
    /// An element of `positionRisk`.
    PositionRow { symbol, position_side, position_amt, entry_price }
);
payload!(
    /// An element of `balance`.
    BalanceRow { account_alias, asset, balance }
);
payload!(
    /// An element of `premiumIndex`.
    MarkPriceRow { symbol, mark_price, next_funding_time, time }
);
payload!(
    /// The field that says what a row is about.
    SymbolRow { symbol }
);
payload!(
    /// The answer of `time`.
    ServerTimeRow { server_time }
);
payload!(
    /// The answer of `positionSide/dual`.
    PositionModeRow { dual_side_position }
);
payload!(
    /// The answer to what has no other answer, and to what is refused.
    NoticeRow { code, msg }
);
payload!(
    /// A filter of a contract.
    FilterRow { filter_type, tick_size, step_size, min_qty, max_qty, notional }
);

payload!(
    /// The answer of `listenKey`.
    ListenKeyRow { listen_key }
);
payload!(
    /// `o` of the event `ORDER_TRADE_UPDATE`.
    OrderEventRow {
        symbol = "s", client_order_id = "c", side = "S", kind = "o", placed_as = "ot", time_in_force = "f", qty = "q",
        price = "p", avg_price = "ap", trigger_price = "sp", execution = "x", status = "X", order_id = "i",
        last_qty = "l", last_price = "L", executed_qty = "z", fee = "n", fee_asset = "N", time = "T", trade_id = "t",
        maker = "m", reduce_only = "R", close_position = "cp", position_side = "ps", realized_pnl = "rp",
    }
);
payload!(
    /// `o` of the event `ALGO_UPDATE`.
    AlgoEventRow {
        symbol = "s", client_algo_id = "caid", algo_id = "aid", kind = "o", side = "S", position_side = "ps",
        time_in_force = "f", qty = "q", status = "X", order_id = "ai", trigger_price = "tp", price = "p",
        reduce_only = "R", close_position = "cp", refusal = "rm",
    }
);
payload!(
    /// The event `TRADE_LITE`.
    TradeEventRow {
        symbol = "s", side = "S", last_price = "L", last_qty = "l", trade_id = "t", order_id = "i", maker = "m",
        time = "T",
    }
);
payload!(
    /// The event `markPriceUpdate`.
    MarkEventRow { symbol = "s", mark_price = "p", told_at = "E", next_funding = "T" }
);
payload!(
    /// An element of `B` of the event `ACCOUNT_UPDATE`.
    AccountBalanceRow { asset = "a", wallet = "wb", change = "bc" }
);
payload!(
    /// An element of `P` of the event `ACCOUNT_UPDATE`, and of `p` of the event `MARGIN_CALL`.
    AccountPositionRow {
        symbol = "s", qty = "pa", entry_price = "ep", position_side = "ps", mark_price = "mp",
        maintenance_margin = "mm",
    }
);
payload!(
    /// `ac` of the event `ACCOUNT_CONFIG_UPDATE`.
    LeverageEventRow { symbol = "s", leverage = "l" }
);
payload!(
    /// `ai` of the event `ACCOUNT_CONFIG_UPDATE`.
    MultiAssetsEventRow { is_on = "j" }
);
payload!(
    /// `or` of the event `CONDITIONAL_ORDER_TRIGGER_REJECT`.
    TriggerRejectRow { symbol = "s", order_id = "i", reason = "r" }
);

/// What every message of the stream begins with, alone or in an envelope.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MessageHead {
    /// The event's name.
    #[serde(rename = "e")]
    pub(super) kind: Field,
    /// When it was told.
    #[serde(rename = "E")]
    pub(super) told_at: Field,
    /// When it happened.
    #[serde(rename = "T")]
    pub(super) happened_at: Field,
    /// The message, where this is its envelope.
    pub(super) data: Option<Box<RawValue>>,
}

/// Messages whose content stands under one name.
macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $field:ident: $content:ident }),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(default)]
        pub(super) struct $name {
            pub(super) $field: $content
        }
    )+};
}

bodies!(
    /// The event `ORDER_TRADE_UPDATE`.
    OrderEvent { o: OrderEventRow },
    /// The event `ALGO_UPDATE`.
    AlgoEvent { o: AlgoEventRow },
    /// The event `ACCOUNT_UPDATE`.
    AccountEvent { a: AccountEventRow },
    /// The event `CONDITIONAL_ORDER_TRIGGER_REJECT`.
    TriggerRejectEvent { or: TriggerRejectRow },
);

/// `a` of the event `ACCOUNT_UPDATE`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AccountEventRow {
    /// Why.
    #[serde(rename = "m")]
    pub(super) reason: Field,
    /// What balances are now.
    #[serde(rename = "B")]
    pub(super) balances: Option<Vec<AccountBalanceRow>>,
    /// What positions are now.
    #[serde(rename = "P")]
    pub(super) positions: Option<Vec<AccountPositionRow>>,
}

/// The event `ACCOUNT_CONFIG_UPDATE`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigEventRow {
    /// A contract's leverage.
    pub(super) ac: Option<LeverageEventRow>,
    /// The margin of all assets.
    pub(super) ai: Option<MultiAssetsEventRow>,
}

/// The event `MARGIN_CALL`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MarginCallRow {
    /// The wallet of crossed positions.
    #[serde(rename = "cw")]
    pub(super) cross_wallet: Field,
    /// The positions in danger.
    #[serde(rename = "p")]
    pub(super) positions: Option<Vec<AccountPositionRow>>,
}

/// The part of `exchangeInfo` that is read.
#[derive(Debug, Deserialize)]
pub(super) struct ExchangeInfo {
    /// The contracts, verbatim.
    pub(super) symbols: Vec<Box<RawValue>>,
}

/// A contract of `exchangeInfo`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContractRow {
    /// Its name.
    pub(super) symbol: Field,
    /// Whether it can be traded.
    pub(super) status: Field,
    /// What profit is paid in.
    pub(super) margin_asset: Field,
    /// What a forced close costs, as a fraction of its notional.
    pub(super) liquidation_fee: Field,
    /// Its rules.
    pub(super) filters: Vec<FilterRow>,
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Compound => f.write_str("(compound)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_keep_every_digit_in_whatever_form_they_come() {
        let trade: UserTradeRow = serde_json::from_str(
            r#"{"id": 8389765568816714211, "orderId": "9007199254740993", "price": 0.10000000000000000001,
                "qty": "1\u002e5", "maker": true, "side": null, "commission": [1], "unknown": {"a": 1}}"#,
        )
        .unwrap();
        let text = |field: Field| field.map(|scalar| scalar.to_string());
        assert_eq!(text(trade.id).unwrap(), "8389765568816714211");
        assert_eq!(text(trade.order_id).unwrap(), "9007199254740993");
        assert_eq!(text(trade.price).unwrap(), "0.10000000000000000001");
        assert_eq!(text(trade.qty).unwrap(), "1.5");
        assert_eq!(text(trade.maker).unwrap(), "true");
        assert_eq!(trade.side, None);
        assert_eq!(trade.commission, Some(Scalar::Compound));
        assert_eq!(trade.time, None);
    }
}
