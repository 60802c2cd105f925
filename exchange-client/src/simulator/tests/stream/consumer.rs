//! Somebody who knows nothing but what a stream tells, and keeps accounts of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::*;

/// A fill as the long message tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ToldFill {
    order_id: i64,
    buy: bool,
    side: String,
    price: Decimal,
    qty: Decimal,
    fee: Decimal,
    fee_asset: Option<String>,
    realized: Decimal,
    maker: bool,
    time_ms: i64,
    forced: bool,
}

type FillKey = (String, i64);

#[derive(Debug)]
pub(super) struct Consumer {
    /// As told.
    wallets: BTreeMap<String, Decimal>,
    /// Added up from profits, fees and what else came or went.
    summed: BTreeMap<String, Decimal>,
    /// As told: quantity, entry price, realized so far.
    positions: BTreeMap<(String, String), (Decimal, Decimal, Decimal)>,
    /// Added up from fills.
    held: BTreeMap<(String, String), Decimal>,
    fills: BTreeMap<FillKey, ToldFill>,
    lite: BTreeMap<FillKey, (Decimal, Decimal)>,
    orders: BTreeMap<(String, i64), (String, Decimal)>,
    conditionals: BTreeMap<i64, (String, String)>,
    /// In which asset a contract is settled, from its positions.
    assets: BTreeMap<String, String>,
    pub(super) reasons: BTreeSet<String>,
    pub(super) executions: BTreeSet<String>,
    pub(super) algo_statuses: BTreeSet<String>,
    last_ms: i64,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn decimal_of(value: &Value) -> Decimal {
    dec(value.as_str().unwrap_or_else(|| panic!("money is text: {value}")))
}

fn negative(value: Decimal) -> Decimal {
    Decimal::default().checked_sub(value).unwrap()
}

fn add<K: Ord>(totals: &mut BTreeMap<K, Decimal>, key: K, amount: Decimal) {
    let total = totals.entry(key).or_default();
    *total = total.checked_add(amount).unwrap();
}

impl Consumer {
    /// Knows what was there at first, which no stream tells.
    pub(super) fn new(truth: &AccountSnapshot) -> Self {
        Self {
            wallets: truth.wallets.clone(),
            summed: truth.wallets.clone(),
            positions: BTreeMap::new(),
            held: BTreeMap::new(),
            fills: BTreeMap::new(),
            lite: BTreeMap::new(),
            orders: BTreeMap::new(),
            conditionals: BTreeMap::new(),
            assets: BTreeMap::new(),
            reasons: BTreeSet::new(),
            executions: BTreeSet::new(),
            algo_statuses: BTreeSet::new(),
            last_ms: 0,
        }
    }

    pub(super) fn hear(&mut self, event: &Value) {
        let at_ms = event["E"].as_i64().unwrap();
        assert!(at_ms >= self.last_ms, "told in another order: {event}");
        self.last_ms = at_ms;
        match event["e"].as_str().unwrap() {
            "ACCOUNT_UPDATE" => self.hear_account(&event["a"]),
            "ORDER_TRADE_UPDATE" => self.hear_order(&event["o"]),
            "TRADE_LITE" => {
                let key = (text(&event["s"]), event["t"].as_i64().unwrap());
                let again = self.lite.insert(key, (decimal_of(&event["L"]), decimal_of(&event["l"])));
                assert!(again.is_none(), "told twice: {event}");
            }
            "ALGO_UPDATE" => {
                let order = &event["o"];
                let status = text(&order["X"]);
                self.algo_statuses.insert(status.clone());
                self.conditionals.insert(order["aid"].as_i64().unwrap(), (status, text(&order["ai"])));
            }
            "MARGIN_CALL" | "ACCOUNT_CONFIG_UPDATE" => {}
            other => panic!("an event that nobody expects: {other}"),
        }
    }

    fn hear_account(&mut self, account: &Value) {
        self.reasons.insert(text(&account["m"]));
        for balance in account["B"].as_array().unwrap() {
            self.wallets.insert(text(&balance["a"]), decimal_of(&balance["wb"]));
            add(&mut self.summed, text(&balance["a"]), decimal_of(&balance["bc"]));
        }
        for position in account["P"].as_array().unwrap() {
            let told = (decimal_of(&position["pa"]), decimal_of(&position["ep"]), decimal_of(&position["cr"]));
            self.positions.insert((text(&position["s"]), text(&position["ps"])), told);
            self.assets.insert(text(&position["s"]), text(&position["ma"]));
        }
    }

