//! Faults: what they do to answers, and that they do nothing to the books.

use super::*;
use crate::simulator::faults::Fault;

/// A profile in which one thing always happens.
fn always(change: impl Fn(&mut FaultProfile)) -> FaultProfile {
    let mut profile = FaultProfile::none();
    change(&mut profile);
    profile
}

fn replies(profile: FaultProfile) -> Vec<String> {
    let (simulator, _desk) = still_with(SimulatorConfig { faults: profile, ..SimulatorConfig::new(1) });
    let now_ms = simulator.books().at_ms;
    let mut replies = Vec::new();
    for number in 0..60 {
        let buy =
            format!("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.1&newClientOrderId=f{number}&timestamp={now_ms}");
        for (method, path, query) in [
            ("POST", "/fapi/v1/order", buy),
            ("GET", "/fapi/v1/userTrades", format!("symbol=ETHUSDT&timestamp={now_ms}")),
            ("GET", "/fapi/v3/positionRisk", format!("timestamp={now_ms}")),
        ] {
            let query = signed(&query, TEST_API_SECRET);
            let incoming = Incoming { method, path, query: &query, body: "", api_key: Some(TEST_API_KEY) };
            replies.push(format!("{:?}", simulator.handle(&incoming)));
        }
    }
    replies
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let hostile = FaultProfile::hostile();
    assert_eq!(replies(hostile.with_seed(3)), replies(hostile.with_seed(3)));
    assert_ne!(replies(hostile.with_seed(3)), replies(hostile.with_seed(4)));
}

#[test]
fn every_rate_stands_for_its_own_fault() {
    let carried_out = Fault::Html { carried_out: true };
    assert!(carried_out.carries_out() && !Fault::LostBefore.carries_out());
    for (profile, status, text) in [
        (always(|p| p.html = 1_000), 502, "<html>"),
        (always(|p| p.throttled = 1_000), 429, "-1003"),
        (always(|p| p.banned = 1_000), 418, "-1003"),
        (always(|p| p.forbidden = 1_000), 403, "<html>"),
        (always(|p| p.timed_out = 1_000), 408, "-1007"),
        (always(|p| p.unavailable = 1_000), 503, "Service Unavailable."),
        (always(|p| p.unknown = 1_000), 503, "Unknown error, please check"),
        (always(|p| p.overloaded = 1_000), 503, "-1008"),
    ] {
        let shown = replies(profile);
        assert!(shown.iter().all(|reply| reply.contains(&format!("status: {status}")) && reply.contains(text)));
    }
    for (profile, text) in [
        (always(|p| p.lost_before = 1_000), "arrival: Lost"),
        (always(|p| p.lost_after = 1_000), "arrival: Lost"),
        (always(|p| p.cut_off = 1_000), "arrival: CutOff"),
    ] {
        assert!(replies(profile).iter().all(|reply| reply.contains(text)));
    }
    let whole = replies(FaultProfile::none());
    let truncated = replies(always(|p| p.truncated = 1_000));
    assert!(whole.iter().zip(&truncated).all(|(whole, cut)| cut.len() < whole.len() && cut.contains("status: 200")));
    // Outcomes that are unknown really are: some were carried out, some not.
    for profile in [always(|p| p.unknown = 1_000), always(|p| p.timed_out = 1_000), always(|p| p.html = 1_000)] {
        let fates: Vec<_> = (0..50).map(|count| profile.draw("POST /fapi/v1/order", count).fault.unwrap()).collect();
        assert!(fates.iter().any(|fate| fate.carries_out()) && fates.iter().any(|fate| !fate.carries_out()));
    }
    // Cancelling is exempt from load shedding.
    let (_simulator, desk) =
        still_with(SimulatorConfig { faults: always(|p| p.overloaded = 1_000), ..SimulatorConfig::new(1) });
    assert_eq!(desk.refused("DELETE", "v1/order", "symbol=ETHUSDT&orderId=1"), -2011);
}

