//! Every check of `verify` passes on a complete book and fails when its part of the book is wrong.

use serde_json::Value;

use crate::support::Sandbox;

/// A complete little book: buy 2 at 100, sell 2 at 110, fees 0.1 each, the ledger's rows, and balances around them.
fn lines() -> Vec<String> {
    let fill = |id: &str, side: &str, price: &str, realized: &str, ts: i64| {
        format!(
            r#"{{"schema":"fillbook.fill/1","source":"rest","symbol":"ETHUSDT","fill_id":"{id}","side":"{side}","ts":{ts},"price":"{price}","qty":"2","order_id":"9{id}","position_side":"NET","fee":"0.1","fee_asset":"USDT","exchange_realized_pnl":"{realized}","sequence":"{id}"}}"#
        )
    };
    let order = |id: &str, side: &str, price: &str, ts: i64| {
        format!(
            r#"{{"schema":"fillbook.order/1","source":"rest","symbol":"ETHUSDT","order_class":"REGULAR","order_id":"9{id}","side":"{side}","status":"FILLED","position_side":"NET","order_type":"MARKET","qty":"2","terms_ts":{ts},"executed_qty":"2","avg_price":"{price}","ts":{ts},"updated_ts":{ts}}}"#
        )
    };
    let income = |kind: &str, tran: &str, fill: &str, amount: &str, ts: i64| {
        format!(
            r#"{{"schema":"fillbook.income/1","source":"rest","income_type":"{kind}","tran_id":"{tran}","symbol":"ETHUSDT","asset":"USDT","amount":"{amount}","ts":{ts},"fill_id":"{fill}"}}"#
        )
    };
    let balance = |wallet: &str, ts: i64| {
        format!(r#"{{"schema":"fillbook.balance/1","source":"rest","asset":"USDT","ts":{ts},"wallet":"{wallet}"}}"#)
    };
    let t = 1_772_344_800_000;
    vec![
        r#"{"schema":"fillbook.anchor/1","source":"rest","symbol":"ETHUSDT","position_side":"NET","ts":1772344799000,"qty":"0","derivation":"the exchange said flat"}"#.to_owned(),
        balance("1000", t - 1_000),
        fill("1", "BUY", "100", "0", t),
        order("1", "BUY", "100", t),
        income("COMMISSION", "11", "1", "-0.1", t),
        fill("2", "SELL", "110", "20", t + 60_000),
        order("2", "SELL", "110", t + 60_000),
        income("COMMISSION", "12", "2", "-0.1", t + 60_000),
        income("REALIZED_PNL", "13", "2", "20", t + 60_000),
        // Another source states the same.
        fill("2", "SELL", "110", "20", t + 60_000).replace(r#""source":"rest""#, r#""source":"ccxt""#),
        balance("1019.8", t + 120_000),
        format!(r#"{{"schema":"fillbook.position/1","source":"rest","symbol":"ETHUSDT","position_side":"NET","ts":{},"qty":"0"}}"#, t + 120_000),
    ]
}

/// The verdicts of a book made of these lines, as `check: verdict`, with the exit code.
fn verdicts(lines: &[String], init: &[&str]) -> (i32, Vec<String>) {
    let sandbox = Sandbox::with_book(init);
    sandbox.write("facts.ndjson", lines.join("\n"));
    sandbox.run(&["import", "facts.ndjson", "--quiet"]);
    let run = sandbox.run(&["verify", "--json"]);
    let verdict = |line: &Value| format!("{}: {}", line["check"].as_str().unwrap(), line["verdict"].as_str().unwrap());
    (run.code, run.json().iter().map(verdict).collect())
}

fn failed(verdicts: &[String]) -> Vec<&str> {
    verdicts.iter().filter_map(|verdict| verdict.strip_suffix(": fail")).collect()
}

#[test]
fn a_complete_book_passes_every_check() {
    let (code, verdicts) = verdicts(&lines(), &["--position-mode", "one-way"]);
    assert_eq!(code, 0);
    let unchecked: Vec<_> = verdicts.iter().filter(|verdict| !verdict.ends_with(": pass")).collect();
    // Nobody asked the exchange, nothing tells who sent the orders, nothing was held when the exchange spoke of positions or at a
    // funding instant, and of a file nobody knows how much of the ledger it has.
    let expected = ["confirmed_rows", "foreign_facts", "average_entry", "fills_have_income", "funding"];
    assert_eq!(unchecked, expected.map(|name| format!("{name}: not_checkable")).each_ref());
}

/// What is taken away or changed, which checks fail, and the exit code.
#[test]
fn each_check_fails_when_its_part_is_wrong() {
    let without = |parts: &[&str]| -> Vec<String> {
        lines().into_iter().filter(|line| !parts.iter().all(|part| line.contains(part))).collect()
    };
    let changed = |of: &[&str], from: &str, to: &str| -> Vec<String> {
        let change =
            |line: String| if of.iter().all(|part| line.contains(part)) { line.replace(from, to) } else { line };
        let changed: Vec<String> = lines().into_iter().map(change).collect();
        assert_ne!(changed, lines(), "nothing was changed");
        changed
    };
    // Neither the fill nor its order says which position it changed.
    let unplaced = lines().into_iter().map(|line| {
        let says = line.contains(r#""fill_id":"1""#) || line.contains(r#""order_id":"91""#);
        if says { line.replace(r#""position_side":"NET","#, "") } else { line }
    });
    let unplaced: Vec<String> = unplaced.collect();
    let fill_1 = &["fillbook.fill/1", r#""fill_id":"1""#];
    for (what, lines, expected, code) in [
        ("a fill is missing", without(fill_1), &["executed_quantity", "income_has_fills"][..], 3),
        ("a fill has another price", changed(fill_1, r#""price":"100""#, r#""price":"101""#), &["realized_pnl"], 3),
        ("a fill has another fee", changed(fill_1, r#""fee":"0.1""#, r#""fee":"0.2""#), &["income_has_fills"], 3),
        // All that was ordered executed, more or less than the fills add up to.
        (
            "an order executed more",
            changed(&["fillbook.order/1", "92"], r#"qty":"2""#, r#"qty":"3""#),
            &["executed_quantity"],
            3,
        ),
        (
            "an order executed less",
            changed(&["fillbook.order/1", "92"], r#"qty":"2""#, r#"qty":"1""#),
            &["executed_quantity"],
            3,
        ),
        (
            "the ledger realized more",
            changed(&["REALIZED_PNL"], r#""amount":"20""#, r#""amount":"20.00000001""#),
            &["income_has_fills", "footing"],
            6,
        ),
        ("a ledger row is missing", without(&["COMMISSION", r#""tran_id":"11""#]), &["footing"], 6),
        ("the wallet moved otherwise", changed(&["1019.8"], "1019.8", "1019.81"), &["footing"], 6),
        (
            "the exchange still holds it",
            changed(&["fillbook.position/1"], r#""qty":"0""#, r#""qty":"1","entry_price":"100""#),
            &["quantity"],
            3,
        ),
        ("a fill says no position", unplaced, &["derived_rows"], 3),
        ("a contract is not known", changed(fill_1, "ETHUSDT", "ETHXXX"), &["derived_rows"], 3),
    ] {
        let (exit, verdicts) = verdicts(&lines, &[]);
        let failed = failed(&verdicts);
        for check in expected {
            assert!(failed.contains(check), "{what}: {check} must fail, failed were {failed:?}");
        }
        assert_eq!(exit, code, "{what}: {failed:?}");
    }
}

/// Columns that people query by hand say what the record beside them says.
#[test]
fn columns_that_contradict_their_record_are_noticed() {
    for (statement, command) in [
        ("UPDATE positions SET qty = '99'", "positions"),
        ("UPDATE positions SET realized_pnl = '1000000'", "positions"),
        ("UPDATE positions SET certainty = 'unknown'", "positions"),
    ] {
        let sandbox = Sandbox::with_book(&[]);
        sandbox.write("facts.ndjson", lines().join("\n"));
        sandbox.run(&["import", "facts.ndjson", "--quiet"]).exits(0);
        sandbox.tamper(statement);
        for command in [command, "verify"] {
            let run = sandbox.run(&[command]).exits(6);
            assert!(run.transcript().contains("fillbook rebuild"), "{statement}: {}", run.transcript());
        }
        sandbox.run(&["rebuild"]).exits(0);
        sandbox.run(&["verify"]).exits(0);
    }
}

/// Whatever is changed in the file by hand, in facts or in what follows from them, is noticed.
#[test]
fn tampering_is_noticed() {
    for (statement, check, code) in [
        ("DELETE FROM positions", "recomputation", 6),
        ("DELETE FROM round_trips", "recomputation", 6),
        ("UPDATE round_trips SET gross = '7'", "recomputation", 6),
        ("UPDATE round_trips SET exit_reason = 'adl'", "recomputation", 6),
        (
            "UPDATE round_trips SET detail_json = replace(detail_json, 'entry_qty\":\"', 'entry_qty\":\"9')",
            "recomputation",
            6,
        ),
        ("DELETE FROM symbol_books", "recomputation", 6),
        ("UPDATE orders SET filled_qty = '7' WHERE order_id = '91'", "recomputation", 6),
        ("UPDATE orders SET residual_qty = '5' WHERE order_id = '91'", "recomputation", 6),
        ("UPDATE fills SET price = '90' WHERE fill_id = '1'", "recomputation", 6),
        ("UPDATE fills SET qty = '1' WHERE fill_id = '1'", "recomputation", 6),
        ("UPDATE fills SET fee = '0' WHERE fill_id = '1'", "income_has_fills", 6),
        ("DELETE FROM fills WHERE fill_id = '1'", "recomputation", 6),
        ("DELETE FROM income WHERE tran_id = '11'", "footing", 6),
        ("UPDATE instruments SET multiplier = '10'", "recomputation", 6),
        ("UPDATE fact_sources SET payload = replace(payload, '100', '101')", "schema", 6),
        ("INSERT INTO __diesel_schema_migrations VALUES ('20990101000000', CURRENT_TIMESTAMP)", "schema", 6),
    ] {
        let sandbox = Sandbox::with_book(&[]);
        sandbox.write("facts.ndjson", lines().join("\n"));
        sandbox.run(&["import", "facts.ndjson", "--quiet"]).exits(0);
        sandbox.tamper(statement);
        let run = sandbox.run(&["verify", "--json"]);
        let failed: Vec<Value> = run.json().into_iter().filter(|line| line["verdict"] == "fail").collect();
        assert!(failed.iter().any(|line| line["check"] == check), "{statement}: {failed:?}\n{}", run.stderr);
        assert_eq!(run.code, code, "{statement}: {failed:?}");
        // What is derived heals; what the facts say stays wrong until the exchange is asked.
        sandbox.run(&["rebuild"]);
        let again = sandbox.run(&["verify", "--json"]).json();
        assert!(
            again.iter().all(|line| line["check"] != "recomputation" || line["verdict"] == "pass"),
            "{statement}: {again:?}"
        );
    }
}
