//! The report of imported files, number by number, against arithmetic done by hand.

use serde_json::{Value, json};

use crate::support::Sandbox;

const HEADER: &str =
    "Uid,Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id";
const LEDGER: &str = "Date(UTC),type,Amount,Asset,Symbol,Transaction ID";

/// A book of these trades and ledger rows.
fn book(init: &[&str], trades: &[&str], ledger: &[&str]) -> Sandbox {
    let sandbox = Sandbox::with_book(init);
    sandbox.write("trades.csv", format!("{HEADER}\n{}\n", trades.join("\n")));
    sandbox.write("ledger.csv", format!("{LEDGER}\n{}\n", ledger.join("\n")));
    sandbox.run(&["import", "trades.csv", "ledger.csv"]).exits(0);
    sandbox
}

/// The amounts of a group per asset, as plain numbers.
fn money(line: &Value) -> Value {
    let amounts = |field: &str| -> serde_json::Map<String, Value> {
        let totals = line[field].as_object().into_iter().flatten();
        totals.map(|(asset, total)| (asset.clone(), total.get("amount").unwrap_or(total).clone())).collect()
    };
    let fields = ["gross", "fees", "funding", "net", "drawdown_max", "profit_factor"];
    fields
        .map(|field| (field.to_owned(), Value::Object(amounts(field))))
        .into_iter()
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The lines of a report: its groups by name and its total as `all`.
fn report(sandbox: &Sandbox, by: &str, name: &str) -> Value {
    let lines = sandbox.run(&["report", "--by", by, "--json"]).exits(0).json();
    let line = lines.iter().find(|line| match line["schema"].as_str() {
        Some("fillbook.report.group/1") => line["group"] == name,
        Some("fillbook.report.total/1") => name == "all",
        _ => false,
    });
    line.unwrap_or_else(|| panic!("no {name} in {lines:?}")).clone()
}

/// Flips, a fee in BNB that a flip splits, and funding while short:
/// long 0.01 @ 60000, closed @ 60100 within a sale of 0.03: gross 1, fees 0.24 USDT and a third of 0.0003 BNB;
/// short 0.02 @ 60100, closed @ 60150 within a purchase of 0.05: gross -1, fees two thirds of 0.0003 BNB and two fifths
/// of 1.2, funding 0.05; long 0.03 @ 60150, closed @ 60050: gross -3, fees three fifths of 1.2 and 0.72.
#[test]
fn flips_split_fees_and_end_trips() {
    let sandbox = book(
        &["--position-mode", "one-way"],
        &[
            "7,2026-03-01 07:00:00,BTCUSDT,BUY,BOTH,60000,0.010,600,0.24USDT,0,true,false,1,9001",
            "7,2026-03-01 07:30:00,BTCUSDT,SELL,BOTH,60100,0.030,1803,0.0003BNB,1,false,false,2,9002",
            "7,2026-03-01 09:00:00,BTCUSDT,BUY,BOTH,60150,0.050,3007.5,1.2USDT,-1,true,false,3,9003",
            "7,2026-03-02 10:00:00,BTCUSDT,SELL,BOTH,60050,0.030,1801.5,0.72USDT,-3,false,false,4,9004",
        ],
        &["2026-03-01 08:00:00,FUNDING_FEE,0.05,USDT,BTCUSDT,11"],
    );
    assert_eq!(
        money(&report(&sandbox, "side", "short")),
        json!({ "gross": {"USDT": "-1"}, "fees": {"BNB": "0.0002", "USDT": "0.48"}, "funding": {"USDT": "0.05"},
            "net": {"BNB": "-0.0002", "USDT": "-1.43"}, "drawdown_max": {"USDT": "1.43"}, "profit_factor": {"USDT": "0"} })
    );
    // The nets in USDT by time of closing: 0.76, -1.43, -4.44. No price of BNB is on record, so that the first of them may
    // be a loss after its fee in BNB: it is neither won nor lost, and the sum falls from 0 to -5.87.
    let all = report(&sandbox, "side", "all");
    assert_eq!(
        money(&all),
        json!({ "gross": {"USDT": "-3"}, "fees": {"BNB": "0.0003", "USDT": "2.16"}, "funding": {"USDT": "0.05"},
            "net": {"BNB": "-0.0003", "USDT": "-5.11"}, "drawdown_max": {"USDT": "5.87"},
            "profit_factor": {"USDT": "0"} })
    );
    assert_eq!(
        (&all["trips"], &all["wins"], &all["losses"], &all["unknown"], &all["win_rate"]),
        (&json!(3), &json!(0), &json!(2), &json!(1), &json!("0"))
    );
    assert_eq!((&all["before_fees_in"], &all["result_certainty"]), (&json!("BNB"), &json!("unknown")));
    assert_eq!(all["certainty"], "known", "the amounts themselves are known");
    assert_eq!(money(&all), money(&report(&sandbox, "symbol", "BTCUSDT")));
    assert_eq!(report(&sandbox, "day", "2026-03-01")["trips"], 2);
    // What was paid on the day itself: the fee for opening its trip was paid the day before.
    assert_eq!(money(&report(&sandbox, "day", "2026-03-02"))["net"], json!({"USDT": "-3.72"}));
}

/// With BNB at 600, a third of the fee of 0.0003 BNB costs the first trip 0.06 of its 0.76 USDT; it is won. The rest makes the
/// second one lose 1.55.
#[test]
fn with_a_price_a_fee_in_bnb_counts() {
    let sandbox = book(
        &["--position-mode", "one-way"],
        &[
            "7,2026-03-01 07:00:00,BTCUSDT,BUY,BOTH,60000,0.010,600,0.24USDT,0,true,false,1,9001",
            "7,2026-03-01 07:30:00,BTCUSDT,SELL,BOTH,60100,0.030,1803,0.0003BNB,1,false,false,2,9002",
            "7,2026-03-01 09:00:00,BTCUSDT,BUY,BOTH,60150,0.020,1203,0.48USDT,-1,true,false,3,9003",
        ],
        &["2026-03-01 08:00:00,FUNDING_FEE,0.05,USDT,BTCUSDT,11"],
    );
    // Half a minute after the fill that paid it.
    let price = r#"{"schema":"fillbook.price/1","source":"rest","symbol":"BNBUSDT","kind":"mark","ts":1772350230000,"price":"600"}"#;
    sandbox.write("prices.ndjson", format!("{price}\n"));
    sandbox.run(&["import", "prices.ndjson"]).exits(0);
    let all = report(&sandbox, "symbol", "all");
    assert_eq!((&all["wins"], &all["losses"], &all["unknown"]), (&json!(1), &json!(1), &json!(0)), "{all}");
    assert_eq!((&all["before_fees_in"], &all["result_certainty"]), (&Value::Null, &all["certainty"]));
    // 0.76 - 0.06, and -1 - 0.48 + 0.05 - 0.12.
    assert_eq!(all["valued_net"]["USDT"]["amount"], "-0.85");
    assert_eq!(all["drawdown_max"]["USDT"], "1.55");
}

/// A long and a short at once: each row of funding goes to the side whose sign it has, and a rebate is a negative fee.
/// Long 0.02 @ 60000 and 0.01 @ 60300 against 0.012 @ 60500 and 0.018 @ 59700: 1800.6 for 1803. Short 0.01 @ 60100
/// against 0.004 @ 59900 and 0.006 @ 60200: 601 for 600.8. The open short in ETHUSDT is told apart.
#[test]
fn both_sides_of_a_hedge_have_books_of_their_own() {
    let sandbox = book(
        &[],
        &[
            "7,2026-03-01 07:00:00,BTCUSDT,BUY,LONG,60000,0.020,1200,0.0004BNB,0,true,false,1,9001",
            "7,2026-03-01 07:10:00,BTCUSDT,SELL,SHORT,60100,0.010,601,0.2404USDT,0,false,false,2,9002",
            "7,2026-03-01 07:20:00,BTCUSDT,BUY,LONG,60300,0.010,603,0.2412USDT,0,true,false,3,9003",
            "7,2026-03-01 09:00:00,BTCUSDT,SELL,LONG,60500,0.012,726,0.2904USDT,4.8,false,false,4,9004",
            "7,2026-03-01 09:05:00,BTCUSDT,BUY,SHORT,59900,0.004,239.6,0.00007BNB,0.8,true,true,5,9005",
            "7,2026-03-01 10:00:00,BTCUSDT,SELL,LONG,59700,0.018,1074.6,0.42984USDT,-7.2,false,false,6,9006",
            "7,2026-03-01 10:10:00,BTCUSDT,BUY,SHORT,60200,0.006,361.2,0.14448USDT,-0.6,true,false,7,9007",
            "7,2026-03-01 11:00:00,ETHUSDT,SELL,SHORT,3000,1,3000,-0.05USDT,0,false,true,8,9008",
            "7,2026-03-01 17:00:00,ETHUSDT,BUY,SHORT,2990,0.4,1196,0.00001BNB,4,true,false,9,9009",
        ],
        &[
            "2026-03-01 08:00:00,FUNDING_FEE,-0.1803,USDT,BTCUSDT,11",
            "2026-03-01 08:00:00,FUNDING_FEE,0.0601,USDT,BTCUSDT,12",
            "2026-03-01 16:00:00,FUNDING_FEE,0.3,USDT,ETHUSDT,13",
        ],
    );
    let side = |name| {
        let mut money = money(&report(&sandbox, "side", name));
        let [gross, fees, funding, net] = ["gross", "fees", "funding", "net"].map(|field| money[field].take());
        json!([gross, fees, funding, net])
    };
    assert_eq!(
        side("long"),
        json!([{"USDT": "-2.4"}, {"BNB": "0.0004", "USDT": "0.96144"}, {"USDT": "-0.1803"}, {"BNB": "-0.0004", "USDT": "-3.54174"}])
    );
    assert_eq!(
        side("short"),
        json!([{"USDT": "0.2"}, {"BNB": "0.00007", "USDT": "0.38488"}, {"USDT": "0.0601"}, {"BNB": "-0.00007", "USDT": "-0.12478"}])
    );
    let lines = sandbox.run(&["report", "--json"]).exits(0).json();
    let rest = lines.iter().find(|line| line["schema"] == "fillbook.report.rest/1").unwrap();
    assert_eq!(rest["open_trips"], 1);
    let open = |field: &str, asset: &str| rest[field][asset]["amount"].clone();
    assert_eq!(
        [open("open_gross", "USDT"), open("open_fees", "USDT"), open("open_fees", "BNB"), open("open_funding", "USDT")],
        ["4", "-0.05", "0.00001", "0.3"]
    );
    let cash: Vec<_> = lines.iter().filter(|line| line["schema"] == "fillbook.report.cash/1").collect();
    assert_eq!(cash.len(), 1, "{cash:?}");
    assert_eq!((&cash[0]["asset"], &cash[0]["rows"]), (&json!("USDT"), &json!(3)), "{cash:?}");
}

/// Bought 3 @ 100 for a fee of 0.12; sold 1 @ 101.5 (fee 0.0406) half an hour before the month ends in UTC, and 2 @ 104
/// (fee 0.0832) half an hour after. The trip nets 9.2562; January has 1.5 - 0.1606 of it, February 8 - 0.0832. In Berlin
/// the first sale is February's.
#[test]
fn a_trip_over_a_month_end_belongs_to_both_months() {
    let sandbox = book(
        &["--position-mode", "one-way"],
        &[
            "7,2026-01-30 07:00:00,BTCUSDT,BUY,BOTH,100,3,300,0.12USDT,0,true,false,1,9001",
            "7,2026-01-31 23:30:00,BTCUSDT,SELL,BOTH,101.5,1,101.5,0.0406USDT,1.5,false,false,2,9002",
            "7,2026-02-01 00:30:00,BTCUSDT,SELL,BOTH,104,2,208,0.0832USDT,8,false,false,3,9003",
        ],
        &[
            "2026-01-30 07:00:00,COMMISSION,-0.12,USDT,BTCUSDT,11",
            "2026-01-31 23:30:00,REALIZED_PNL,1.5,USDT,BTCUSDT,12",
            "2026-01-31 23:30:00,COMMISSION,-0.0406,USDT,BTCUSDT,13",
            "2026-02-01 00:30:00,REALIZED_PNL,8,USDT,BTCUSDT,14",
            "2026-02-01 00:30:00,COMMISSION,-0.0832,USDT,BTCUSDT,15",
        ],
    );
    let nets = |args: &[&str]| {
        let lines = sandbox.run(&[&["report", "--json"], args].concat()).exits(0).json();
        let groups = lines.into_iter().filter(|line| line["schema"] == "fillbook.report.group/1");
        let shown = groups.map(|line| {
            let net = line["net"]["USDT"]["amount"].as_str().unwrap().to_owned();
            (line["group"].as_str().unwrap().to_owned(), line["trips"].as_u64().unwrap(), net)
        });
        shown.collect::<Vec<_>>()
    };
    let months = |january: &str, february: &str| {
        vec![("2026-01".to_owned(), 0, january.to_owned()), ("2026-02".to_owned(), 1, february.to_owned())]
    };
    assert_eq!(nets(&["--by", "month"]), months("1.3394", "7.9168"));
    assert_eq!(nets(&["--by", "month", "--tz", "Europe/Berlin"]), months("-0.12", "9.3762"));
    let week = |name: &str, trips, net: &str| (name.to_owned(), trips, net.to_owned());
    // 2026-02-01 is a Sunday.
    assert_eq!(nets(&["--by", "week"]), [week("2026-W05", 1, "9.2562")]);
    assert_eq!(
        nets(&["--by", "hour", "--since", "2026-01-31"]),
        [week("2026-01-31 23:00", 0, "1.4594"), week("2026-02-01 00:00", 1, "7.9168"),]
    );
    let lines = sandbox.run(&["report", "--by", "symbol", "--since", "2026-02-01", "--json"]).exits(0).json();
    let of = |schema: &str| lines.iter().find(|line| line["schema"] == schema).unwrap();
    let group = of("fillbook.report.group/1");
    let amount = |field: &str| group[field]["USDT"]["amount"].clone();
    assert_eq!([amount("net"), amount("carried_in"), amount("exchange_gross")], ["9.2562", "1.3394", "9.5"]);
    let footing = of("fillbook.report.footing/1");
    assert_eq!((&footing["outcome"], &footing["reasons"][0]["reason"]), (&json!("not_tied"), &json!("never_looked")));
    assert_eq!([&footing["moved"], &footing["unexplained"]], ["7.9168", "0"]);
    let term = |name: &str| footing["terms"][name].clone();
    assert_eq!([term("closed_trips"), term("carried_in"), term("open_trips")], ["9.2562", "-1.3394", "0"]);
    // One contract is held against its own entries, and that can be done.
    let lines = sandbox.run(&["report", "--symbol", "BTCUSDT", "--json"]).exits(0).json();
    let footing = lines.iter().find(|line| line["schema"] == "fillbook.report.footing/1").unwrap();
    assert_eq!((&footing["outcome"], &footing["against"]), (&json!("ties"), &json!("ledger")));
}

/// Bought and sold in January for fees of 0.05 and 0.06, of which 0.01 and 0.02 come back in February. Another kickback
/// is for a trade of somebody whom the account referred.
#[test]
fn a_fee_that_comes_back_lowers_its_trip_when_it_is_paid() {
    let sandbox = book(
        &["--position-mode", "one-way"],
        &[
            "7,2026-01-30 07:00:00,BTCUSDT,BUY,BOTH,100,1,100,0.05USDT,0,true,false,1,9001",
            "7,2026-01-30 08:30:00,BTCUSDT,SELL,BOTH,110,1,110,0.06USDT,10,false,false,2,9002",
        ],
        &["2026-01-30 07:00:00,COMMISSION,-0.05,USDT,BTCUSDT,11"],
    );
    let row = |kind: &str, amount: &str, ms: i64, id: u32, trade: &str| {
        json!({ "schema": "fillbook.income/1", "source": "rest", "income_type": kind, "tran_id": id.to_string(),
            "symbol": "BTCUSDT", "asset": "USDT", "amount": amount, "ts": ms, "fill_id": trade })
    };
    let february = 1_769_990_400_000;
    let rows = [
        row("COMMISSION", "-0.06", 1_769_761_800_000, 12, "2"),
        row("REALIZED_PNL", "10", 1_769_761_800_000, 13, "2"),
        row("REFERRAL_KICKBACK", "0.01", february, 14, "1"),
        row("REFERRAL_KICKBACK", "0.02", february, 15, "2"),
        row("REFERRAL_KICKBACK", "0.7", february, 16, "77"),
    ];
    sandbox.write("income.ndjson", rows.map(|row| format!("{row}\n")).concat());
    sandbox.run(&["import", "income.ndjson"]).exits(0);
    let all = report(&sandbox, "symbol", "all");
    assert_eq!([&all["fees"]["USDT"]["amount"], &all["net"]["USDT"]["amount"]], ["0.08", "9.92"]);
    let month = |name: &str| report(&sandbox, "month", name)["net"]["USDT"]["amount"].clone();
    assert_eq!([month("2026-01"), month("2026-02")], ["9.89", "0.03"]);
    for (period, closed, carried_out, open, account) in [
        ([].as_slice(), "9.92", "0", "0", "0.7"),
        (&["--until", "2026-02-01"], "9.92", "-0.03", "0", "0"),
        (&["--since", "2026-02-01"], "0", "0", "0.03", "0.7"),
    ] {
        let lines = sandbox.run(&[&["report", "--json"], period].concat()).exits(0).json();
        let footing = lines.iter().find(|line| line["schema"] == "fillbook.report.footing/1").unwrap();
        let term = |name: &str| footing["terms"][name].as_str().unwrap().to_owned();
        assert_eq!(
            ["closed_trips", "carried_out", "open_trips", "account"].map(term),
            [closed, carried_out, open, account],
            "{period:?}"
        );
        assert_eq!(footing["unexplained"], "0");
    }
}

/// Of 3 bought, 1 is closed by the exchange and 2 stay: the position says so, and so does its trip once it is closed.
#[test]
fn a_partial_liquidation_leaves_its_mark() {
    let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
    let fill = |id: u32, side: &str, qty: &str, price: &str, order: &str| {
        json!({ "schema": "fillbook.fill/1", "source": "rest", "symbol": "BTCUSDT", "fill_id": id.to_string(), "side": side,
            "ts": 1_772_344_800_000_i64 + i64::from(id) * 60_000, "price": price, "qty": qty, "order_id": order,
            "position_side": "NET", "fee": "0", "fee_asset": "USDT" })
    };
    let forced = json!({ "schema": "fillbook.order/1", "source": "rest", "symbol": "BTCUSDT", "order_class": "REGULAR",
        "order_id": "72", "client_order_id": "autoclose-1", "side": "SELL", "status": "FILLED", "qty": "1",
        "executed_qty": "1", "avg_price": "80", "ts": 1_772_344_920_000_i64, "updated_ts": 1_772_344_920_000_i64 });
    let lines = [fill(1, "BUY", "3", "100", "71"), fill(2, "SELL", "1", "80", "72"), forced];
    sandbox.write("facts.ndjson", lines.map(|line| format!("{line}\n")).concat());
    sandbox.run(&["import", "facts.ndjson"]).exits(0);
    let positions = sandbox.run(&["positions", "--json"]).exits(0).json();
    assert_eq!(positions[0]["was_liquidated"], true, "{positions:?}");
    let shows = |args: &[&str]| {
        let wide = sandbox.command(args, &[("COLUMNS", "300")]).exits(0).stdout;
        assert!(wide.contains("partly liquidated"), "{wide}");
    };
    shows(&["positions"]);
    shows(&["trips", "--open"]);
    sandbox.write("rest.ndjson", format!("{}\n", fill(3, "SELL", "2", "90", "73")));
    sandbox.run(&["import", "rest.ndjson"]).exits(0);
    shows(&["trips"]);
}
