//! Where requests may go. Credentials travel with every request, so only TLS or the own machine will do.
//!
//! Invariants, each with a test of the same name:
//! 1. `credentials_only_travel_encrypted_or_within_the_machine`.
//! 2. `a_refused_address_is_shown_without_what_it_may_hide`.

use crate::error::ExchangeError;

/// Scheme, host and port of `base_url`, without a slash at the end.
pub(super) fn checked(base_url: &str) -> Result<String, ExchangeError> {
    checked_for(base_url, ("https", "http"))
}

/// The same for a stream.
pub(in crate::binance_usdm) fn checked_stream_url(base_url: &str) -> Result<String, ExchangeError> {
    checked_for(base_url, ("wss", "ws"))
}

fn checked_for(base_url: &str, (encrypted, plain): (&str, &str)) -> Result<String, ExchangeError> {
    let refused = || ExchangeError::BaseUrl { base_url: shown(base_url) };
    let trimmed = base_url.trim_end_matches('/');
    let uri: http::Uri = trimmed.parse().map_err(|_| refused())?;
    let host = uri.host().ok_or_else(refused)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let scheme_fits = uri.scheme_str() == Some(encrypted) || (uri.scheme_str() == Some(plain) && loopback);
    let user_info = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if !scheme_fits || user_info || uri.query().is_some() || !matches!(uri.path(), "" | "/") {
        return Err(refused());
    }
    Ok(trimmed.to_owned())
}

/// Scheme and host, for a message. A user, password, path or query is what may hold a secret.
fn shown(base_url: &str) -> String {
    let uri = base_url.parse::<http::Uri>().ok();
    let Some((uri, host)) = uri.as_ref().and_then(|uri| Some((uri, uri.host()?))) else {
        return "(no address)".to_owned();
    };
    let is_name = host.chars().all(|character| character.is_ascii_alphanumeric() || ".-:[]".contains(character));
    match uri.scheme_str() {
        Some(scheme) if is_name => format!("{scheme}://{host}"),
        // Without a scheme anything passes for a host, a key that was pasted in the wrong place too.
        None if is_name && host.contains('.') => host.to_owned(),
        _ => "(no address)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_only_travel_encrypted_or_within_the_machine() {
        for (given, kept) in [
            ("https://fapi.binance.com/", "https://fapi.binance.com"),
            ("http://127.0.0.1:9555", "http://127.0.0.1:9555"),
            ("http://[::1]:9555", "http://[::1]:9555"),
            ("http://localhost:1", "http://localhost:1"),
        ] {
            assert_eq!(checked(given).unwrap(), kept);
        }
        for given in [
            "http://fapi.binance.com",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "https://user:pass@fapi.binance.com",
            "http://127.0.0.1@evil.example",
            "https://fapi.binance.com/path",
            "https://fapi.binance.com?x=1",
            "ftp://127.0.0.1",
            "fapi.binance.com",
            "",
        ] {
            assert!(checked(given).is_err(), "{given}");
        }
    }

    #[test]
    fn a_refused_address_is_shown_without_what_it_may_hide() {
        for (given, expected) in [
            ("https://me:hunter2@fapi.binance.com", "`https://fapi.binance.com`"),
            ("https://fapi.binance.com/?api_secret=hunter2", "`https://fapi.binance.com`"),
            ("https://fapi.binance.com/hunter2", "`https://fapi.binance.com`"),
            ("me:hunter2@fapi.binance.com", "`fapi.binance.com`"),
            ("http://fapi.binance.com:81", "`http://fapi.binance.com`"),
            ("https://me:hunter2 @x", "`(no address)`"),
            ("api_secret=hunter2", "`(no address)`"),
            ("hunter2", "`(no address)`"),
        ] {
            let error = checked(given).unwrap_err().to_string();
            assert!(error.starts_with(expected) && !error.contains("hunter2"), "{given}: {error}");
        }
    }
}
