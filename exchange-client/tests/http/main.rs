//! Transport and adapter over the wire, against servers that behave badly.

#![expect(clippy::unwrap_used, reason = "helpers fail like the tests that use them")]

mod adapter;
mod courier;
mod server;
mod stream;
mod transport;
