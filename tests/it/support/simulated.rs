//! A simulated exchange within the test's own process, on a clock that stands until it is moved.

use std::sync::Arc;

use exchange_client::binance_usdm::{BinanceUsdm, RequestSettings};
use exchange_client::simulator::{Simulator, SimulatorAccount, SimulatorConfig, SimulatorTransport};
use exchange_client::{Clock, ManualClock};
use ledger_core::TimestampMs;

/// The exchange, its clock, and an adapter for its standard account.
pub(crate) fn simulated(config: SimulatorConfig) -> (Arc<Simulator>, Arc<ManualClock>, Arc<BinanceUsdm>) {
    let clock = Arc::new(ManualClock::new(TimestampMs::new(1_780_000_000_000).unwrap()));
    let simulator = Arc::new(Simulator::new(config, Arc::clone(&clock)).unwrap());
    let transport = Arc::new(SimulatorTransport::new(Arc::clone(&simulator)));
    let credentials = SimulatorAccount::standard().credentials().unwrap();
    let (shared, settings) = (Arc::clone(&clock) as Arc<dyn Clock>, RequestSettings::SIMULATED);
    let exchange = BinanceUsdm::with_settings(transport, shared, "http://127.0.0.1:1", credentials, settings).unwrap();
    (simulator, clock, Arc::new(exchange))
}
