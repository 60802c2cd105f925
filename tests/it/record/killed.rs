//! `fillbook record` is killed at random moments, and what was not answered is given again: no line that was answered is
//! lost, and nothing is doubled.

use ledger_core::AccountId;
use ledger_store::contract::dump;
use ledger_store::{OpenOptions, SqliteStore};
use serde_json::{Value, json};

use super::Child;
use crate::support::Sandbox;

/// How many seeds are tried. `.ci/long` asks for more.
#[expect(clippy::disallowed_methods, reason = "how much a run of the tests must cover is said by whoever starts it")]
fn seeds() -> u64 {
    std::env::var("FILLBOOK_RECORD_SEEDS").map_or(20, |seeds| seeds.parse().unwrap())
}

/// Knuth's generator: a seed always tells the same story.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

const START_MS: u64 = 1_772_344_800_000;
const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];

/// What a bot says of one order, from the decision to its trades. Half of the intents are sent with fillbook's ids.
fn story(nth: u64, random: &mut Random) -> Vec<Value> {
    let symbol = SYMBOLS[usize::try_from(random.below(3)).unwrap()];
    let (id, at) = (1_000 + nth, START_MS + nth * 1_000);
    let side = if random.below(2) == 0 { "buy" } else { "sell" };
    let mut lines = vec![json!({ "event": "signal", "symbol": symbol, "side": side, "engine": "swing", "time": at })];
    let mut intent = json!({ "event": "intent", "symbol": symbol, "side": side, "role": "entry", "type": "market",
        "amount": "2", "engine": "swing", "trade": format!("t-{nth}"), "time": at });
    if random.below(2) == 0 {
        lines.push(intent);
        return lines;
    }
    intent["client_order_id"] = format!("bot-{nth}").into();
    lines.push(intent);
    let sent = |result: &str| json!({ "event": "sent", "client_order_id": format!("bot-{nth}"), "symbol": symbol, "result": result });
    if random.below(4) == 0 {
        lines.push(sent("unknown"));
        return lines;
    }
    let order = |status: &str, executed: &str, avg: &str| {
        json!({ "symbol": symbol, "id": id.to_string(), "info": { "orderId": id, "symbol": symbol,
            "clientOrderId": format!("bot-{nth}"), "status": status, "side": side.to_uppercase(), "positionSide": "BOTH",
            "type": "MARKET", "origQty": "2", "executedQty": executed, "avgPrice": avg, "time": at, "updateTime": at + 5 } })
    };
    let mut accepted = sent("accepted");
    accepted["order"] = order("NEW", "0", "0");
    lines.push(accepted);
    let trade = |part: u64| {
        let info = json!({ "id": id * 10 + part, "orderId": id, "symbol": symbol, "side": side.to_uppercase(),
            "positionSide": "BOTH", "price": "100", "qty": "1", "commission": "0.05", "commissionAsset": "USDT",
            "maker": false, "time": at + 5 });
        json!({ "event": "trade", "trade": { "symbol": symbol, "id": (id * 10 + part).to_string(), "side": side,
            "price": 100, "amount": 1, "info": info } })
    };
    lines.extend([trade(0), json!({ "event": "order", "order": order("FILLED", "2", "100") }), trade(1)]);
    if random.below(3) == 0 {
        lines.push(json!({ "event": "label", "symbol": symbol, "order_id": id.to_string(), "reason": "auto_exit" }));
    }
    lines
}

/// Every fact of the book and what follows from them.
async fn said(sandbox: &Sandbox) -> Vec<String> {
    let store = SqliteStore::open(sandbox.path().join("fillbook.db"), &OpenOptions::reading()).unwrap();
    dump(&store, &AccountId::new("main").unwrap()).await
}

#[tokio::test]
async fn what_was_answered_survives_and_nothing_is_doubled() {
    let empty = Sandbox::with_book(&["--position-mode", "one-way"]);
    let fresh = || {
        let sandbox = Sandbox::empty();
        std::fs::copy(empty.path().join("fillbook.db"), sandbox.path().join("fillbook.db")).unwrap();
        sandbox
    };
    let mut killed_at_work = 0;
    for seed in 1..=seeds() {
        let mut random = Random(seed);
        let lines: Vec<_> = (0..8).flat_map(|nth| story(nth, &mut random)).map(|line| line.to_string()).collect();
        let whole = fresh();
        let mut child = Child::start(&whole, &[]);
        child.write(&lines.join("\n")).unwrap();
        let (code, answers, stderr) = child.finish();
        assert_eq!((code, answers.len()), (Some(0), lines.len()), "seed {seed}: {stderr}");
        let sandbox = fresh();
        let mut answered = 0;
        while answered < lines.len() {
            let mut child = Child::start(&sandbox, &[]);
            let (read, turns) = (usize::try_from(random.below(16)).unwrap(), random.below(2_000));
            // Of more answers than lines it would wait for ever.
            let read = read.min(lines.len() - answered);
            // However fast the machine, it is not done with all of them: it gets a few more than are waited for, and sometimes
            // a piece of the next. It may die before all of this is written.
            let given = (answered + read + usize::try_from(random.below(4)).unwrap()).min(lines.len());
            let piece = lines.get(given).filter(|_| random.below(2) == 0).map(|next| &next[..next.len() / 2]);
            let text: String = lines[answered..given].iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            let _may_be_gone = child.write_as_it_is(&format!("{text}{}", piece.unwrap_or_default()));
            let mut outcomes: Vec<_> = (0..read).map_while(|_| child.answer()).collect();
            (0..turns).for_each(|_| std::thread::yield_now());
            child.process.kill().unwrap();
            let (code, rest, _) = child.ended();
            outcomes.extend(rest);
            for (answer, line) in outcomes.iter().zip(&lines[answered..]) {
                let outcome = answer["outcome"].as_str().unwrap();
                assert!(!["refused", "failed", "conflict"].contains(&outcome), "seed {seed}: {line}: {answer}");
            }
            killed_at_work += usize::from(code.is_none() && answered + outcomes.len() < lines.len());
            answered += outcomes.len();
        }
        assert_eq!(said(&sandbox).await, said(&whole).await, "seed {seed}");
        if seed == 1 {
            let verify = sandbox.run(&["verify"]);
            assert!(!verify.stdout.contains("FAIL"), "seed {seed}: {}", verify.transcript());
        }
    }
    assert!(killed_at_work > 20, "only {killed_at_work} were killed at work");
}