    fn hear_order(&mut self, order: &Value) {
        let key = (text(&order["s"]), order["i"].as_i64().unwrap());
        let execution = text(&order["x"]);
        self.executions.insert(execution.clone());
        self.orders.insert(key, (text(&order["X"]), decimal_of(&order["z"])));
        let id = order["t"].as_i64().unwrap();
        assert_eq!(id != 0, matches!(execution.as_str(), "TRADE" | "CALCULATED"), "{order}");
        if id == 0 {
            assert!(
                order["l"].as_str().unwrap().trim_matches(['0', '.']).is_empty()
                    && order.get("n").is_none_or(|fee| fee == "0")
            );
            return;
        }
        let client_id = text(&order["c"]);
        let prefixes = ["autoclose-", "adl_autoclose", "settlement_autoclose-"];
        let forced = prefixes.iter().any(|prefix| client_id.starts_with(prefix));
        assert_eq!(execution == "CALCULATED", forced, "{order}");
        let fill = ToldFill {
            order_id: order["i"].as_i64().unwrap(),
            buy: order["S"] == "BUY",
            side: text(&order["ps"]),
            price: decimal_of(&order["L"]),
            qty: decimal_of(&order["l"]),
            fee: order.get("n").map_or_else(Decimal::default, decimal_of),
            fee_asset: order.get("N").map(text),
            realized: decimal_of(&order["rp"]),
            maker: order["m"].as_bool().unwrap(),
            time_ms: order["T"].as_i64().unwrap(),
            forced,
        };
        let symbol = text(&order["s"]);
        let signed = if fill.buy { fill.qty } else { negative(fill.qty) };
        add(&mut self.held, (symbol.clone(), fill.side.clone()), signed);
        // The position was told just before, and with it the asset.
        add(&mut self.summed, self.assets[&symbol].clone(), fill.realized);
        if let Some(asset) = fill.fee_asset.clone() {
            add(&mut self.summed, asset, negative(fill.fee));
        }
        assert!(self.fills.insert((symbol, id), fill).is_none(), "told twice: {order}");
    }

    /// What it made of everything is what the exchange knows.
    pub(super) fn agrees_with(&self, truth: &AccountSnapshot) {
        let used = |wallets: &BTreeMap<String, Decimal>| -> BTreeMap<String, Decimal> {
            wallets.iter().filter(|(_, amount)| !amount.is_zero()).map(|(a, b)| (a.clone(), *b)).collect()
        };
        assert_eq!(used(&self.wallets), used(&truth.wallets), "balances");
        assert_eq!(used(&self.summed), used(&truth.wallets), "balances, summed up");
        let side_of = |side: PositionSide| match side {
            PositionSide::Net => "BOTH",
            PositionSide::Long => "LONG",
            PositionSide::Short => "SHORT",
        };
        let held: BTreeMap<_, _> = truth
            .positions
            .iter()
            .map(|found| ((found.symbol.clone(), side_of(found.position_side).to_owned()), found))
            .collect();
        let told = self.positions.iter().filter(|(_, (qty, ..))| !qty.is_zero());
        let told: BTreeMap<_, _> = told.map(|(key, (qty, entry, _))| (key.clone(), (*qty, *entry))).collect();
        let expected: BTreeMap<_, _> = held.iter().map(|(key, is)| (key.clone(), (is.qty, is.entry_price))).collect();
        assert_eq!(told, expected, "positions");
        let summed = self.held.iter().filter(|(_, qty)| !qty.is_zero()).map(|(key, qty)| (key.clone(), *qty));
        let expected = held.iter().map(|(key, is)| (key.clone(), is.qty)).collect::<BTreeMap<_, _>>();
        assert_eq!(summed.collect::<BTreeMap<_, _>>(), expected, "positions, summed up");
        self.agrees_with_fills_of(truth);
        self.agrees_with_orders_of(truth);
    }

    fn agrees_with_fills_of(&self, truth: &AccountSnapshot) {
        let side_of = |side: PositionSide| match side {
            PositionSide::Net => "BOTH".to_owned(),
            PositionSide::Long => "LONG".to_owned(),
            PositionSide::Short => "SHORT".to_owned(),
        };
        let forced_ids: BTreeSet<_> = truth
            .orders
            .iter()
            .filter(|order| order.forced.is_some())
            .map(|order| (order.symbol.clone(), order.id))
            .collect();
        let mut realized: BTreeMap<(String, String), Decimal> = BTreeMap::new();
        let expected: BTreeMap<FillKey, ToldFill> = truth
            .trades
            .iter()
            .map(|trade| {
                add(&mut realized, (trade.symbol.clone(), side_of(trade.position_side)), trade.realized);
                let fill = ToldFill {
                    order_id: trade.order_id,
                    buy: trade.buy,
                    side: side_of(trade.position_side),
                    price: trade.price,
                    qty: trade.qty,
                    fee: trade.fee,
                    // Where there is no fee there is no asset either.
                    fee_asset: (!trade.fee.is_zero()).then(|| trade.fee_asset.clone()),
                    realized: trade.realized,
                    maker: trade.maker,
                    time_ms: trade.time_ms,
                    forced: forced_ids.contains(&(trade.symbol.clone(), trade.order_id)),
                };
                ((trade.symbol.clone(), trade.id), fill)
            })
            .collect();
        assert_eq!(self.fills, expected, "fills");
        let lite = expected.iter().filter(|(_, fill)| !fill.forced);
        let lite: BTreeMap<_, _> = lite.map(|(key, fill)| (key.clone(), (fill.price, fill.qty))).collect();
        assert_eq!(self.lite, lite, "short messages");
        for (key, (_, _, told)) in &self.positions {
            assert_eq!(*told, realized.get(key).copied().unwrap_or_default(), "realized by {key:?}");
        }
    }

    fn agrees_with_orders_of(&self, truth: &AccountSnapshot) {
        let orders = truth.orders.iter();
        let orders: BTreeMap<_, _> =
            orders.map(|order| ((order.symbol.clone(), order.id), (order.status.to_owned(), order.executed))).collect();
        assert_eq!(self.orders, orders, "orders");
        let conditionals = truth.conditionals.iter();
        let conditionals: BTreeMap<_, _> = conditionals
            .map(|found| {
                (found.id, (found.status.to_owned(), found.order_id.map_or_else(String::new, |id| id.to_string())))
            })
            .collect();
        assert_eq!(self.conditionals, conditionals, "conditional orders");
    }
}
