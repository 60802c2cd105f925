#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod api;
pub mod binance_usdm;
mod clock;
mod courier;
mod credentials;
mod error;
pub mod files;
mod foreign;
mod income_id;
#[cfg(feature = "simulator")]
pub mod simulator;
mod transport;
mod venue;

pub use api::{
    AccountIdentity, Amendment, Answer, CancelOutcome, Entity, ExchangeReader, ExchangeTrader, IntentError,
    InvalidOrder, MarginMode, MarkPrice, NewOrder, OrderFilters, OrderKind, OrderRef, OrderSize, Page, QtyFilter,
    SideCancel, Stated, TimeInForce, TimeWindow, TradeQuery, Trigger, UnreadableRow, Usage, WindowError, WindowQuery,
    WorkingType, speaks_of,
};
pub use api::{
    AccountUpdate, ConfigChange, Gap, Interruption, MarginCall, MarginCallPosition, MarkEvent, MarkStream, MarkStreams,
    OrderUpdate, StreamEvent, StreamEventError, TradeNotice, TriggerRefusal, TriggerRejection, UserStream, UserStreams,
};
#[cfg(any(test, feature = "mock"))]
pub use api::{
    MockExchangeReader, MockExchangeTrader, MockMarkStream, MockMarkStreams, MockUserStream, MockUserStreams,
};
#[cfg(any(test, feature = "mock"))]
pub use clock::MockClock;
pub use clock::{Clock, ManualClock, SystemClock};
#[cfg(any(test, feature = "mock"))]
pub use courier::MockCourier;
pub use courier::{Courier, CourierError, HttpCourier, Parcel, Receipt, SecretText, SecretUrl, SecretUrlError};
pub use credentials::{
    API_KEY_VARIABLE, API_SECRET_VARIABLE, ApiKey, ApiSecret, CredentialError, CredentialFileError, Credentials,
};
pub use error::{Endpoint, ErrorClass, ExchangeError, FieldProblem, OrderRefusal, SendOutcome};
pub use foreign::{ForeignError, ForeignText, SecretKind, Secrets, without_keys};
pub use transport::{
    BoxError, HttpTransport, HttpTransportConfig, Method, Request, Response, StreamAddress, StreamConnection,
    StreamError, StreamFrame, StreamTransport, Transport, TransportError, WebSocketTransport, WebSocketTransportConfig,
};
#[cfg(any(test, feature = "mock"))]
pub use transport::{MockStreamConnection, MockStreamTransport, MockTransport};
pub use venue::{
    ClientOrderIdRule, EndpointWeight, IncomeTypeFacts, OrderLimits, PagedFacts, TradeIdOrder, VenueFacts, WalletEffect,
};
