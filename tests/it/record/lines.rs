//! Lines that cannot be recorded, a book that cannot be written, and the end.

use std::io::Write as _;
use std::process::Stdio;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use serde_json::{Value, json};

use super::Child;
use crate::support::{Sandbox, Signal, send};

fn signal(id: &str) -> Value {
    json!({ "event": "signal", "ref": id, "signal_id": id, "symbol": "BTCUSDT", "side": "buy", "time": 1_772_344_800_000_u64 })
}

#[test]
fn a_bad_line_is_answered_by_number_and_field_and_costs_itself_alone() {
    let sandbox = Sandbox::with_book(&[]);
    let lines: [(&str, Value); 19] = [
        ("not json", Value::Null),
        ("[1]", Value::Null),
        (r#"{"symbol": "BTCUSDT"}"#, "event".into()),
        (r#"{"event": "buy"}"#, "event".into()),
        (r#"{"event": "gate", "event": "gate", "symbol": "BTCUSDT"}"#, Value::Null),
        (r#"{"event": "signal", "symbol": "BTCUSDT", "sid": "buy"}"#, "sid".into()),
        (r#"{"event": "signal", "symbol": "BTCUSDT", "side": "up"}"#, "side".into()),
        (r#"{"event": "signal", "symbol": "=1+1", "side": "buy"}"#, "symbol".into()),
        (r#"{"event": "signal", "symbol": "BTCUSDT", "side": "buy", "time": 1772344800}"#, "time".into()),
        (r#"{"event": "signal", "symbol": "BTCUSDT", "side": "buy", "time": 1772344800.5}"#, "time".into()),
        (r#"{"event": "signal", "symbol": "BTCUSDT", "side": "buy", "ref": 1.10}"#, "ref".into()),
        (r#"{"event": "skip", "signal_id": "nobody", "why": "x"}"#, "signal_id".into()),
        (
            r#"{"event": "intent", "symbol": "BTCUSDT", "side": "buy", "role": "entry", "type": "market"}"#,
            "amount".into(),
        ),
        (
            r#"{"event": "intent", "symbol": "BTCUSDT", "side": "buy", "role": "entry", "type": "market", "amount": "0"}"#,
            "amount".into(),
        ),
        (
            r#"{"event": "sent", "client_order_id": "nobody", "symbol": "BTCUSDT", "result": "unknown"}"#,
            "client_order_id".into(),
        ),
        (r#"{"event": "order", "order": {"id": "1", "symbol": "BTC/USDT:USDT"}}"#, "order.side".into()),
        (r#"{"event": "label", "symbol": "BTCUSDT", "order_id": "7", "engine": "swing"}"#, "order_id".into()),
        (r#"{"event": "closed", "symbol": "BTCUSDT", "reason": "bored"}"#, "reason".into()),
        (r#"{"event": "entry_event", "entry": {"symbol": "BTCUSDT", "engine": "x"}}"#, "entry".into()),
    ];
    let mut child = Child::start(&sandbox, &[]);
    for (number, (line, field)) in lines.iter().enumerate() {
        child.write(line).unwrap();
        let answer = child.answer().unwrap();
        assert_eq!((&answer["line"], &answer["outcome"]), (&json!(number + 1), &json!("refused")), "{line}: {answer}");
        assert_eq!(answer["error"]["field"], *field, "{line}: {answer}");
        for part in ["problem", "advice"] {
            assert!(!answer["error"][part].as_str().unwrap().is_empty(), "{line}: {answer}");
        }
    }
    // Too long, empty, and what stands between them.
    child.write(&"x".repeat((1 << 20) + 1)).unwrap();
    assert_eq!(child.answer().unwrap()["outcome"], "refused");
    child.write("").unwrap();
    let answer = child.ask(&signal("s-1"));
    assert_eq!((&answer["line"], &answer["ref"], &answer["outcome"]), (&json!(22), &json!("s-1"), &json!("recorded")));
    assert_eq!(child.finish().0, Some(0));
    assert_eq!(sandbox.run(&["signals", "--json"]).exits(0).json().len(), 1);
}

#[test]
fn a_locked_book_keeps_nothing_of_a_line_and_takes_it_later() {
    let sandbox = Sandbox::with_book(&[]);
    let mut child = Child::start(&sandbox, &[]);
    let path = sandbox.path().join("fillbook.db");
    let mut other = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let answer = child.ask(&signal("s-1"));
    assert_eq!((&answer["outcome"], &answer["error"]["class"]), (&json!("failed"), &json!("locked")), "{answer}");
    // A question needs no lock.
    assert_eq!(child.ask(&json!({ "event": "gate", "symbol": "BTCUSDT" }))["allowed"], true);
    other.batch_execute("COMMIT").unwrap();
    assert_eq!(child.ask(&signal("s-1"))["outcome"], "recorded");
    assert_eq!(child.finish().0, Some(0));
}

/// Lines that wait together are answered in their order, and a bad one among them costs itself alone.
#[test]
fn lines_that_wait_are_recorded_together_and_answered_in_order() {
    let sandbox = Sandbox::with_book(&[]);
    let mut child = Child::start(&sandbox, &[]);
    let mut text = String::new();
    for nth in 0..600 {
        let mut line = signal(&format!("s-{nth}")).to_string();
        match nth % 100 {
            37 => line = "not json".to_owned(),
            38 => line = "x".repeat((1 << 20) + 1),
            _ => {}
        }
        text += &line;
        text += "\n";
    }
    child.write(text.trim_end()).unwrap();
    let (code, answers, stderr) = child.finish();
    assert_eq!((code, answers.len()), (Some(0), 600), "{stderr}");
    for (nth, answer) in answers.iter().enumerate() {
        let expected = if matches!(nth % 100, 37 | 38) { "refused" } else { "recorded" };
        assert_eq!((&answer["line"], &answer["outcome"]), (&json!(nth + 1), &json!(expected)), "{answer}");
    }
    assert_eq!(sandbox.run(&["signals", "--json", "-n", "1000"]).exits(0).json().len(), 588);
}

#[test]
fn a_signal_ends_it_after_what_it_has_read() {
    let sandbox = Sandbox::with_book(&[]);
    for signal_sent in [Signal::TERM, Signal::INT] {
        let mut child = Child::start(&sandbox, &[]);
        assert!(child.ask(&signal("s-1"))["outcome"].is_string());
        send(signal_sent, &child.process);
        let (code, answers, stderr) = child.ended();
        assert_eq!((code, answers.len()), (Some(130), 0), "{stderr}");
    }
}

#[test]
fn without_a_book_or_account_no_line_is_read() {
    let sandbox = Sandbox::empty();
    let run = |args: &[&str]| {
        let mut command = sandbox.prepared(args, &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It may be gone before it could read.
        let _not_read = child.stdin.take().unwrap().write_all(signal("s-1").to_string().as_bytes());
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(run(&["record"]), (Some(1), String::new()));
    sandbox.run(&["init"]).exits(0);
    assert_eq!(run(&["record", "--account", "other"]), (Some(1), String::new()));
    assert_eq!(run(&["record", "--client-ids", "{engine}"]).0, Some(2));
}

#[test]
fn the_gate_tells_by_its_exit_code() {
    let sandbox = Sandbox::with_book(&[]);
    let gate = |args: &[&str]| sandbox.run(&[&["gate"], args].concat());
    assert_eq!(gate(&["BTCUSDT"]).exits(0).stdout, "BTCUSDT: an entry may be made.\n");
    let mut child = Child::start(&sandbox, &[]);
    let intent = json!({ "event": "intent", "symbol": "BTCUSDT", "side": "buy", "role": "entry", "type": "market",
        "amount": "0.01", "engine": "swing", "trade": "t-1", "position_side": "long" });
    let id = child.ask(&intent)["client_order_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("fb:swing:e:"), "{id}");
    let held = gate(&["BTC/USDT:USDT", "--json"]).exits(3).json();
    assert_eq!((&held[0]["allowed"], &held[0]["reasons"][0]["kind"]), (&json!(false), &json!("undecided_intent")));
    assert!(held[0]["reasons"][0]["text"].as_str().unwrap().contains(&id), "{held:?}");
    // A misspelt contract is none, and allows nothing.
    for misspelt in ["btcusdt", "btc/usdt:usdt", "BTC-USDT"] {
        let refused = gate(&[misspelt]).exits(2);
        assert!(refused.stdout.is_empty() && refused.stderr.contains("BTC/USDT:USDT"), "{}", refused.transcript());
        let line = child.ask(&json!({ "event": "gate", "symbol": misspelt }));
        assert_eq!((&line["outcome"], &line["error"]["field"]), (&json!("refused"), &json!("symbol")), "{line}");
    }
    // Another contract, and the other side of a hedge.
    gate(&["ETHUSDT"]).exits(0);
    gate(&["BTCUSDT", "--side", "short"]).exits(0);
    gate(&["BTCUSDT", "--side", "long"]).exits(3);
    let sent = json!({ "event": "sent", "client_order_id": id, "symbol": "BTCUSDT", "result": "rejected" });
    assert_eq!(child.ask(&sent)["intent"], "rejected");
    gate(&["BTCUSDT"]).exits(0);
    // What waits beside the book is not on record.
    sandbox.write("fillbook.db.spool", "{}\n");
    let held = gate(&["BTCUSDT", "--json"]).exits(3).json();
    assert_eq!(held[0]["reasons"][0]["kind"], "unreplayed_spool");
    assert_eq!(child.ask(&json!({ "event": "gate", "symbol": "BTCUSDT" }))["reasons"], held[0]["reasons"]);
    sandbox.write("fillbook.db.spool", "");
    gate(&["BTCUSDT"]).exits(0);
    assert_eq!(child.finish().0, Some(0));
    // A book that cannot be asked allows nothing.
    let nowhere = sandbox.run(&["gate", "BTCUSDT", "--json", "--db", "nowhere.db"]).exits(1);
    assert_eq!(nowhere.json()[0]["allowed"], false);
    gate(&["BTCUSDT", "--account", "other"]).exits(1);
    gate(&["=x"]).exits(2);
}
