//! A verdict of `verify` counts what was compared, and gives the true reason for what was not: each check with nothing to
//! compare, with unknowns only, with a mixture, and with a true difference.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::Sandbox;

/// 2026-02-10 10:00:00 UTC.
const T: i64 = 1_770_717_600_000;

/// A fill of `symbol` at `T` plus `id` minutes; profit and fee are left out where they are empty.
fn fill(symbol: &str, id: i64, side: &str, price: &str, profit: &str, fee: &str) -> Value {
    let mut line = json!({
        "schema": "fillbook.fill/1", "source": "ccxt", "symbol": symbol, "fill_id": id.to_string(), "side": side,
        "ts": T + id * 60_000, "price": price, "qty": "3", "order_id": format!("7{id}"), "position_side": "NET",
    });
    let fields = line.as_object_mut().unwrap();
    if !profit.is_empty() {
        fields.insert("exchange_realized_pnl".into(), profit.into());
    }
    if !fee.is_empty() {
        fields.insert("fee".into(), fee.into());
        fields.insert("fee_asset".into(), "USDT".into());
    }
    line
}

/// With other or further fields.
fn with(mut line: Value, fields: &[(&str, &str)]) -> Value {
    for (name, value) in fields {
        line.as_object_mut().unwrap().insert((*name).into(), (*value).into());
    }
    line
}

fn order(id: i64, side: &str, executed: &str, fields: &[(&str, &str)]) -> Value {
    let line = json!({
        "schema": "fillbook.order/1", "source": "ccxt", "symbol": "SOLUSDT", "order_class": "REGULAR",
        "order_id": format!("7{id}"), "side": side, "status": "UNKNOWN", "ts": T + id * 60_000, "updated_ts": T + id * 60_000,
    });
    let executed: &[(&str, &str)] = if executed.is_empty() {
        &[]
    } else {
        &[("executed_qty", executed), ("avg_price", "150"), ("status", "FILLED")]
    };
    with(with(line, executed), fields)
}

fn income(kind: &str, id: i64, amount: &str, fields: &[(&str, &str)]) -> Value {
    let line = json!({
        "schema": "fillbook.income/1", "source": "ccxt", "income_type": kind, "tran_id": format!("5{id}"),
        "symbol": "SOLUSDT", "asset": "USDT", "amount": amount, "ts": T + id * 60_000,
    });
    with(line, fields)
}

fn wallet(asset: &str, minute: i64, amount: &str) -> Value {
    json!({ "schema": "fillbook.balance/1", "source": "rest", "asset": asset, "ts": T + minute * 60_000, "wallet": amount })
}

fn held(symbol: &str, minute: i64, qty: &str, entry: &str) -> Value {
    let line = json!({
        "schema": "fillbook.position/1", "source": "rest", "symbol": symbol, "position_side": "NET",
        "ts": T + minute * 60_000, "qty": qty,
    });
    if entry.is_empty() { line } else { with(line, &[("entry_price", entry)]) }
}

/// Bought at 150 and sold at 152: the fold knows that this realized 6.
fn pair(symbol: &str, profit: &str) -> [Value; 2] {
    [fill(symbol, 1, "BUY", "150", "0", "0.2"), fill(symbol, 2, "SELL", "152", profit, "0.2")]
}

/// Sells what nobody has seen bought.
fn unseen(symbol: &str) -> Value {
    fill(symbol, 3, "SELL", "149", "-4", "0.2")
}

/// What `verify` says of one check: `verdict compared/differing/not_compared: detail`.
fn said(check: &str, init: &[&str], lines: &[Value]) -> String {
    let sandbox = Sandbox::with_book(init);
    if !lines.is_empty() {
        let text = lines.iter().fold(String::new(), |mut text, line| {
            writeln!(text, "{line}").unwrap();
            text
        });
        sandbox.write("facts.ndjson", text);
        let run = sandbox.run(&["import", "facts.ndjson", "--quiet"]);
        assert!(run.code == 0 || run.code == 3, "{check}: {}", run.transcript());
    }
    of(&sandbox, check)
}

