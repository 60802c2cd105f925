//! What the messages say.

use ledger_core::{AnyFact, Origin, Source, TimePrecision};

use super::*;
use crate::api::ConfigChange;

/// A taker's fill that closes a part of a long position, the fee in another asset; ids beyond what a float can hold.
const FILL: &str = r#"{"e":"ORDER_TRADE_UPDATE","T":1780000000120,"E":1780000000125,"o":{"s":"币安人生USDT","c":"x-1:tp","S":"SELL",
  "o":"MARKET","f":"GTC","q":"0.40","p":"0","ap":"9300.10","sp":"9300","x":"TRADE","X":"PARTIALLY_FILLED",
  "i":8389765568816714212,"l":"0.002","z":"0.150","L":"64250.50","N":"BNB","n":"0.00005140","T":1780000000119,
  "t":9007199254740993,"b":"0","a":"0","m":false,"R":true,"wt":"CONTRACT_PRICE","ot":"STOP_MARKET","ps":"LONG","cp":false,
  "rp":"-0.91539999","pP":false,"si":0,"ss":0,"V":"NONE","pm":"NONE","gtd":0,"er":"0","new":{"x":[1]}}}"#;

/// A new order: nothing executed, nothing paid.
const NEW: &str = r#"{"e":"ORDER_TRADE_UPDATE","T":1780000000050,"E":1780000000052,"o":{"s":"BTCUSDT","c":"web_1","S":"BUY","o":"LIMIT",
  "f":"GTC","q":"0.010","p":"60000","ap":"0","sp":"0","x":"NEW","X":"NEW","i":77,"l":"0","z":"0","L":"0","T":1780000000050,
  "t":0,"b":"600","a":"0","m":false,"R":false,"ot":"LIMIT","ps":"BOTH","cp":false,"rp":"0"}}"#;

const LITE: &str = r#"{"e":"TRADE_LITE","E":1780000000121,"T":1780000000119,"s":"币安人生USDT","q":"0.40","p":"0","m":false,"c":"x-1:tp",
  "S":"SELL","L":"64250.50","l":"0.002","t":9007199254740993,"i":8389765568816714212}"#;

const ALGO: &str = r#"{"e":"ALGO_UPDATE","T":1780000000110,"E":1780000000114,"o":{"caid":"x-1:tp","aid":2148719,"at":"CONDITIONAL",
  "o":"STOP_MARKET","s":"BTCUSDT","S":"SELL","ps":"BOTH","f":"GTC","q":"0.01","X":"TRIGGERED","ai":"8389765568816714212",
  "ap":"0.00000","aq":"0.00000","act":"0","tp":"9300","p":"0","V":"EXPIRE_MAKER","wt":"CONTRACT_PRICE","pm":"NONE","cp":false,
  "pP":false,"R":true,"tt":0,"gtd":0}}"#;

const ACCOUNT: &str = r#"{"e":"ACCOUNT_UPDATE","E":1780000000130,"T":1780000000119,"a":{"m":"ORDER","B":[{"a":"USDT",
  "wb":"122624.12345678","cw":"100.1","bc":"0"},{"a":"BUSD","wb":"1.5","cw":"0","bc":"-49.12345678"}],"P":[{"s":"BTCUSDT",
  "pa":"-10","ep":"6563.86000","bep":"6563.6","cr":"-45.04","up":"-1423.1","mt":"isolated","iw":"6570.4","ps":"SHORT"},
  {"s":"ETHUSDT","pa":"0","ep":"0.00000","bep":"0","cr":"200","up":"0","mt":"cross","iw":"0","ps":"BOTH"}]}}"#;

const MARGIN: &str = r#"{"e":"MARGIN_CALL","E":1780000000140,"cw":"3.16812045","p":[{"s":"ETHUSDT","ps":"LONG","pa":"1.327",
  "mt":"CROSSED","iw":"0","mp":"187.17127","up":"-1.166074","mm":"1.614445"}]}"#;

