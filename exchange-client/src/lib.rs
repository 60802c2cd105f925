#![doc = include_str!("../README.md")]

mod api;
pub mod binance_usdm;
mod clock;
mod credentials;
mod error;
pub mod files;
mod income_id;
#[cfg(feature = "simulator")]
pub mod simulator;
mod transport;
mod venue;

pub use api::{
    AccountIdentity, Answer, Entity, ExchangeReader, ExchangeTrader, NewOrder, OrderKind, OrderRef, Page, Stated,
    TimeWindow, TradeQuery, Usage, WindowError, WindowQuery,
};
#[cfg(any(test, feature = "mock"))]
pub use api::{MockExchangeReader, MockExchangeTrader};
#[cfg(any(test, feature = "mock"))]
pub use clock::MockClock;
pub use clock::{Clock, ManualClock, SystemClock};
pub use credentials::{ApiKey, ApiSecret, CredentialError, Credentials};
pub use error::{Endpoint, ErrorClass, ExchangeError, FieldProblem, SendOutcome};
#[cfg(any(test, feature = "mock"))]
pub use transport::MockTransport;
pub use transport::{
    BoxError, HttpTransport, HttpTransportConfig, Method, Request, Response, Transport, TransportError,
};
pub use venue::{EndpointWeight, PagedFacts, TradeIdOrder, VenueFacts, WalletEffect};