fn of(sandbox: &Sandbox, check: &str) -> String {
    let checks = sandbox.run(&["verify", "--json"]).json();
    let found = checks.iter().find(|line| line["check"] == check).unwrap();
    let number = |name: &str| found[name].as_u64().unwrap();
    let reasons: u64 = found["reasons"].as_array().unwrap().iter().map(|why| why["count"].as_u64().unwrap()).sum();
    assert_eq!(reasons, number("not_compared"), "{found}");
    format!(
        "{} {}/{}/{}: {}",
        found["verdict"].as_str().unwrap(),
        number("compared"),
        number("differing"),
        reasons,
        found["detail"].as_str().unwrap()
    )
}

#[track_caller]
fn check(name: &str, cases: &[(&[Value], &str)]) {
    for (lines, expected) in cases {
        assert_eq!(said(name, &[], lines), *expected, "{lines:#?}");
    }
}

#[test]
fn realized_profits_are_compared_where_both_sides_know_them() {
    let [buy, sell] = pair("SOLUSDT", "6");
    let silent = fill("XRPUSDT", 4, "BUY", "2", "", "0.2");
    let wrong = pair("SOLUSDT", "9");
    check(
        "realized_pnl",
        &[
            (&[], "not_checkable 0/0/0: no fill is on record"),
            (&[unseen("SOLUSDT")], "not_checkable 0/0/1: 1 fill: the book's own figure is unknown"),
            (std::slice::from_ref(&silent), "not_checkable 0/0/1: 1 fill: the exchange's figure is not on record"),
            (
                &[unseen("SOLUSDT"), silent.clone(), with(unseen("SOLUSDT"), &[("fill_id", "4")])],
                "not_checkable 0/0/3: 2 fills: the book's own figure is unknown; 1 fill: the exchange's figure is not on record",
            ),
            (&[buy.clone(), sell.clone()], "pass 2/0/0: 2 fills"),
            (
                &[buy.clone(), sell, unseen("ETHUSDT"), silent.clone()],
                "pass 2/0/2: 2 fills compared; 1 not: the book's own figure is unknown; 1 not: the exchange's figure is not \
                 on record",
            ),
            (
                &[wrong[0].clone(), wrong[1].clone(), unseen("ETHUSDT")],
                "fail 2/1/1: 1 fill: SOLUSDT trade 2: the exchange reported 9, the fills lead to unknown; 1 not compared: \
                 the book's own figure is unknown",
            ),
        ],
    );
}

#[test]
fn what_was_executed_is_compared_where_the_order_says_it() {
    let [buy, sell] = pair("SOLUSDT", "6");
    check(
        "executed_quantity",
        &[
            (&[], "not_checkable 0/0/0: no order is on record"),
            (
                &[buy.clone(), order(1, "BUY", "", &[])],
                "not_checkable 0/0/1: 1 order: the executed quantity is not on record",
            ),
            (
                &[buy.clone(), order(1, "BUY", "3", &[]), sell.clone(), order(2, "SELL", "", &[])],
                "pass 1/0/1: 1 order compared; 1 not: the executed quantity is not on record",
            ),
        ],
    );
    let differs = said("executed_quantity", &[], &[buy, order(1, "BUY", "5", &[]), sell, order(2, "SELL", "", &[])]);
    assert!(differs.starts_with("fail 1/1/1: ") && differs.contains("; 1 not compared: "), "{differs}");
}