const LEVERAGE: &str =
    r#"{"e":"ACCOUNT_CONFIG_UPDATE","E":1780000000150,"T":1780000000149,"ac":{"s":"BTCUSDT","l":25}}"#;
const MULTI: &str = r#"{"e":"ACCOUNT_CONFIG_UPDATE","E":1780000000150,"T":1780000000149,"ai":{"j":true}}"#;
const REJECT: &str = r#"{"e":"CONDITIONAL_ORDER_TRIGGER_REJECT","E":1780000000160,"T":1780000000159,"or":{"s":"ETHUSDT",
  "i":155618472834,"r":"Due to the order could not be filled immediately, the FOK order has been rejected."}}"#;

fn at(ms: i64) -> TimestampMs {
    TimestampMs::new(NOW_MS + ms).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_event_is_read_with_its_words() {
    let frames = [FILL, LITE, ALGO, ACCOUNT, MARGIN, LEVERAGE, MULTI, REJECT].map(text);
    let events = house(Wire::default().then(frames.into())).told(9).await;
    let [_, StreamEvent::Order(order), StreamEvent::Trade(lite), StreamEvent::Order(algo), ..] = &events[..] else {
        panic!("{events:#?}")
    };
    assert_eq!((order.told_at, &*order.payload), (at(125), FILL));
    assert_eq!((algo.told_at, &*algo.payload, algo.execution.as_ref()), (at(114), ALGO, None));
    assert_eq!((algo.order.key.class, algo.order.key.order_id.as_str()), (OrderClass::Conditional, "2148719"));
    assert_eq!((&algo.order.status, algo.order.executed.as_ref()), (&OrderStatus::Triggered, None));
    assert_eq!(algo.order.triggered_order_id.as_ref().unwrap().as_str(), "8389765568816714212");
    assert_eq!(algo.order.terms.trigger_price.unwrap().to_string(), "9300");
    assert_eq!((lite.told_at, &*lite.payload), (at(121), LITE));
    let [.., StreamEvent::Account(account), StreamEvent::MarginCall(call), leverage, multi, rejected] = &events[..]
    else {
        panic!("{events:#?}")
    };
    assert_eq!((account.reason.as_str(), &*account.payload), ("ORDER", ACCOUNT));
    let wallets: Vec<_> = account.balances.iter().map(|row| (row.asset.as_str(), row.wallet.to_string())).collect();
    assert_eq!(wallets, [("USDT", "122624.12345678".to_owned()), ("BUSD", "1.5".to_owned())]);
    let changes: Vec<_> = account.balance_changes.iter().map(|(a, qty)| (a.as_str(), qty.to_string())).collect();
    assert_eq!(changes, [("BUSD", "-49.12345678".to_owned())]);
    let held: Vec<_> = account.positions.iter().map(|row| (row.position_side, row.qty.to_string(), row.at)).collect();
    let expected = [(PositionSide::Short, "-10", at(119)), (PositionSide::Net, "0", at(119))];
    assert_eq!(held, expected.map(|(side, qty, at)| (side, qty.to_owned(), at)));
    assert_eq!(account.positions[0].entry_price.unwrap().to_string(), "6563.86");
    assert_eq!(account.positions[1].entry_price, None);
    assert_eq!(call.cross_wallet.unwrap().to_string(), "3.16812045");
    assert_eq!(call.positions[0].maintenance_margin.unwrap().to_string(), "1.614445");
    let StreamEvent::Config(ConfigChange::Leverage { symbol, leverage: 25, .. }) = leverage else {
        panic!("{leverage:?}")
    };
    assert_eq!(*symbol, btc());
    assert!(matches!(multi, StreamEvent::Config(ConfigChange::MultiAssets { is_on: true, .. })), "{multi:?}");
    let StreamEvent::TriggerRejected(rejected) = rejected else { panic!("{rejected:?}") };
    assert_eq!((rejected.order_id.as_str(), rejected.reason.starts_with("Due to")), ("155618472834", true));
    // In an envelope it is the same, its words included.
    let wrapped = format!(r#"{{"stream":"abc","data":{FILL}}}"#);
    let StreamEvent::Order(enveloped) = told_by(&wrapped).await else { panic!() };
    assert_eq!((&enveloped.order, &*enveloped.payload), (&order.order, wrapped.as_str()));
}

#[tokio::test(start_paused = true)]
async fn no_fill_is_made_of_what_is_none() {
    let StreamEvent::Order(filled) = told_by(FILL).await else { panic!() };
    let fill = filled.fill.unwrap();
    assert_eq!((fill.key.fill_id.as_str(), fill.key.side), ("9007199254740993", Side::Sell));
    assert_eq!((fill.order_id.unwrap().as_str(), fill.sequence), ("8389765568816714212", Some(9_007_199_254_740_993)));
    assert_eq!((fill.price.to_string(), fill.qty.to_string()), ("64250.5".into(), "0.002".into()));
    assert_eq!((fill.time.at, fill.time.precision), (at(119), TimePrecision::Millisecond));
    let fee = fill.fee.unwrap();
    assert_eq!((fee.amount.to_string(), fee.asset.as_str(), fill.maker), ("0.0000514".into(), "BNB", Some(false)));
    assert_eq!(fill.position_side, Some(PositionSide::Long));
    assert_eq!(fill.exchange_realized_pnl.unwrap().to_string(), "-0.91539999");
    let order = filled.order;
    assert_eq!(order.executed.unwrap().qty.to_string(), "0.15");
    assert_eq!((order.order_type.unwrap().as_str(), order.terms.as_of), ("STOP_MARKET", Some(at(120))));
    assert_eq!((filled.execution.unwrap().as_str(), order.status), ("TRADE", OrderStatus::PartiallyFilled));

    // The fee of a fill may be missing, its asset not.
    let feeless = FILL.replace(r#""N":"BNB","n":"0.00005140","#, "");
    let StreamEvent::Order(feeless) = told_by(&feeless).await else { panic!() };
    assert_eq!(feeless.fill.unwrap().fee, None);
    let nameless = told_by(&FILL.replace(r#""N":"BNB","#, "")).await;
    assert!(refused(&nameless, "`o.N`"), "{nameless:?}");
    // No trade, no fill, whatever is left over of an earlier one.
    for message in [
        NEW.to_owned(),
        NEW.replace("\"NEW\"", "\"CANCELED\""),
        FILL.replace("\"l\":\"0.002\"", "\"l\":\"0\"").replace("\"TRADE\"", "\"CANCELED\""),
        FILL.replace("\"t\":9007199254740993", "\"t\":0").replace("\"TRADE\"", "\"AMENDMENT\""),
    ] {
        let event = told_by(&message).await;
        let StreamEvent::Order(update) = &event else { panic!("{event:?}") };
        assert_eq!(update.fill, None, "{message}");
        assert_eq!(event.statements().len(), 1);
    }
    // A trade without a name or a quantity is not one that can be passed over.
    let unnamed = told_by(&FILL.replace("\"t\":9007199254740993", "\"t\":0")).await;
    assert!(refused(&unnamed, "`o.t`"), "{unnamed:?}");
    let empty = told_by(&FILL.replace("\"l\":\"0.002\"", "\"l\":\"0\"")).await;
    assert!(refused(&empty, "`o.l`"), "{empty:?}");
    // What the exchange executes by itself is a fill, and says why by its order's name.
    for (name, origin) in [
        ("autoclose-1780000000000000020", Origin::Liquidation),
        ("adl_autoclose", Origin::Adl),
        ("settlement_autoclose-1", Origin::Settlement),
        ("mine", Origin::Forced),
        ("electron_1", Origin::Forced),
    ] {
        let forced = FILL.replace("\"TRADE\"", "\"CALCULATED\"").replace("x-1:tp", name);
        let StreamEvent::Order(update) = told_by(&forced).await else { panic!() };
        assert_eq!((update.order.origin, update.fill.is_some()), (Some(origin), true));
        assert_eq!(update.execution.unwrap().as_str(), "CALCULATED");
    }
    for (name, origin) in [("electron_1", Origin::Person), ("mine", Origin::Program)] {
        let StreamEvent::Order(update) = told_by(&FILL.replace("x-1:tp", name)).await else { panic!() };
        assert_eq!(update.order.origin, Some(origin));
    }
}

/// What the exchange has sent since December 2025 instead of an event of its own.
#[tokio::test(start_paused = true)]
async fn a_conditional_order_that_was_refused_says_why() {
    let refused = ALGO.replace("TRIGGERED", "REJECTED");
    for (field, reason) in [
        (r#""rm":"Reduce Only\u001b[2J reject","#, Some("Reduce Only[2J reject")),
        (r#""rm":"","#, None),
        (r#""rm":{},"#, None),
        ("", None),
    ] {
        let message = refused.replace(r#""caid""#, &format!(r#"{field}"caid""#));
        let StreamEvent::Order(update) = told_by(&message).await else { panic!("{message}") };
        assert_eq!(update.order.status, OrderStatus::Rejected);
        assert_eq!(update.refusal.unwrap().reason.as_deref(), reason, "{message}");
    }
    let StreamEvent::Order(triggered) = told_by(ALGO).await else { panic!() };
    assert_eq!(triggered.refusal, None);
}

#[tokio::test(start_paused = true)]
async fn an_order_event_states_its_order_and_its_fill_with_the_words_of_both() {
    let statements = told_by(FILL).await.statements();
    let [order, fill] = statements.as_slice() else { panic!("{statements:#?}") };
    let AnyFact::Fill(complete) = &fill.fact else { panic!("{fill:?}") };
    assert!(matches!(&order.fact, AnyFact::Order(_)), "{order:?}");
    for statement in &statements {
        assert_eq!((statement.source, statement.payload.as_deref()), (Source::Stream, Some(FILL)));
    }
    // The same fill told early: one fact, not two, and nothing in it that the complete one does not say.
    let early = told_by(LITE).await.statements();
    let [lite] = early.as_slice() else { panic!("{early:#?}") };
    let AnyFact::Fill(notice) = &lite.fact else { panic!("{lite:?}") };
    assert_eq!((notice.fee.as_ref(), notice.position_side, notice.exchange_realized_pnl), (None, None, None));
    let completed = Fill {
        fee: complete.fee.clone(),
        position_side: complete.position_side,
        exchange_realized_pnl: complete.exchange_realized_pnl,
        ..notice.clone()
    };
    assert_eq!(completed, *complete);
    // Observations of one millisecond may differ, so they are no facts by themselves.
    assert!(told_by(ACCOUNT).await.statements().is_empty());
}

/// Whether an event says that a message was refused for a field, and repeats the message.
fn refused(event: &StreamEvent, field: &str) -> bool {
    matches!(event, StreamEvent::Unreadable { error, .. } if error.to_string().contains(field))
}

/// Takes a scalar field out of a message.
fn without(message: &str, field: &str) -> String {
    let name = format!("\"{field}\":");
    let begin = message.find(&name).unwrap_or_else(|| panic!("{field} in {message}"));
    let rest = &message[begin + name.len()..];
    let end = if let Some(text) = rest.strip_prefix('"') {
        text.find('"').unwrap() + 2
    } else {
        rest.find([',', '}']).unwrap()
    };
    let behind = rest[end..].strip_prefix(',').unwrap_or(&rest[end..]);
    let before =
        if behind.starts_with('}') { message[..begin].trim_end_matches([',', ' ', '\n']) } else { &message[..begin] };
    format!("{before}{behind}")
}

#[tokio::test(start_paused = true)]
async fn what_an_event_lacks_is_refused_by_name() {
    for (message, prefix, fields) in [
        (FILL, "o.", &["s", "S", "q", "x", "X", "i", "l", "z", "L", "t"][..]),
        (NEW, "o.", &["s", "S", "q", "x", "X", "i", "z", "t"]),
        (FILL, "", &["E"]),
        (ALGO, "o.", &["aid", "s", "S", "X"]),
        (ALGO, "", &["E", "T"]),
        (LITE, "", &["E", "T", "s", "S", "L", "l", "t", "i"]),
        (ACCOUNT, "a.", &["m"]),
        (ACCOUNT, "a.B.", &["a", "wb"]),
        (ACCOUNT, "a.P.", &["s", "pa", "ps"]),
        (MARGIN, "p.", &["s", "pa", "ps"]),
        (LEVERAGE, "ac.", &["s", "l"]),
        (MULTI, "ai.", &["j"]),
        (REJECT, "or.", &["s", "i"]),
    ] {
        for field in fields {
            let broken = match (prefix, *field) {
                // The first of its name stands outside.
                ("a.B.", "a") => message.replace(r#""a":"USDT","#, ""),
                _ => without(message, field),
            };
            assert!(serde_json::from_str::<serde_json::Value>(&broken).is_ok(), "{broken}");
            let event = told_by(&broken).await;
            assert!(refused(&event, &format!("`{prefix}{field}`")), "{prefix}{field}: {event:?}");
            let StreamEvent::Unreadable { payload, .. } = event else { panic!() };
            assert_eq!(*payload, *broken);
        }
    }
    // What nobody knows yet is kept, and what one does not need may be missing.
    for (message, name) in [
        (r#"{"e":"GRID_UPDATE","E":1,"gu":{"si":1}}"#, Some("GRID_UPDATE")),
        (r#"{"result":null,"id":1}"#, None),
        ("{}", None),
    ] {
        let event = told_by(message).await;
        let StreamEvent::Unknown { name: found, payload } = &event else { panic!("{event:?}") };
        assert_eq!((found.as_deref(), &**payload), (name, message));
        assert!(event.statements().is_empty());
    }
    for field in ["ap", "ot", "o", "f", "R", "ps", "rp", "m", "c"] {
        // The object that holds them all is named like one of them.
        let message = if field == "o" { FILL.replace(r#""o":"MARKET","#, "") } else { without(FILL, field) };
        let event = told_by(&message).await;
        assert!(matches!(event, StreamEvent::Order(_)), "{field}: {event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_of_a_stream_never_pass_through_a_float() {
    for (from, to, field) in [
        ("9007199254740993", "9.007199254740993e15", "`o.t`"),
        ("8389765568816714212", "8.38e18", "`o.i`"),
        ("8389765568816714212", "83897655688167142120", "`o.i`"),
        ("\"64250.50\"", "\"NaN\"", "`o.L`"),
        ("\"64250.50\"", "1e400", "`o.L`"),
        ("\"0.002\"", "\"-0.002\"", "`o.l`"),
        ("\"0.002\"", "\"0.0000000000000000000000000000000000000001\"", "`o.l`"),
        ("\"SELL\"", "\"SIDEWAYS\"", "`o.S`"),
        ("1780000000119", "\"yesterday\"", "`o.T`"),
        ("\"o\":{", "\"o\":[{}],\"x\":{", "`o.x`"),
        ("\"o\":{", "\"o\":\"text\",\"x\":{", "cannot be read"),
        ("\"x\":\"TRADE\"", "\"x\":{}", "`o.x`"),
    ] {
        let event = told_by(&FILL.replace(from, to)).await;
        assert!(refused(&event, field), "{to}: {event:?}");
    }
    let StreamEvent::Order(update) = told_by(&FILL.replace("\"64250.50\"", "64250.100000000000001")).await else {
        panic!()
    };
    assert_eq!(update.fill.unwrap().price.to_string(), "64250.100000000000001");
}
