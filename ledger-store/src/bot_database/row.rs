//! What a row states.

use ledger_core::{
    AnyFact, Asset, Cancel, ClientOrderId, Decimal, DerivedFigure, EventTime, Execution, Fee, Fill, FillId, FillKey,
    Label, Order, OrderClass, OrderId, OrderKey, OrderStatus, PositionSide, Price, Quantity, Side, Signal, SignalId,
    SignalKind, Source, StatedFees, Statement, Symbol,
};

use super::cells::{Cells, parse, parse_optional};
use super::venue::{self, BotVenue};
use super::{BotRow, BotTable, amounts, time};

/// The note on `fills` rows that are none.
pub(super) const NO_TRADE: &str =
    "made from an order's answer, not from a trade: read as what the order executed, not as a fill";
/// The note on those that do not say what executed, either.
pub(super) const NOTHING_EXECUTED: &str = "made from an order's answer that does not say what the order executed: read \
    as the order alone, not as a fill; its trades have to come from elsewhere";
const DERIVED: &str = "the bot's own positions are not read: positions are computed from the fills";

pub(super) type Read<T> = Result<T, String>;

pub(super) fn read(cells: &Cells, venue: &BotVenue) -> BotRow {
    let rules = &venue.rules;
    let order = |cells| venue::check(cells, venue, false).and_then(|()| order(cells));
    let executed_order = |cells| venue::check(cells, venue, false).and_then(|()| executed_order(cells));
    let (parsed, note) = match cells.table {
        BotTable::EngineSignals => (signal(cells).map(|fact| vec![AnyFact::Signal(fact)]), None),
        BotTable::Orders => {
            (order(cells).and_then(believable).map(|fact| vec![AnyFact::Order(rules.tell(fact))]), None)
        }
        BotTable::Fills if is_order_answer(cells) => {
            let order = executed_order(cells).and_then(believable);
            let told = order.as_ref().map_or(true, |order| order.executed.is_some());
            (
                order.map(|fact| vec![AnyFact::Order(rules.tell(fact))]),
                Some(if told { NO_TRADE } else { NOTHING_EXECUTED }),
            )
        }
        BotTable::Fills => {
            let told = venue::check(cells, venue, true).and_then(|()| fill(cells));
            (told.map(|told| told.into_iter().map(AnyFact::Fill).collect()), None)
        }
        BotTable::Positions => (Ok(Vec::new()), Some(DERIVED)),
        BotTable::Cancels => {
            let told = venue::check_venue(cells, venue).and_then(|()| cancel(cells));
            (told.map(|fact| vec![AnyFact::Cancel(fact)]), None)
        }
    };
    let parsed = parsed.map(|facts| {
        // What the row says elsewhere stands behind what counts.
        let sources = std::iter::once(Source::BotDatabase).chain(std::iter::repeat(Source::BotColumn));
        let stated = facts.into_iter().zip(sources);
        stated.map(|(fact, source)| Statement { fact, source, payload: Some(cells.payload().into()) }).collect()
    });
    let doubts_number_format = parsed.is_err() && amounts::is_apart_by_thousands(cells);
    BotRow { table: cells.table, rowid: cells.rowid, parsed, note, doubts_number_format }
}

/// The exchange's own symbol: `BTC/USDT:USDT` is the library's name for `BTCUSDT`, and `BTC/USDT:USDT-260327` that for
/// `BTCUSDT_260327`. The bot's column has to name the same contract.
fn symbol(cells: &Cells) -> Read<Symbol> {
    let own = cells.exchange("symbol").filter(|own| !own.contains('/'));
    let column = cells.column("symbol").map(exchange_name);
    match (own, column) {
        (Some(own), Some(column)) if own != column => Err(differs("symbol", &column, &own)),
        (Some(own), _) => parse("symbol", &own),
        (None, Some(column)) => parse("symbol", &column),
        (None, None) => parse("symbol", cells.required("symbol")?),
    }
}

