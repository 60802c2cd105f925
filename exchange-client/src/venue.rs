//! What a venue promises and limits, as data: page sizes, windows, retention, weights.

use ledger_core::{FillId, IncomeType, LedgerRules, OrderClass, Price, Symbol, VenueRules};

use crate::transport::Method;

/// Milliseconds in a minute.
pub(crate) const MINUTE_MS: i64 = 60_000;
/// Milliseconds in a day.
pub(crate) const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// The limits of an endpoint that answers a time window in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PagedFacts {
    /// The most rows of an answer.
    pub page_rows_max: usize,
    /// The longest window of one request, in ms.
    pub window_ms_max: i64,
    /// How far back the venue answers, in ms.
    pub retention_ms: i64,
    /// Whether it answers about one contract at a time only.
    pub needs_symbol: bool,
}

/// What the trade ids of a venue mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TradeIdOrder {
    /// Whole numbers that grow with time within a symbol: the best order to fold fills in.
    CountUpPerSymbol,
    /// Names without an order.
    Opaque,
}

/// What a kind of income does to the wallet balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalletEffect {
    /// The amount is added to the wallet.
    Added,
    /// Not documented: footing a span with such a row is not checkable.
    Undocumented,
}

/// A kind of ledger entry that a venue is known to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncomeTypeFacts {
    /// The venue's name for it.
    pub name: &'static str,
    /// What it does to the wallet.
    pub effect: WalletEffect,
}

/// Which client order ids a venue accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientOrderIdRule {
    /// The most characters.
    pub len_max: usize,
    /// What is allowed besides ASCII letters and digits.
    pub separators: &'static str,
}

impl ClientOrderIdRule {
    /// Whether the venue accepts `id`.
    pub fn accepts(&self, id: &str) -> bool {
        let allowed = |character: char| character.is_ascii_alphanumeric() || self.separators.contains(character);
        (1..=self.len_max).contains(&id.len()) && id.chars().all(allowed)
    }
}

/// How many orders an account may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderLimits {
    /// In ten seconds.
    pub per_10s_max: u32,
    /// In a minute.
    pub per_1m_max: u32,
}

/// The weight of an endpoint: what a request costs of the budget of a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointWeight {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: &'static str,
    /// With a symbol.
    pub one_symbol: u32,
    /// Without.
    pub all_symbols: u32,
}

/// A venue's facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueFacts {
    /// The venue's name, as accounts are bound to it.
    pub name: &'static str,
    /// Where its production interface lives.
    pub base_url: &'static str,
    /// A user's trades.
    pub trades: PagedFacts,
    /// A user's regular orders, by when they were created.
    pub orders: PagedFacts,
    /// A user's conditional orders, by when they were created.
    pub conditional_orders: PagedFacts,
    /// Orders by which the exchange closed a user's positions. How far back it answers is a guess.
    pub force_orders: PagedFacts,
    /// How far back that list is known to reach, in ms: what it does not show of earlier times is unknown, not absent.
    pub force_orders_certain_ms: i64,
    /// The ledger.
    pub income: PagedFacts,
    /// The ledger, where one type of entries is asked for.
    pub income_by_type: PagedFacts,
    /// Funding rates.
    pub funding_rates: PagedFacts,
    /// How many requests for funding rates an address may send in five minutes.
    pub funding_requests_5m_max: u32,
    /// Prices by the minute.
    pub klines: PagedFacts,
    /// What a request for prices by the minute weighs: for fewer rows than the first number, the second.
    pub kline_weights: &'static [(u32, u32)],
    /// How long an order that ended without a fill can still be asked for, in ms.
    pub unfilled_order_retention_ms: i64,
    /// How long after the fact the venue's answers may still lack it, in ms. Coverage ends this long before the
    /// server's time at the start of a request.
    pub settle_lag_ms: i64,
    /// How long a signed request stays valid, in ms.
    pub receive_window_ms: i64,
    /// What trade ids mean.
    pub trade_id_order: TradeIdOrder,
    /// The fields of a position's payload that have its mark price and the one at which it would be liquidated.
    pub liquidation_fields: [&'static str; 2],
    /// The digits after the point that an average entry price is rounded to when the venue states it.
    pub entry_price_scale: u8,
    /// The weight that all requests from one address may cost in a minute.
    pub weight_1m_max: u32,
    /// The weights of the endpoints.
    pub weights: &'static [EndpointWeight],
    /// How many orders may be sent.
    pub order_limits: OrderLimits,
    /// Which client order ids are accepted.
    pub client_order_id: ClientOrderIdRule,
    /// What its client order ids and order types mean.
    pub order_rules: VenueRules,
    /// The kinds of income that are known. Venues add new ones without notice; those are kept as they are.
    pub income_types: &'static [IncomeTypeFacts],
    /// Where entries of each kind belong, those that are seen without being documented included. Entries of other kinds
    /// stand on a line of their own.
    pub ledger_rules: LedgerRules,
}

impl VenueFacts {
    /// What a request costs; 1 for an endpoint that is not listed.
    pub fn weight(&self, method: Method, path: &str, symbol: Option<&Symbol>) -> u32 {
        let listed = self.weights.iter().find(|weight| weight.method == method && weight.path == path);
        listed.map_or(1, |weight| if symbol.is_some() { weight.one_symbol } else { weight.all_symbols })
    }

    /// What a request for so many prices by the minute costs.
    pub fn kline_weight(&self, rows: u32) -> u32 {
        let listed = self.kline_weights.iter().find(|(below, _)| rows < *below).or(self.kline_weights.last());
        listed.map_or(1, |(_, weight)| *weight)
    }

    /// Where a trade stands among those of its contract; `None` where ids do not tell.
    pub fn sequence(&self, fill_id: &FillId) -> Option<i64> {
        match self.trade_id_order {
            TradeIdOrder::CountUpPerSymbol => fill_id.as_sequence(),
            TradeIdOrder::Opaque => None,
        }
    }

    /// The mark price and the one of a liquidation, as the payload of a position has them; `None` where it would not be.
    pub fn liquidation_of(&self, payload: &str) -> Option<(Price, Price)> {
        let row: serde_json::Value = serde_json::from_str(payload).ok()?;
        let [mark, liquidation] = self.liquidation_fields.map(|field| row.get(field)?.as_str()?.parse().ok());
        mark.zip(liquidation)
    }

    /// What income of this type does to the wallet.
    pub fn wallet_effect(&self, income_type: &IncomeType) -> WalletEffect {
        let known = self.income_types.iter().find(|known| income_type.is(known.name));
        known.map_or(WalletEffect::Undocumented, |known| known.effect)
    }

    /// The limits of the list that orders of this class are on.
    pub fn orders_of(&self, class: OrderClass) -> PagedFacts {
        match class {
            OrderClass::Regular => self.orders,
            OrderClass::Conditional => self.conditional_orders,
        }
    }
}