#[test]
fn positions_are_compared_where_the_exchange_has_spoken_last() {
    let (sol, eth) = (fill("SOLUSDT", 1, "BUY", "150", "0", "0"), fill("ETHUSDT", 1, "BUY", "3000", "0", "0"));
    let unstated = "the exchange's word is not on record";
    // Closed and opened anew, as large and at another price, after the exchange spoke of the first one.
    let [out, again] = [fill("SOLUSDT", 3, "SELL", "152", "6", "0"), fill("SOLUSDT", 4, "BUY", "155", "0", "0")];
    let anew = [sol.clone(), held("SOLUSDT", 2, "3", "150"), out, again];
    let overtaken = "not_checkable 0/0/1: 1 position: fills came after the exchange's last word";
    check(
        "quantity",
        &[
            (&[], "not_checkable 0/0/0: no position is on record"),
            (std::slice::from_ref(&sol), &format!("not_checkable 0/0/1: 1 position: {unstated}")),
            (&[sol.clone(), held("SOLUSDT", 0, "1", "150")], overtaken),
            (&anew, overtaken),
            (
                &[sol.clone(), held("SOLUSDT", 9, "3", "150"), eth.clone()],
                &format!("pass 1/0/1: 1 position compared; 1 not: {unstated}"),
            ),
            (
                &[sol.clone(), held("SOLUSDT", 9, "4", "150"), eth.clone()],
                &format!(
                    "fail 1/1/1: 1 position: SOLUSDT NET: the exchange held 4, the book 3; 1 not compared: {unstated}"
                ),
            ),
        ],
    );
    check(
        "average_entry",
        &[
            (&[], "not_checkable 0/0/0: no position is held"),
            (std::slice::from_ref(&sol), &format!("not_checkable 0/0/1: 1 position: {unstated}")),
            (&[sol.clone(), held("SOLUSDT", 9, "4", "150")], "not_checkable 0/0/1: 1 position: the quantities differ"),
            (&anew, overtaken),
            (
                &[sol.clone(), held("SOLUSDT", 9, "3", "")],
                "not_checkable 0/0/1: 1 position: the exchange did not state an entry",
            ),
            (
                &[sol.clone(), held("SOLUSDT", 9, "3", "150"), eth.clone()],
                &format!("pass 1/0/1: 1 position compared; 1 not: {unstated}"),
            ),
        ],
    );
    let differs = said("average_entry", &[], &[sol, held("SOLUSDT", 9, "3", "149"), eth]);
    assert!(differs.starts_with("fail 1/1/1: 1 position: SOLUSDT NET"), "{differs}");
}

#[test]
fn the_ledger_is_compared_where_fills_state_the_amount() {
    let [buy, sell] = pair("SOLUSDT", "6");
    let silent = fill("SOLUSDT", 1, "BUY", "150", "0", "");
    let fee = |id: i64, amount: &str| income("COMMISSION", id, amount, &[("fill_id", &id.to_string())]);
    check(
        "income_has_fills",
        &[
            (&[], "not_checkable 0/0/0: no row of the ledger is about a trade"),
            (&[income("TRANSFER", 1, "5", &[])], "not_checkable 0/0/0: no row of the ledger is about a trade"),
            (&[silent, fee(1, "-0.2")], "not_checkable 0/0/1: 1 row: the fills do not state the amount"),
            (&[buy.clone(), sell.clone(), fee(1, "-0.2"), fee(2, "-0.2")], "pass 2/0/0: 2 rows"),
            (
                &[buy.clone(), fee(1, "-0.2"), with(fee(2, "-0.2"), &[("fill_id", "1"), ("asset", "BNB")])],
                "fail 2/1/0: 1 row: COMMISSION -0.2 BNB of SOLUSDT trade 1: the book's fill says 0",
            ),
        ],
    );
}

/// Why a row is not compared.
const NO_FILL: &str = "the book has no fill of that time, and does not claim to have all of them";

