//! A simulated exchange over HTTP on a free port of this machine, with somebody who trades there.

use std::sync::Arc;
use std::thread::JoinHandle;

use exchange_client::binance_usdm::BinanceUsdm;
use exchange_client::simulator::{
    MarketSpec, Simulator, SimulatorAccount, SimulatorClock, SimulatorConfig, SimulatorTransport, serve,
};
use exchange_client::{Clock, ExchangeTrader, NewOrder, OrderKind, SendOutcome, SystemClock};
use ledger_core::{ClientOrderId, PositionSide, Quantity, Side, Symbol};
use tokio::sync::oneshot;

/// The exchange. It runs until it is dropped.
pub(crate) struct Exchange {
    pub(crate) base_url: String,
    pub(crate) simulator: Arc<Simulator>,
    account: SimulatorAccount,
    trader: BinanceUsdm,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Exchange {
    /// Starts one with the standard account.
    pub(crate) fn start(seed: u64) -> Self {
        Self::with_clock(seed, Arc::new(SystemClock))
    }

    /// The same, by a clock of its own.
    pub(crate) fn with_clock(seed: u64, clock: Arc<dyn Clock>) -> Self {
        Self::with_config(SimulatorConfig::new(seed), clock)
    }

    /// One that lists BNB, with an account that pays its fees in it.
    pub(crate) fn paying_in_bnb(seed: u64) -> Self {
        let mut config = SimulatorConfig::new(seed);
        config.markets.push(MarketSpec::new("BNBUSDT", "BNB", "USDT", ["612.3", "0.01", "0.01"], 80));
        let account = &mut config.accounts[0];
        account.fees_in_bnb = true;
        account.deposits.push(("BNB".into(), "40".into()));
        Self::with_config(config, Arc::new(SystemClock))
    }

    /// One whose account has this key and secret.
    pub(crate) fn keyed(seed: u64, api_key: &str, api_secret: &str) -> Self {
        let mut config = SimulatorConfig::new(seed);
        let account = &mut config.accounts[0];
        (account.api_key, account.api_secret) = (api_key.to_owned(), api_secret.to_owned());
        Self::with_config(config, Arc::new(SystemClock))
    }

    fn with_config(config: SimulatorConfig, clock: Arc<dyn Clock>) -> Self {
        // Several commands share a minute's weight here, which is not what is tested.
        let config = SimulatorConfig { weight_1m_max: None, ..config };
        let account = config.accounts[0].clone();
        let simulator = Arc::new(Simulator::new(config, SimulatorClock::Live(clock.clone())).unwrap());
        let transport = Arc::new(SimulatorTransport::new(simulator.clone()));
        let credentials = account.credentials().unwrap();
        let trader = BinanceUsdm::new(transport, clock, "http://127.0.0.1:1", credentials).unwrap();
        let (stop, stopped) = oneshot::channel();
        let (say, said) = std::sync::mpsc::channel();
        let served = simulator.clone();
        let server = std::thread::spawn(move || {
            runtime().block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                say.send(listener.local_addr().unwrap()).unwrap();
                serve(served, listener, async { drop(stopped.await) }).await.unwrap();
            });
        });
        let base_url = format!("http://{}", said.recv().unwrap());
        Self { base_url, simulator, account, trader, stop: Some(stop), server: Some(server) }
    }

    /// The environment variables with which the command line reaches the account.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 3] {
        [
            ("FILLBOOK_BASE_URL", &self.base_url),
            ("FILLBOOK_API_KEY", &self.account.api_key),
            ("FILLBOOK_API_SECRET", &self.account.api_secret),
        ]
    }

    /// Trades at the market.
    #[track_caller]
    pub(crate) fn trade(&self, client_order_id: &str, symbol: &str, side: Side, qty: &str) {
        let order = NewOrder {
            client_order_id: ClientOrderId::new(client_order_id).unwrap(),
            symbol: Symbol::new(symbol).unwrap(),
            side,
            position_side: PositionSide::Net,
            kind: OrderKind::Market,
            size: qty.parse::<Quantity>().unwrap().into(),
            reduce_only: false,
        };
        match runtime().block_on(self.trader.create_order(order)) {
            SendOutcome::Done(_) => {}
            SendOutcome::Rejected(error) | SendOutcome::Unknown(error) => panic!("{client_order_id}: {error}"),
        }
    }

    /// Places an order.
    #[track_caller]
    pub(crate) fn place(&self, order: NewOrder) {
        match runtime().block_on(self.trader.create_order(order)) {
            SendOutcome::Done(_) => {}
            SendOutcome::Rejected(error) | SendOutcome::Unknown(error) => panic!("{error}"),
        }
    }

    /// Stops answering: nobody listens on the port any more.
    pub(crate) fn stop(&mut self) {
        if let (Some(stop), Some(server)) = (self.stop.take(), self.server.take()) {
            let _ = stop.send(());
            server.join().unwrap();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.stop();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
