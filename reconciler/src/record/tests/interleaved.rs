//! Random interleavings of what bots say, against a plain model of it.

use std::collections::{BTreeMap, BTreeSet};

use ledger_store::{FillFilter, PageRequest, Scope, SignalFilter};
use serde_json::json;

use super::*;
use crate::record::gate;

const SYMBOLS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];

/// What a bot has said of an order.
#[derive(Debug, Default, Clone)]
struct Said {
    symbol: &'static str,
    is_buy: bool,
    /// 0 announced, 1 unknown, 2 rejected, 3 accepted.
    outcome: u8,
    trades: BTreeSet<u64>,
    executed: i64,
}

impl Said {
    /// What it adds to the position: what its trades say, or its answer, whichever is more.
    fn adds(&self) -> i64 {
        let qty = self.executed.max(i64::try_from(self.trades.len()).unwrap());
        if self.is_buy { qty } else { -qty }
    }
}

/// One line of a story, and what it means.
#[derive(Debug, Clone)]
enum Means {
    Signal(String),
    Announced,
    Sent(u8),
    Answered(i64),
    Traded(u64),
}

fn story(nth: u64, random: &mut impl FnMut(u64) -> u64) -> (Said, Vec<(Value, Means)>) {
    let symbol = SYMBOLS[usize::try_from(random(2)).unwrap()];
    let is_buy = random(2) == 0;
    let (side, client_id, id) = (if is_buy { "BUY" } else { "SELL" }, format!("bot-{nth}"), 100 + nth);
    let announced = json!({ "event": "intent", "symbol": symbol, "side": side.to_lowercase(), "role": "entry",
        "type": "market", "amount": "2", "client_order_id": client_id });
    let signal =
        json!({ "event": "signal", "symbol": symbol, "side": side.to_lowercase(), "signal_id": format!("s-{nth}") });
    let mut lines = vec![(announced, Means::Announced), (signal, Means::Signal(format!("s-{nth}")))];
    for _ in 0..random(6) {
        let line = match random(4) {
            0 => {
                let (name, rank) = [("unknown", 1), ("rejected", 2)][usize::try_from(random(2)).unwrap()];
                let sent = json!({ "event": "sent", "client_order_id": client_id, "symbol": symbol, "result": name });
                (sent, Means::Sent(rank))
            }
            1 => {
                let (status, executed) =
                    [("NEW", 0), ("PARTIALLY_FILLED", 1), ("FILLED", 2)][usize::try_from(random(3)).unwrap()];
                let avg = if executed == 0 { "0" } else { "100" };
                let order = order(symbol, id, &client_id, side, status, &executed.to_string(), avg);
                (json!({ "event": "order", "order": order }), Means::Answered(executed))
            }
            _ => {
                let fill = id * 10 + random(2);
                let ms = START_MS + i64::try_from(fill).unwrap();
                (json!({ "event": "trade", "trade": trade(symbol, fill, id, side, "100", ms) }), Means::Traded(fill))
            }
        };
        lines.push(line);
    }
    (Said { symbol, is_buy, ..Said::default() }, lines)
}

#[tokio::test]
async fn any_interleaving_is_what_the_bots_said() {
    for seed in 0..20_u64 {
        // Knuth's generator: a seed always tells the same story.
        let mut state = seed;
        let mut random = |end: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        let (mut recorder, store, _) = recorder().await;
        let mut said = Vec::new();
        let mut waiting = Vec::new();
        for nth in 0..6 {
            let (order, lines) = story(nth, &mut random);
            said.push((order, false));
            waiting.push(lines);
        }
        let mut signals = BTreeSet::new();
        loop {
            let open: Vec<usize> = (0..waiting.len()).filter(|nth| !waiting[*nth].is_empty()).collect();
            if open.is_empty() {
                break;
            }
            let nth = open[usize::try_from(random(open.len() as u64)).unwrap()];
            let (line, means) = waiting[nth].remove(0);
            // Whoever did not hear the answer says it again, at once or later.
            for _ in 0..=random(2) {
                let answer = ask(&mut recorder, &line).await;
                let outcome = answer["outcome"].as_str().unwrap();
                assert!(!["refused", "failed", "conflict"].contains(&outcome), "seed {seed}: {line}: {answer}");
            }
            let (order, is_announced) = &mut said[nth];
            match means {
                Means::Signal(id) => drop(signals.insert(id)),
                Means::Announced => *is_announced = true,
                Means::Sent(rank) => order.outcome = order.outcome.max(rank),
                Means::Answered(executed) => {
                    (order.outcome, order.executed) = (3, order.executed.max(executed));
                }
                Means::Traded(fill) => drop(order.trades.insert(fill)),
            }
            let mut expected = BTreeMap::new();
            for (order, _) in &said {
                *expected.entry(order.symbol).or_insert(0) += order.adds();
            }
            let positions = store.positions(&account()).await.unwrap();
            for symbol in SYMBOLS {
                let held = positions.iter().find(|position| position.symbol.as_str() == symbol);
                let held = held.map_or_else(|| "0".to_owned(), |held| held.position.qty.to_string());
                let wanted = expected.get(symbol).copied().unwrap_or(0);
                assert_eq!(held, wanted.to_string(), "seed {seed}: {symbol} after {line}");
                let is_open =
                    |(order, is_announced): &(Said, bool)| *is_announced && order.symbol == symbol && order.outcome < 2;
                let name = ledger_core::Symbol::new(symbol).unwrap();
                let (freshness, now) = (ledger_core::FreshnessLimits::default(), recorder.now());
                let terms = crate::record::GateTerms { spool: None, freshness, now };
                let allowed = gate(store.as_ref(), &account(), &name, None, terms).await;
                assert_eq!(allowed.is_allowed(), !said.iter().any(is_open), "seed {seed}: {symbol}: {allowed:?}");
            }
        }
        let filter = SignalFilter::from(Scope::account(account()));
        let known = store.signals(&filter, PageRequest::first(100)).await.unwrap().items;
        let known: BTreeSet<String> = known.into_iter().map(|signal| signal.fact.signal_id.to_string()).collect();
        assert_eq!(known, signals, "seed {seed}");
        let fills = store.fill_count(&FillFilter::from(Scope::account(account()))).await.unwrap();
        let traded: usize = said.iter().map(|(order, _)| order.trades.len()).sum();
        assert_eq!(fills, traded as u64, "seed {seed}");
    }
}