fn exchange_name(unified: &str) -> String {
    let (pair, contract) = unified.split_once(':').unwrap_or((unified, ""));
    let expiry = contract.split_once('-').map_or_else(String::new, |(_, expiry)| format!("_{expiry}"));
    format!("{}{expiry}", pair.replace('/', ""))
}

/// `long` opens by buying and `short` by selling; the exchange's own word counts more.
fn side(cells: &Cells) -> Read<Side> {
    let own = cells.exchange("side").filter(|_| cells.table != BotTable::EngineSignals);
    let Some(own) = own.as_deref() else { return side_of(cells.required("side")?) };
    // A bot may keep which position an order changes in the column, and a long is sold to close it.
    let column =
        cells.column("side").filter(|column| ["buy", "sell"].iter().any(|name| column.eq_ignore_ascii_case(name)));
    if let Some(column) = column.filter(|column| !column.eq_ignore_ascii_case(own)) {
        return Err(differs("side", column, own));
    }
    side_of(own)
}

/// A row whose column names another thing than the exchange's answer in it.
fn differs(what: &str, column: &str, own: &str) -> String {
    let short = |text: &str| text.chars().take(40).collect::<String>().escape_debug().to_string();
    format!("{what}: the row says {}, the exchange's answer in it {}", short(column), short(own))
}

/// The id in a column, which the exchange's answer has to confirm where it has one.
fn agreed_id(cells: &Cells, column: &'static str, field: &str) -> Read<Option<String>> {
    match (cells.exchange(field), cells.column(column)) {
        (Some(own), Some(column_id)) if own != column_id => Err(differs(column, column_id, &own)),
        (own, column_id) => Ok(own.or_else(|| column_id.map(str::to_owned))),
    }
}

fn side_of(text: &str) -> Read<Side> {
    match text.to_ascii_lowercase().as_str() {
        "buy" | "long" => Ok(Side::Buy),
        "sell" | "short" => Ok(Side::Sell),
        _ => {
            Err(format!("side: `{}` is neither buy nor sell", text.chars().take(20).collect::<String>().escape_debug()))
        }
    }
}

fn position_side(cells: &Cells) -> Read<Option<PositionSide>> {
    match cells.exchange("positionSide").as_deref() {
        None => Ok(None),
        Some("BOTH") => Ok(Some(PositionSide::Net)),
        Some(other) => parse("positionSide", other).map(Some),
    }
}

fn event_time(cells: &Cells) -> Read<EventTime> {
    time::read(cells.required("ts")?).map_err(|reason| format!("ts: {reason}"))
}

/// A number that may be written as 0 for "none".
fn positive(what: &str, text: Option<&str>) -> Read<Option<Price>> {
    let number: Option<Decimal> = parse_optional(what, text)?;
    Ok(number.and_then(|number| Price::new(number).ok()))
}

/// Bots without a stream of trades fill the table from order answers: those repeat the order's id, or are orders.
fn is_order_answer(cells: &Cells) -> bool {
    let id = cells.column("fill_id");
    let order_fields = ["executedQty", "origQty", "cumQuote", "clientOrderId"];
    (id.is_some() && id == cells.column("order_id"))
        || order_fields.iter().any(|field| cells.exchange(field).is_some())
        || (cells.unified("filled").is_some() && cells.unified("status").is_some())
}

/// What a row says of a fee: that counts which the exchange's answer states, else the bot's column.
struct Fees {
    counts: Option<Fee>,
    /// What the row says elsewhere, if that is something else.
    other: Option<Fee>,
}

