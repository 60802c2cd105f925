//! The user stream of Binance USD-M.
//!
//! `address` says where it is; `event` makes events of messages; `connection` keeps the connection and its key alive.

mod address;
mod connection;
mod event;
mod market;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::address::AddressShape;
pub(in crate::binance_usdm) use self::address::KeyedAddress;
use self::connection::BinanceUserStream;
use self::market::BinanceMarkStream;
use super::BinanceUsdm;
use super::rest::{RestClient, RetryPolicy};
use crate::api::{MarkStream, MarkStreams, UserStream, UserStreams};
use crate::error::ExchangeError;
use crate::transport::{GuardedStreams, StreamTransport};

/// What can be set about a user stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserStreamSettings {
    /// Scheme, host and port: `wss://host`, or `ws://` within the machine. `None`: Binance's own, or for an exchange
    /// within the machine the address of its REST interface.
    pub base_url: Option<String>,
    /// How addresses are written there. `None`: as Binance does on that host, and by category on any other.
    pub shape: Option<AddressShape>,
    /// How often the key is kept from expiring.
    pub keep_alive_every: Duration,
    /// After how long without an event or a ping the connection counts as lost.
    pub silence_max: Duration,
    /// How old a connection gets before it is made anew.
    pub connection_age_max: Duration,
    /// The delays between attempts to connect; they are made for ever.
    pub reconnect: RetryPolicy,
}

impl Default for UserStreamSettings {
    /// A key lives for 60 minutes and is renewed every 30. The exchange pings every 3 minutes, so 5 without one are too
    /// many; it ends connections after 24 hours, we do after 23 and a half. Attempts are 1 s to 1 min apart.
    fn default() -> Self {
        Self {
            base_url: None,
            shape: None,
            keep_alive_every: Duration::from_mins(30),
            silence_max: Duration::from_mins(5),
            connection_age_max: Duration::from_mins(23 * 60 + 30),
            reconnect: RetryPolicy {
                delay_first: Duration::from_secs(1),
                delay_max: Duration::from_mins(1),
                ..RetryPolicy::DEFAULT
            },
        }
    }
}

/// Opens user streams of one account at Binance USD-M futures.
pub struct BinanceUserStreams {
    rest: Arc<RestClient>,
    transport: Arc<GuardedStreams>,
    pub(super) address: KeyedAddress,
    settings: UserStreamSettings,
}

impl fmt::Debug for BinanceUserStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BinanceUserStreams").field("base_url", &self.address.base_url).finish_non_exhaustive()
    }
}

impl BinanceUsdm {
    /// The streams of this account. They share its budget of requests.
    ///
    /// # Errors
    /// [`ExchangeError::BaseUrl`] when the stream's key would travel unencrypted to another machine;
    /// [`ExchangeError::Unsupported`] when no address is set for an exchange that is neither Binance's own nor within the
    /// machine; [`ExchangeError::StreamPath`] when the address says more than scheme, host and port, or has the form on which
    /// Binance's own streams are silent.
    pub fn user_streams(
        &self,
        transport: Arc<dyn StreamTransport>,
        settings: UserStreamSettings,
    ) -> Result<BinanceUserStreams, ExchangeError> {
        let address = KeyedAddress::of(self.rest.base_url(), &settings)?;
        let transport = Arc::new(GuardedStreams::new(transport, self.rest.secrets().clone()));
        Ok(BinanceUserStreams { rest: Arc::clone(&self.rest), transport, address, settings })
    }
}

#[async_trait]
impl UserStreams for BinanceUserStreams {
    async fn open_user_stream(&self) -> Result<Box<dyn UserStream>, ExchangeError> {
        let (rest, transport) = (Arc::clone(&self.rest), Arc::clone(&self.transport));
        let stream = BinanceUserStream::open(rest, transport, self.address.clone(), self.settings.clone()).await?;
        Ok(Box::new(stream))
    }
}

impl MarkStreams for BinanceUserStreams {
    fn mark_stream(&self) -> Box<dyn MarkStream> {
        let (rest, transport) = (Arc::clone(&self.rest), Arc::clone(&self.transport));
        let KeyedAddress { base_url, shape } = self.address.clone();
        Box::new(BinanceMarkStream::new(rest, transport, base_url, shape, self.settings.clone()))
    }
}