/// Rows of an export name no trade. Their second does, or the seconds around it, or the sum of all.
#[test]
fn rows_that_name_no_trade_are_compared_by_time_and_by_sums() {
    let [buy, sell] = pair("SOLUSDT", "6");
    let row = |kind: &str, id: i64, amount: &str, late_ms: i64| {
        let mut row = income(kind, id, amount, &[]);
        row["ts"] = (T + id * 60_000 + late_ms).into();
        row["tran_id"] = format!("{kind}{id}.{late_ms}").into();
        row
    };
    let fees = [row("COMMISSION", 1, "-0.2", 0), row("COMMISSION", 2, "-0.2", 999)];
    check(
        "income_has_fills",
        &[
            // In the second of the fill, and in the one after it.
            (&[buy.clone(), sell.clone(), fees[0].clone(), fees[1].clone()], "pass 2/0/0: 2 rows"),
            (&[buy.clone(), sell.clone(), fees[0].clone(), row("COMMISSION", 2, "-0.2", 1_500)], "pass 2/0/0: 2 rows"),
            (&[buy.clone(), sell.clone(), row("REALIZED_PNL", 2, "6", 0)], "pass 1/0/0: 1 row"),
            // Dated a minute off: each alone would differ, and together they add up.
            (
                &[
                    buy.clone(),
                    sell.clone(),
                    row("COMMISSION", 1, "-0.1", 0),
                    row("COMMISSION", 2, "-0.1", -30_000),
                    row("COMMISSION", 2, "-0.2", 0),
                ],
                "pass 3/0/0: 3 rows",
            ),
            // A fill without a row demands none.
            (&[buy.clone(), sell.clone(), fees[1].clone()], "pass 1/0/0: 1 row"),
            (
                &[buy.clone(), fees[0].clone(), row("COMMISSION", 7, "-0.2", 0)],
                &format!(
                    "pass 1/0/1: 1 row compared; 1 not: {NO_FILL} (COMMISSION of SOLUSDT at 2026-02-10 10:07:00.000 UTC)"
                ),
            ),
            (
                &[row("COMMISSION", 1, "-0.2", 0)],
                &format!(
                    "not_checkable 0/0/1: 1 row: {NO_FILL} (COMMISSION of SOLUSDT at 2026-02-10 10:01:00.000 UTC)"
                ),
            ),
            (
                &[fill("SOLUSDT", 1, "BUY", "150", "0", ""), row("COMMISSION", 1, "-0.2", 0)],
                "not_checkable 0/0/1: 1 row: the fills do not state the amount",
            ),
            // Nothing proves that the book has all fills of that second.
            (
                &[buy.clone(), row("COMMISSION", 1, "-0.3", 0)],
                "not_checkable 0/0/1: 1 row: the fills or the entries of that time may not all be there",
            ),
        ],
    );
}

/// Where an export of trades proves that all fills are there, a sum that differs is a difference.
#[test]
fn rows_that_name_no_trade_differ_from_fills_that_are_all_there() {
    let header =
        "Time(UTC),Symbol,Side,Position Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade Id,Order Id";
    let trades: String = (1..=4).fold(format!("{header}\n"), |mut text, id| {
        let (side, profit) = if id % 2 == 1 { ("BUY", "0") } else { ("SELL", "3") };
        let price = if id % 2 == 1 { "10" } else { "11" };
        writeln!(
            text,
            "2026-02-10 10:0{id}:00,SOLUSDT,{side},BOTH,{price},3,{},0.3USDT,{profit},{},FALSE,{id},7{id}",
            if id % 2 == 1 { 30 } else { 33 },
            if id % 2 == 1 { "TRUE" } else { "FALSE" }
        )
        .unwrap();
        text
    });
    let rows = |second: &str| {
        let mut text = "Date(UTC),type,Amount,Asset,Symbol,Transaction ID\n".to_owned();
        for (id, amount) in [(1, "-0.3"), (2, second), (3, "-0.3"), (4, "-0.3")] {
            writeln!(text, "2026-02-10 10:0{id}:00,COMMISSION,{amount},USDT,SOLUSDT,9{id}").unwrap();
        }
        text
    };
    for (second, added, expected) in [
        ("-0.3", "", "pass 4/0/0: 4 rows"),
        // A trade that the ledger alone knows: within what the book covers, and behind it.
        (
            "-0.3",
            "2026-02-10 10:02:30,COMMISSION,-0.2,USDT,SOLUSDT,77\n2026-02-10 10:02:30,REALIZED_PNL,5,USDT,SOLUSDT,78\n",
            "fail 6/2/0: 2 rows: COMMISSION in USDT of SOLUSDT from 2026-02-10 10:02:30 UTC to 2026-02-10 10:02:30 UTC: the \
             ledger says -0.2, the book has no fill there, and it claims to have all of them; REALIZED_PNL in USDT of SOLUSDT \
             from 2026-02-10 10:02:30 UTC to 2026-02-10 10:02:30 UTC: the ledger says 5, the book has no fill there, and it \
             claims to have all of them",
        ),
        (
            "-0.3",
            "2026-02-10 10:09:00,COMMISSION,-0.2,USDT,SOLUSDT,77\n",
            "pass 4/0/1: 4 rows compared; 1 not: the book has no fill of that time, and does not claim to have all of them \
             (COMMISSION of SOLUSDT at 2026-02-10 10:09:00 UTC)",
        ),
        (
            "-0.4",
            "",
            "fail 4/1/0: 1 row: COMMISSION in USDT of SOLUSDT from 2026-02-10 10:02:00 UTC to 2026-02-10 10:02:00 UTC: the \
             ledger says -0.4, the book's fills -0.3",
        ),
    ] {
        let sandbox = Sandbox::with_book(&["--position-mode", "one-way"]);
        sandbox.write("trades.csv", &trades);
        sandbox.write("ledger.csv", rows(second) + added);
        sandbox.run(&["import", "trades.csv", "ledger.csv", "--quiet"]).exits(0);
        let said = of(&sandbox, "income_has_fills");
        assert_eq!(said.replace(".000 UTC", " UTC"), expected);
        assert_eq!(sandbox.run(&["verify", "--quiet"]).code, if expected.starts_with("pass") { 0 } else { 3 });
    }
}