fn fees(cells: &Cells) -> Read<Fees> {
    let column = cells.column("fee").zip(cells.column("fee_asset"));
    let amount = cells.exchange("commission").or_else(|| cells.column("fee").map(str::to_owned));
    let asset = cells.exchange("commissionAsset").or_else(|| cells.column("fee_asset").map(str::to_owned));
    let (Some(amount), Some(asset)) = (amount, asset) else { return Ok(Fees { counts: None, other: None }) };
    let fee = |amount: &str, asset: &str| -> Read<Fee> {
        Ok(Fee { amount: parse("fee", amount)?, asset: parse::<Asset>("fee_asset", asset)? })
    };
    let counts = fee(&amount, &asset)?;
    // The library repeats the sign that the exchange gives, columns have been doubles, and some bots round what they show.
    let differs = |amount: &str, asset: &str| {
        let is_same = DerivedFigure::float(amount).is_ok_and(|figure| {
            let is_rounded = amount.contains('.') && !figure.amount().is_zero();
            figure.is_double_of(counts.amount) || (is_rounded && figure.is(counts.amount, Decimal::ZERO))
        });
        asset != counts.asset.as_str() || !is_same
    };
    let library = cells.unified_fee();
    let elsewhere = column.into_iter().chain(library.as_ref().map(|(cost, currency)| (&**cost, &**currency)));
    let other = elsewhere.filter(|(amount, asset)| differs(amount, asset)).map(|(amount, asset)| fee(amount, asset));
    let other = other.collect::<Read<Vec<_>>>()?.into_iter().next();
    Ok(Fees { counts: Some(counts), other })
}

/// The fill, and behind it what else the row says of it.
fn fill(cells: &Cells) -> Read<Vec<Fill>> {
    let either = |own: &str, column: &'static str| match cells.exchange(own) {
        Some(text) => Ok(text),
        None => cells.required(column).map(str::to_owned),
    };
    let fill_id = agreed_id(cells, "fill_id", "id")?.ok_or_else(|| "fill_id is missing".to_owned())?;
    let fill_id: FillId = parse("fill_id", &fill_id)?;
    let order_id = agreed_id(cells, "order_id", "orderId")?;
    let Fees { counts: fee, other } = fees(cells)?;
    let (price, qty): (Price, Quantity) =
        (parse("price", &either("price", "price")?)?, parse("qty", &either("qty", "qty")?)?);
    amounts::check_fill(cells, price.get(), qty.get())?;
    let maker = match (cells.exchange("maker").as_deref(), cells.unified("takerOrMaker").as_deref()) {
        (Some("true"), _) | (None, Some("maker")) => Some(true),
        (Some("false"), _) | (None, Some("taker")) => Some(false),
        _ => None,
    };
    let fill = Fill {
        order_id: parse_optional("order_id", order_id.as_deref())?,
        time: match cells.exchange("time") {
            Some(own) => time::read(&own).map_err(|reason| format!("time: {reason}"))?,
            None => event_time(cells)?,
        },
        price,
        qty,
        position_side: position_side(cells)?,
        fee,
        maker,
        exchange_realized_pnl: parse_optional("realizedPnl", cells.exchange("realizedPnl").as_deref())?,
        sequence: fill_id.as_sequence(),
        key: FillKey { symbol: symbol(cells)?, fill_id, side: side(cells)? },
    };
    let elsewhere = other.map(|fee| Fill { fee: Some(fee), ..fill.clone() });
    Ok(std::iter::once(fill).chain(elsewhere).collect())
}

/// The order that a row is about, with nothing but its identity.
fn bare_order(cells: &Cells) -> Read<Order> {
    let own = ["algoId", "orderId"].into_iter().find_map(|field| Some((field, cells.exchange(field)?)));
    let (class, order_id) = match &own {
        Some(("algoId", id)) => (OrderClass::Conditional, id.as_str()),
        Some((_, id)) => (OrderClass::Regular, id.as_str()),
        None => (OrderClass::Regular, cells.required("order_id")?),
    };
    let order_id: OrderId = parse("order_id", order_id)?;
    let key = OrderKey { symbol: symbol(cells)?, class, order_id };
    Ok(Order::known_from_fill(key, side(cells)?, position_side(cells)?))
}

/// The order, unless its own figures contradict each other.
fn believable(order: Order) -> Read<Order> {
    match order.contradiction() {
        Some(contradiction) => Err(format!("the row contradicts itself: {contradiction}")),
        None => Ok(order),
    }
}

