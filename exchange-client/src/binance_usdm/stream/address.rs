//! Where streams are, and how their addresses are written there.
//!
//! Invariants, each with a test of the same name (in [`super::super::tests::stream`]):
//! 1. `a_key_travels_only_where_the_stream_is`: encrypted or within the machine, and is never shown.
//! 2. `an_address_that_would_stay_silent_is_refused`, with the one that tells.

use super::super::facts::VENUE;
use super::super::rest::checked_stream_url;
use super::super::sign::Query;
use super::UserStreamSettings;
use crate::error::ExchangeError;
use crate::foreign::ForeignText;
use crate::transport::StreamAddress;

/// Where Binance tells, by where it answers, and how addresses are written there. The real exchange has a category in front:
/// without `/private` a connection comes about as well, and stays silent. Demo and test network know the old form only.
const STREAM_ADDRESSES: [(&str, &str, AddressShape); 3] = [
    (VENUE.base_url, "wss://fstream.binance.com", AddressShape::ByCategory),
    ("https://demo-fapi.binance.com", "wss://demo-fstream.binance.com", AddressShape::Plain),
    ("https://testnet.binancefuture.com", "wss://fstream.binancefuture.com", AddressShape::Plain),
];

/// How the address of a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressShape {
    /// `/private/ws?listenKey=KEY`: the form of Binance's own streams.
    ByCategory,
    /// `/ws/KEY`: the form of before, which the real exchange accepts and is silent on.
    Plain,
}

/// Where a user stream is, but for its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::binance_usdm) struct KeyedAddress {
    pub(in crate::binance_usdm) base_url: String,
    pub(in crate::binance_usdm) shape: AddressShape,
}

impl KeyedAddress {
    /// Where the streams of the exchange are that answers at `rest`, as far as `settings` do not say it.
    pub(in crate::binance_usdm) fn of(rest: &str, settings: &UserStreamSettings) -> Result<Self, ExchangeError> {
        let of_rest = STREAM_ADDRESSES.iter().find(|(answers, ..)| *answers == rest);
        let base_url = match (&settings.base_url, of_rest, rest.strip_prefix("http://")) {
            (Some(given), ..) => checked(given)?,
            (None, Some((_, tells, _)), _) => (*tells).to_owned(),
            (None, None, Some(host)) => checked(&format!("ws://{host}"))?,
            (None, None, None) => {
                return Err(ExchangeError::Unsupported { what: "a user stream whose address is not set" });
            }
        };
        // A port changes nothing about who tells there.
        let known = STREAM_ADDRESSES.iter().find(|(_, tells, _)| host_of(tells) == host_of(&base_url));
        let usual = known.map(|(.., shape)| *shape);
        match (usual, settings.shape) {
            (Some(AddressShape::ByCategory), Some(AddressShape::Plain)) => Err(silent(&base_url)),
            (usual, given) => Ok(Self { base_url, shape: given.or(usual).unwrap_or(AddressShape::ByCategory) }),
        }
    }

    pub(super) fn with_key(self, key: &str) -> StreamAddress {
        let (path, query) = match self.shape {
            AddressShape::ByCategory => ("/private/ws".to_owned(), Query::new().with("listenKey", key).into_text()),
            AddressShape::Plain => (format!("/ws/{key}"), String::new()),
        };
        StreamAddress { base_url: self.base_url, path, query }
    }
}

/// Scheme, host and port of a given address. Where nothing is wrong with it but what stands behind them, the error says so.
fn checked(given: &str) -> Result<String, ExchangeError> {
    checked_stream_url(given).map_err(|error| {
        let bare = given.find("://").map(|scheme| {
            let host = scheme + "://".len();
            let end = given.get(host..).and_then(|rest| rest.find(['/', '?', '#']));
            given.get(..end.map_or(given.len(), |end| host + end)).unwrap_or_default()
        });
        match bare.map(checked_stream_url) {
            Some(Ok(base_url)) => silent(&base_url),
            _ => error,
        }
    })
}

/// What is wrong with more than scheme, host and port, which `base_url` is.
fn silent(base_url: &str) -> ExchangeError {
    ExchangeError::StreamPath { base_url: ForeignText::new(base_url) }
}

/// The host of an address that is scheme, host and port.
fn host_of(base_url: &str) -> &str {
    let authority = base_url.split_once("://").map_or(base_url, |(_, authority)| authority);
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => host,
        _ => authority,
    }
}