#[test]
fn rows_are_disturbed_but_none_is_lost() {
    let (_simulator, desk) = still();
    for _ in 0..9 {
        desk.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.1");
    }
    let ids = || -> Vec<i64> {
        let rows = desk.get("v1/userTrades", "symbol=ETHUSDT&fromId=1");
        rows.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    let genuine = ids();
    desk.simulator.set_faults(always(|p| (p.duplicated, p.reordered) = (1_000, 1_000)));
    let disturbed = ids();
    assert_eq!(disturbed.len(), 10);
    assert!(!disturbed.is_sorted());
    let mut restored = disturbed;
    restored.sort_unstable();
    restored.dedup();
    assert_eq!(restored, genuine);
}

#[test]
fn a_stale_snapshot_is_the_one_before() {
    let (simulator, desk) = still();
    simulator.set_faults(always(|p| p.stale = 1_000));
    let held = || desk.get("v3/positionRisk", "")[0]["positionAmt"].clone();
    assert_eq!(held(), serde_json::Value::Null);
    desk.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.1");
    assert_eq!(held(), serde_json::Value::Null);
    assert_eq!(held(), "0.100");
    simulator.set_faults(FaultProfile::none());
}

#[test]
fn late_fills_come_in_the_end() {
    let (simulator, desk) = still();
    for _ in 0..40 {
        desk.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.1");
    }
    simulator.set_faults(always(|p| (p.late, p.late_ms_max) = (500, 20_000)));
    let told = || desk.get("v1/userTrades", "symbol=ETHUSDT&fromId=1").as_array().unwrap().len();
    let at_first = told();
    assert!((5..35).contains(&at_first), "{at_first}");
    simulator.step(Duration::from_secs(20));
    assert_eq!(told(), 40);
}

#[test]
fn a_skewed_clock_is_everybodys_problem() {
    let (simulator, desk) =
        still_with(SimulatorConfig { faults: always(|p| p.clock_skew_ms = 300_000), ..SimulatorConfig::new(1) });
    assert_eq!(desk.get("v1/time", "")["serverTime"], START_MS + 300_000);
    let by_our_clock = signed(&format!("timestamp={START_MS}"), TEST_API_SECRET);
    let (status, body) = ask(&simulator, "GET", "/fapi/v3/balance", &by_our_clock, Some(TEST_API_KEY));
    assert_eq!((status, &body["code"]), (400, &(-1021).into()));
    // What happens has the exchange's time.
    desk.order("symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.1");
    assert_eq!(desk.truth().trades[0].time_ms, START_MS + 300_000);
}

/// Sends many orders through the real adapter: what it calls done is in the books, what it calls rejected is not.
async fn outcomes_are_true(exchange: &BinanceUsdm, simulator: &Simulator, profile: FaultProfile) {
    simulator.set_faults(profile);
    let (mut done, mut rejected, mut unknown) = (0, 0, [0, 0]);
    for number in 0..150 {
        // Longer than any ban of a fault.
        simulator.step(Duration::from_secs(125));
        let client_order_id = format!("fault-{number}");
        let outcome = exchange.create_order(order("ETHUSDT", Side::Buy, "0.01", &client_order_id)).await;
        let books = simulator.books();
        let placed = books.accounts[0].orders.iter().any(|order| order.client_order_id == client_order_id);
        match outcome {
            SendOutcome::Done(_) => {
                assert!(placed, "{client_order_id} is called done");
                done += 1;
            }
            SendOutcome::Rejected(error) => {
                assert!(!placed, "{client_order_id} is called rejected: {error}");
                rejected += 1;
            }
            SendOutcome::Unknown(_) => unknown[usize::from(placed)] += 1,
        }
    }
    assert!(done > 50 && rejected > 5 && unknown[0] > 3 && unknown[1] > 3, "{done} {rejected} {unknown:?}");
    let truth = simulator.books().accounts[0].clone();
    assert_eq!(truth.orders.len(), done + unknown[1]);
    assert_eq!(
        truth.trades.iter().map(|trade| trade.order_id).collect::<std::collections::BTreeSet<_>>().len(),
        truth.orders.len()
    );
}

#[tokio::test(start_paused = true)]
async fn faults_never_reach_the_books() {
    let (simulator, clock) = simulator(generous(4));
    let exchange = in_process(&simulator, &clock);
    outcomes_are_true(&exchange, &simulator, FaultProfile::hostile().with_seed(9)).await;
}

#[tokio::test]
async fn faults_over_the_wire_are_those_of_the_shortcut() {
    let (simulator, clock) = simulator(generous(4));
    let (base_url, _server) = served(&simulator).await;
    let http = HttpTransport::new(HttpTransportConfig::default()).unwrap();
    let wired = adapter(Arc::new(http), &clock, &base_url);
    outcomes_are_true(&wired, &simulator, FaultProfile { delayed: 0, ..FaultProfile::hostile().with_seed(9) }).await;
}

#[test]
fn faults_can_be_those_of_some_endpoints_only() {
    let only = always(|p| (p.unavailable, p.stale, p.only) = (1_000, 1_000, &["POST /fapi/v1/order"]));
    let shown = replies(only);
    assert!(
        shown.chunks(3).all(|of| of[0].contains("status: 503") && of[1..].iter().all(|it| it.contains("status: 200")))
    );
}