/// A status as the exchange or the library words it. An order that the library calls open may have executed in part.
fn status(text: &str, executed: Option<&Execution>) -> Read<OrderStatus> {
    let name = match text {
        "open" if executed.is_some_and(|executed| executed.qty.is_positive()) => "PARTIALLY_FILLED",
        "open" => "NEW",
        "closed" => "FILLED",
        other => &other.to_ascii_uppercase(),
    };
    parse("status", name)
}

/// How an order stands, and what it executed. The payload may be the answer to placing the order, and the column what the bot
/// learned later: then the column tells how the order stands, and the payload's executed quantity is one of the past. How
/// the exchange says that an order ended stands against the column.
fn standing(cells: &Cells) -> Read<(OrderStatus, Option<Execution>)> {
    let executed = execution(cells)?;
    let stated = ["status", "algoStatus"].into_iter().find_map(|field| cells.exchange(field));
    let stated = stated.or_else(|| cells.unified("status"));
    let stated = stated.map(|text| status(&text, executed.as_ref())).transpose()?;
    // Which part of it executed is the payload's to say.
    let column = cells.column("status").map(|text| status(text, executed.as_ref())).transpose()?;
    Ok(match (stated, column) {
        (Some(stated), Some(column)) if !stated.is_terminal() && column > stated => (column, None),
        (Some(stated), _) => (stated, executed),
        (None, column) => (column.unwrap_or(OrderStatus::Unknown), executed),
    })
}

/// What a raw order says it executed.
fn execution(cells: &Cells) -> Read<Option<Execution>> {
    let own = cells.exchange("executedQty");
    let (qty, average) = match own {
        Some(qty) => (Some(qty), cells.exchange("avgPrice")),
        None => (cells.unified("filled"), cells.unified("average")),
    };
    let Some(executed) = parse_optional::<Decimal>("executed quantity", qty.as_deref())? else { return Ok(None) };
    if executed.is_negative() {
        return Err("executed quantity: it is negative".to_owned());
    }
    let avg_price = positive("average price", average.as_deref())?;
    let avg_price = amounts::check_execution(cells, executed, avg_price, average.as_deref())?;
    Ok(Some(Execution::new(executed, avg_price)))
}

fn executed_order(cells: &Cells) -> Read<Order> {
    let mut order = bare_order(cells)?;
    let executed = execution(cells)?;
    let stated = cells.exchange("status").or_else(|| cells.unified("status"));
    if let Some(text) = stated.as_deref().or_else(|| cells.column("status")) {
        order.status = status(text, executed.as_ref())?;
    }
    order.executed = match executed {
        Some(execution) => Some(execution),
        // The columns hold what was ordered, and at which price: it is what executed once all of it has.
        None if order.status == OrderStatus::Filled => {
            Some(Execution::new(parse::<Quantity>("qty", cells.required("qty")?)?.get(), None))
        }
        None => None,
    };
    order.fees = fees_of_order(cells, order.executed.as_ref(), fees(cells)?.counts)?;
    order.updated = Some(event_time(cells)?);
    order.client_order_id = client_order_id(cells)?;
    order.order_type = order_type(cells)?;
    Ok(order)
}

/// What an order's answer says that its execution cost: what the library states, else `column`, what the bot made of it. A
/// column of 0 is what bots write where an answer states nothing.
fn fees_of_order(cells: &Cells, executed: Option<&Execution>, column: Option<Fee>) -> Read<Option<StatedFees>> {
    let Some(executed) = executed else { return Ok(None) };
    let library = match cells.unified_fee() {
        Some((cost, currency)) => Some(Fee { amount: parse("fee", &cost)?, asset: parse("fee currency", &currency)? }),
        None => None,
    };
    let fee = library.or_else(|| column.filter(|fee| !fee.amount.is_zero()));
    StatedFees::new(executed.qty, fee).map_err(|error| format!("fee: {error}"))
}

