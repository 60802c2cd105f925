//! Single unified objects, as a program hands them over: read by the same rules as a file of them.

use std::sync::Arc;

use ledger_core::{AnyFact, Order, Statement, Symbol};

use super::order::parse_order;
use super::trade::parse_trade;
use super::{ContractSizes, Market, Unified, unify};
use crate::files::context::Context;
use crate::files::error::{RowError, RowProblem};
use crate::files::json::Object;
use crate::files::{BookVenue, Options};

/// Reads orders and trades of the ccxt library one by one.
///
/// ```
/// use exchange_client::files::{BookVenue, CcxtReader};
///
/// let mut reader = CcxtReader::new(BookVenue::BinanceUsdm);
/// let text = r#"{"symbol": "BTC/USDT:USDT", "id": "501", "order": "9001", "side": "buy", "price": 60000, "amount": 0.01,
///     "cost": 600, "timestamp": 1772344800000, "info": {"symbol": "BTCUSDT", "id": "501", "orderId": "9001", "side": "BUY",
///     "price": "60000", "qty": "0.010", "time": "1772344800000", "positionSide": "BOTH"}}"#;
/// assert_eq!(reader.trade(text)?.statements.len(), 3); // the fill, its order, its instrument
/// assert_eq!(reader.symbol("BTC/USDT:USDT")?.as_str(), "BTCUSDT");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct CcxtReader {
    venue: BookVenue,
    contract_sizes: ContractSizes,
    /// In a book of another venue, the exchange that the objects before were of.
    exchange: Option<String>,
}

/// What a unified object states.
#[derive(Debug, Default)]
pub struct CcxtObject {
    /// The facts, that of the object itself first.
    pub statements: Vec<Statement>,
    /// What is wrong with trades that stand within an order; the rest of it is read.
    pub rejected: Vec<RowError>,
    /// What the reader should know of how it was read.
    pub note: Option<&'static str>,
}

impl CcxtObject {
    /// The order that the object is, if it is one.
    pub fn order(&self) -> Option<&Order> {
        match &self.statements.first()?.fact {
            AnyFact::Order(order) => Some(order),
            _ => None,
        }
    }
}

impl CcxtReader {
    /// A reader for a book of `venue`.
    pub fn new(venue: BookVenue) -> Self {
        Self { venue, contract_sizes: ContractSizes::default(), exchange: None }
    }

    /// What an order states, with the trades that it lists.
    ///
    /// # Errors
    /// [`RowError`] with the field at fault.
    pub fn order(&mut self, text: &str) -> Result<CcxtObject, RowError> {
        self.read(text, parse_order)
    }

    /// What a trade states.
    ///
    /// # Errors
    /// [`RowError`] with the field at fault.
    pub fn trade(&mut self, text: &str) -> Result<CcxtObject, RowError> {
        self.read(text, |trade, payload, context| parse_trade(trade, None, payload, context))
    }

    /// The contract that a unified symbol, or the venue's own, names. Binance's names are in capitals. `btcusdt` is refused: a book
    /// has no record of such a contract, and would find nothing wrong with it.
    ///
    /// # Errors
    /// [`RowError`] where it names none.
    pub fn symbol(&self, text: &str) -> Result<Symbol, RowError> {
        let quoted = serde_json::Value::from(text).to_string();
        let object = format!(r#"{{"symbol":{quoted}}}"#);
        let object = Object::parse(&object, "")?;
        // A bot names what it trades: a pair without a settle asset is the future, as in early versions of the library.
        let market = Market::of_future(&Unified {
            outer: &object,
            info: None,
            foreign_symbol: None,
            counts_coins: false,
            exchange: None,
        })?;
        let is_misspelt = market.symbol.as_str().contains(|letter: char| letter.is_ascii_lowercase() || letter == '-');
        if self.venue == BookVenue::BinanceUsdm && is_misspelt {
            return Err(RowError::cell("symbol", text, RowProblem::NotFutures));
        }
        Ok(market.symbol)
    }

    /// Each object is read by itself: what an earlier one stated may not have been recorded.
    fn read(
        &mut self,
        text: &str,
        parse: impl Fn(&Unified<'_>, &Arc<str>, &mut Context) -> Result<Vec<Statement>, RowError>,
    ) -> Result<CcxtObject, RowError> {
        let options = Options {
            venue: self.venue,
            contract_sizes: self.contract_sizes.clone(),
            exchange: self.exchange.clone(),
            ..Options::default()
        };
        let mut context = Context::new(options);
        let object = Object::parse(text, "")?;
        let unified = unify(&object, &context)?;
        let statements = parse(&unified, &Arc::from(text), &mut context)?;
        context.note_exchange(unified.exchange);
        self.exchange = context.options.exchange;
        self.contract_sizes = context.options.contract_sizes;
        Ok(CcxtObject { statements, rejected: context.rejected, note: context.note })
    }
}