#[test]
fn wallets_are_compared_where_the_ledger_is_of_their_time() {
    let moved = [wallet("USDT", 0, "100"), wallet("USDT", 10, "105")];
    let transfer = |minute: i64, amount: &str| income("TRANSFER", minute, amount, &[]);
    let bnb = [wallet("BNB", 0, "1"), wallet("BNB", 10, "2")];
    check(
        "footing",
        &[
            (&[], "not_checkable 0/0/0: no wallet is on record"),
            (&moved[..1], "not_checkable 0/0/0: no wallet has changed between two looks"),
            // Entries of the asset there are, and none of that time.
            (
                &[moved[0].clone(), moved[1].clone(), transfer(30, "7")],
                "not_checkable 0/0/1: 1 wallet change: the ledger has no entry of the asset from that time (USDT from \
                 2026-02-10 10:00:00.000 UTC to 2026-02-10 10:10:00.000 UTC)",
            ),
            (&[moved[0].clone(), moved[1].clone(), transfer(5, "5")], "pass 1/0/0: 1 wallet change"),
            (
                &[moved[0].clone(), moved[1].clone(), transfer(5, "5"), bnb[0].clone(), bnb[1].clone()],
                "pass 1/0/1: 1 wallet change compared; 1 not: the ledger has no entry of the asset from that time (BNB from \
                 2026-02-10 10:00:00.000 UTC to 2026-02-10 10:10:00.000 UTC)",
            ),
        ],
    );
    let differs = said("footing", &[], &[&moved[..], &[transfer(5, "4")], &bnb].concat());
    assert!(differs.starts_with("fail 1/1/1: 1 wallet change: USDT"), "{differs}");
}

#[test]
fn a_position_mode_is_held_against_the_positions_that_fills_name() {
    let mode = |init: &str, lines: &[Value]| {
        let init: &[&str] = if init.is_empty() { &[] } else { &["--position-mode", init] };
        said("position_mode", init, lines)
    };
    let net = fill("SOLUSDT", 1, "BUY", "150", "0", "0");
    let long = with(net.clone(), &[("position_side", "LONG")]);
    let mut bare = fill("ETHUSDT", 2, "BUY", "3000", "0", "0");
    bare.as_object_mut().unwrap().remove("position_side");
    assert_eq!(
        mode("", std::slice::from_ref(&net)),
        "not_checkable 0/0/0: neither the user nor the exchange has said what it is"
    );
    assert_eq!(mode("hedge", &[]), "not_checkable 0/0/0: hedge, as the user says; no fill is on record");
    assert_eq!(mode("one-way", std::slice::from_ref(&bare)), "not_checkable 0/0/1: 1 fill: no position is named");
    assert_eq!(
        mode("one-way", &[net.clone(), bare]),
        "pass 1/0/1: one_way, as the user says; 1 fill names a position of it; 1 not: no position is named"
    );
    assert_eq!(
        mode("hedge", std::slice::from_ref(&long)),
        "pass 1/0/0: hedge, as the user says; 1 fill names a position of it"
    );
    // Fills of either mode contradict the user's word about the other.
    for (word, fact, said) in [("hedge", &net, "a fact of one-way mode"), ("one-way", &long, "a fact of a hedge")] {
        let found = mode(word, std::slice::from_ref(fact));
        assert!(found.starts_with("fail 1/1/0: ") && found.contains(said), "{found}");
    }
}