/// The id that the order was sent with: the exchange's word, else the bot's.
fn client_order_id(cells: &Cells) -> Read<Option<ClientOrderId>> {
    let own = cells.exchange("clientOrderId").or_else(|| cells.exchange("clientAlgoId"));
    let id = own.or_else(|| cells.column("client_order_id").map(str::to_owned));
    parse_optional("client_order_id", id.as_deref())
}

/// The type that the order was placed with: the exchange's word, else the bot's.
fn order_type(cells: &Cells) -> Read<Option<Label>> {
    let own = ["origType", "orderType", "type"].into_iter().find_map(|name| cells.exchange(name));
    let order_type = own.or_else(|| cells.column("order_type").map(str::to_owned));
    parse_optional("order_type", order_type.map(|text| text.to_ascii_uppercase()).as_deref())
}

fn order(cells: &Cells) -> Read<Order> {
    let mut order = bare_order(cells)?;
    let created = event_time(cells)?;
    (order.status, order.executed) = standing(cells)?;
    order.fees = fees_of_order(cells, order.executed.as_ref(), None)?;
    order.order_type = order_type(cells)?;
    order.time_in_force = parse_optional("timeInForce", cells.exchange("timeInForce").as_deref())?;
    order.client_order_id = client_order_id(cells)?;
    order.engine = parse_optional("engine", cells.column("engine"))?;
    order.created = Some(created);
    let updated = cells.exchange("updateTime").or_else(|| cells.unified("lastUpdateTimestamp"));
    order.updated =
        updated.map(|text| time::read(&text).map_err(|reason| format!("updateTime: {reason}"))).transpose()?;
    order.terms.as_of = Some(created.at);
    let qty = cells.exchange("origQty").or_else(|| cells.column("qty").map(str::to_owned));
    order.terms.qty = parse_optional::<Decimal>("qty", qty.as_deref())?.and_then(|qty| Quantity::new(qty).ok());
    amounts::check_terms(cells)?;
    let price = cells.exchange("price").or_else(|| cells.column("price").map(str::to_owned));
    order.terms.price = positive("price", price.as_deref())?;
    let trigger = cells.exchange("triggerPrice").or_else(|| cells.exchange("stopPrice"));
    order.terms.trigger_price = positive("trigger price", trigger.as_deref())?;
    order.reduce_only = parse_optional("reduceOnly", cells.exchange("reduceOnly").as_deref())?;
    Ok(order)
}

fn signal(cells: &Cells) -> Read<Signal> {
    let reason: Option<Label> = parse_optional("reason", cells.column("reason"))?;
    let kind = match reason.as_ref().map(Label::as_str) {
        Some("auto_exit") => SignalKind::AutoExit,
        Some("manual_close") => SignalKind::ManualClose,
        _ => SignalKind::Entry,
    };
    Ok(Signal {
        signal_id: parse::<SignalId>("id", cells.required("id")?)?,
        time: event_time(cells)?,
        skew_ms: None,
        symbol: symbol(cells)?,
        side: side(cells)?,
        kind,
        engine: parse_optional("engine", cells.column("engine"))?,
        reason,
        skipped: None,
        meta_json: cells.column("meta_json").map(str::to_owned),
        restored: false,
    })
}

fn cancel(cells: &Cells) -> Read<Cancel> {
    let order = bare_order_of_cancel(cells)?;
    Ok(Cancel {
        key: order,
        side: cells.column("side").map(side_of).transpose()?,
        time: event_time(cells)?,
        reason: parse_optional("reason", cells.column("reason"))?,
    })
}

fn bare_order_of_cancel(cells: &Cells) -> Read<OrderKey> {
    let class = if cells.exchange("algoId").is_some() { OrderClass::Conditional } else { OrderClass::Regular };
    let id = cells.exchange("algoId").or_else(|| cells.column("order_id").map(str::to_owned));
    let id = id.ok_or_else(|| "order_id is missing".to_owned())?;
    Ok(OrderKey { symbol: symbol(cells)?, class, order_id: parse("order_id", &id)? })
}
