//! `fillbook simulator` as a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use exchange_client::binance_usdm::{BinanceUsdm, RequestSettings};
use exchange_client::simulator::SimulatorAccount;
use exchange_client::{
    ExchangeReader as _, ExchangeTrader as _, HttpTransport, HttpTransportConfig, NewOrder, OrderKind, OrderRef,
    SystemClock, TradeQuery,
};
use ledger_core::{ClientOrderId, OrderClass, OrderStatus, PositionMode, PositionSide, Price, Quantity, Side, Symbol};

use crate::support::{Sandbox, Signal, send};

/// A running simulator, stopped at the end of the test whatever happens.
struct Running {
    child: Child,
    lines: Vec<(String, String)>,
}

impl Running {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let anywhere = ["--listen", "127.0.0.1:0"];
        let listen = if args.contains(&"--listen") { &[][..] } else { &anywhere };
        let mut command = sandbox.prepared(&[&["simulator"], listen, args].concat(), &[]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = stdout.lines().take(4).map(|line| {
            let line = line.unwrap();
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        let lines = lines.collect();
        Self { child, lines }
    }

    fn says(&self, name: &str) -> &str {
        self.lines.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).unwrap()
    }

    /// What a plain HTTP client gets.
    fn get(&self, path: &str) -> String {
        let address = self.says("base_url").strip_prefix("http://").unwrap().to_owned();
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(mut self, signal: Signal) -> (i32, String) {
        send(signal, &self.child);
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is what every passing test waits for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
#[test]
fn it_answers_over_http_and_stops_cleanly() {
    let sandbox = Sandbox::empty();
    for signal in [Signal::INT, Signal::TERM] {
        let running = Running::start(&sandbox, &["--seed", "11"]);
        assert_eq!(running.says("api_key"), "fillbook-simulator-test-key");
        assert_eq!(running.says("api_secret"), "fillbook-simulator-test-secret");
        assert_eq!(running.says("stream_url"), running.says("base_url").replace("http://", "ws://"));
        let time = running.get("/fapi/v1/time");
        assert!(time.starts_with("HTTP/1.1 200 OK") && time.contains("\"serverTime\":"), "{time}");
        assert!(running.get("/fapi/v1/exchangeInfo").contains("TRAILING_STOP_MARKET"));
        // A connection that stays open does not keep it alive.
        let address = running.says("base_url").strip_prefix("http://").unwrap().to_owned();
        let idle = TcpStream::connect(address).unwrap();
        let (code, stderr) = running.signal(signal);
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.contains("until Ctrl-C"), "{stderr}");
        drop(idle);
    }
    assert!(std::fs::read_dir(sandbox.path()).unwrap().next().is_none(), "it leaves nothing behind");
}

/// Nobody trades and nobody steps a clock: the market goes on all the same.
#[tokio::test]
async fn its_prices_move_in_real_time() {
    let sandbox = Sandbox::empty();
    let running = Running::start(&sandbox, &["--seed", "5"]);
    let prices = || {
        let answer = running.get("/fapi/v1/premiumIndex");
        let prices = answer.split("\"markPrice\":\"").skip(1).filter_map(|rest| rest.split('"').next());
        prices.map(str::to_owned).collect::<Vec<_>>()
    };
    let first = prices();
    assert!(first.len() > 1, "{first:?}");
    let mut looks = 0;
    while prices() == first {
        looks += 1;
        assert!(looks < 150, "the prices stand still: {first:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Started again it is another exchange: with whatever seed, a book of the earlier one refuses it, and nothing is written.
#[test]
fn started_again_it_is_another_account() {
    let sandbox = Sandbox::empty();
    let mut listen = "127.0.0.1:0".to_owned();
    let mut before = None;
    for seed in ["1", "2", "2"] {
        let running = Running::start(&sandbox, &["--listen", &listen, "--seed", seed]);
        running.says("base_url").strip_prefix("http://").unwrap().clone_into(&mut listen);
        let environment = ["base_url", "api_key", "api_secret"]
            .map(|name| (format!("FILLBOOK_{}", name.to_uppercase()), running.says(name)));
        let environment: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let run = sandbox.command(&["sync"], &environment);
        match &before {
            None => drop(run.exits(0)),
            Some(before) => {
                let run = run.exits(4);
                assert!(
                    run.stderr.contains("sim-main-1-") && run.stderr.contains("nothing was written"),
                    "{}",
                    run.stderr
                );
                assert!(*before == sandbox.files());
            }
        }
        before = Some(sandbox.files());
        let (code, stderr) = running.signal(Signal::INT);
        assert_eq!(code, 0, "{stderr}");
    }
}

#[test]
fn its_flags_make_the_account_and_the_delays_that_were_asked_for() {
    let sandbox = Sandbox::empty();
    let told = |args: &[&str]| {
        let running = Running::start(&sandbox, args);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(behaviour(running.says("base_url")))
    };
    let hour = ["--settle-lag", "3600000", "--conditional-lag", "3600000", "--hedge-mode", "--bnb-fees"];
    let slow =
        Behaviour { fills_are_listed: false, conditional_is_found: false, mode: PositionMode::Hedge, has_bnb: true };
    assert_eq!(told(&hour), slow);
    let quick =
        Behaviour { fills_are_listed: true, conditional_is_found: true, mode: PositionMode::OneWay, has_bnb: false };
    assert_eq!(told(&["--settle-lag", "0"]), quick);
    let refused = sandbox.run(&["simulator", "--settle-lag", "3600001"]).exits(2);
    assert!(refused.stderr.contains("--settle-lag"), "{}", refused.stderr);
}

/// What a client sees of the flags.
#[derive(Debug, PartialEq, Eq)]
struct Behaviour {
    fills_are_listed: bool,
    conditional_is_found: bool,
    mode: PositionMode,
    has_bnb: bool,
}

async fn behaviour(base_url: &str) -> Behaviour {
    let transport = Arc::new(HttpTransport::new(HttpTransportConfig::default()).unwrap());
    let credentials = SimulatorAccount::standard().credentials().unwrap();
    let exchange =
        BinanceUsdm::with_settings(transport, Arc::new(SystemClock), base_url, credentials, RequestSettings::SIMULATED)
            .unwrap();
    let mode = exchange.fetch_position_mode().await.unwrap();
    let symbol = Symbol::new("ETHUSDT").unwrap();
    let order = |client_order_id: &str, kind: OrderKind| NewOrder {
        client_order_id: ClientOrderId::new(client_order_id).unwrap(),
        symbol: symbol.clone(),
        side: Side::Buy,
        position_side: if mode == PositionMode::Hedge { PositionSide::Long } else { PositionSide::Net },
        kind,
        size: "0.1".parse::<Quantity>().unwrap().into(),
        reduce_only: false,
    };
    let bought = exchange.create_order(order("bought", OrderKind::Market)).await.done().unwrap();
    assert_eq!(bought.entity.status, OrderStatus::Filled);
    let fills = exchange.fetch_my_trades(symbol.clone(), TradeQuery::Order(bought.entity.key.order_id)).await.unwrap();
    let trigger = "9000".parse::<Price>().unwrap().into();
    let stop = exchange.create_order(order("stop", OrderKind::StopMarket { trigger })).await.done().unwrap();
    let by_id = OrderRef::Id(OrderClass::Conditional, stop.entity.key.order_id);
    let account = exchange.account_identity().await.unwrap();
    let balances = exchange.fetch_balances(&account).await.unwrap();
    Behaviour {
        fills_are_listed: !fills.rows.is_empty(),
        conditional_is_found: exchange.fetch_order(symbol, by_id).await.unwrap().is_some(),
        mode,
        has_bnb: balances.rows.iter().any(|row| row.entity.asset.as_str() == "BNB"),
    }
}

#[test]
fn it_cannot_be_reached_from_elsewhere() {
    let sandbox = Sandbox::empty();
    let run = sandbox.run(&["simulator", "--listen", "0.0.0.0:0"]).exits(2);
    assert!(run.stderr.contains("loopback") && run.stderr.contains("--listen 127.0.0.1:0"), "{}", run.stderr);
    assert!(run.stdout.is_empty());
    assert!(sandbox.run(&["simulator", "--faults", "evil"]).exits(2).stderr.contains("none, flaky and hostile"));
}

#[cfg(unix)]
#[test]
fn a_port_in_use_is_named() {
    let sandbox = Sandbox::empty();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = sandbox.run(&["simulator", "--listen", &address]).exits(1);
    assert!(run.stderr.contains(&address) && run.stderr.contains("127.0.0.1:0"), "{}", run.stderr);
}