#[test]
fn who_sent_an_order_is_counted_where_something_says_it() {
    let [buy, sell] = pair("SOLUSDT", "6");
    let by = |id: i64, side: &str, client: &str| order(id, side, "3", &[("client_order_id", client)]);
    let labelled = order(1, "BUY", "3", &[("engine", "grid")]);
    let unsaid = "the sender is not on record (`import` the bot's database, or `sync --state FILE`)";
    check(
        "foreign_facts",
        &[
            (&[], "not_checkable 0/0/0: no executed order is on record"),
            (
                &[buy.clone(), sell.clone(), by(1, "BUY", "x-1"), by(2, "SELL", "x-2")],
                &format!("not_checkable 0/0/2: 2 executed orders: {unsaid}"),
            ),
            (
                &[buy.clone(), labelled, sell.clone(), by(2, "SELL", "ios_abc")],
                "pass 2/0/0: 2 executed orders: 1 of the bot, 1 by hand",
            ),
            (
                &[buy.clone(), by(1, "BUY", "x-1"), sell.clone(), by(2, "SELL", "autoclose-17")],
                &format!("pass 1/0/1: 1 executed order: 1 by the exchange; 1 not: {unsaid}"),
            ),
        ],
    );
}

#[test]
fn what_is_derived_and_what_is_stated_twice_is_counted() {
    let [buy, sell] = pair("SOLUSDT", "6");
    let again = with(buy.clone(), &[("source", "exchange_csv")]);
    let otherwise = with(buy.clone(), &[("source", "exchange_csv"), ("price", "151")]);
    check(
        "sources_agree",
        &[
            (&[], "not_checkable 0/0/0: no fact is stated more than once"),
            (&[buy.clone(), sell.clone()], "not_checkable 0/0/0: no fact is stated more than once"),
            (&[buy.clone(), sell.clone(), again], "pass 1/0/0: 1 fact stated more than once, none in two ways"),
        ],
    );
    let differs = said("sources_agree", &[], &[buy.clone(), sell.clone(), otherwise]);
    assert!(differs.starts_with("fail 1/1/0: 1 conflict: "), "{differs}");
    let nothing = "nothing is derived: the facts give no position and no round trip";
    check("derived_rows", &[(&[], "not_checkable 0/0/0: no fill is on record")]);
    check("derived_rows", &[(&[buy.clone(), sell.clone()], "pass 2/0/0: 2 fills, each in a position")]);
    check("recomputation", &[(&[], &format!("not_checkable 0/0/0: {nothing}"))]);
    let known = [buy.clone(), sell.clone()];
    let recomputed = said("recomputation", &[], &known);
    assert!(recomputed.ends_with(": 1 round trip and 1 position are what the facts give"), "{recomputed}");
    check(
        "conservation",
        &[
            (&[], "not_checkable 0/0/0: no fill is on record"),
            (&[unseen("ETHUSDT")], "not_checkable 0/0/1: 1 symbol: a profit or an entry is unknown"),
            (&known, "pass 1/0/0: 2 fills in 1 symbol, to the last digit"),
            (
                &[buy, sell, unseen("ETHUSDT")],
                "pass 1/0/1: 2 fills in 1 symbol, to the last digit; 1 not: a profit or an entry is unknown",
            ),
        ],
    );
}

/// A coin-margined contract of which no source tells the size, beside one that can be computed.
#[test]
fn a_contract_that_cannot_be_computed_is_in_no_sum_and_in_no_verdict() {
    let mut lines = pair("SOLUSDT", "6").to_vec();
    lines.push(fill("SOLUSD_PERP", 4, "BUY", "150", "0", "0.2"));
    lines.push(held("SOLUSD_PERP", 5, "3", "150"));
    for (name, expected) in [
        (
            "recomputation",
            "pass 2/0/1: 1 round trip and 1 position are what the facts give; 1 not: the contract cannot be computed",
        ),
        ("conservation", "pass 1/0/1: 2 fills in 1 symbol, to the last digit; 1 not: the contract cannot be computed"),
        ("realized_pnl", "pass 2/0/1: 2 fills compared; 1 not: the contract cannot be computed"),
        (
            "quantity",
            "not_checkable 0/0/2: 1 position: the contract cannot be computed; 1 position: the exchange's word is not on record",
        ),
    ] {
        assert_eq!(said(name, &["--position-mode", "one-way"], &lines), expected);
    }
}
