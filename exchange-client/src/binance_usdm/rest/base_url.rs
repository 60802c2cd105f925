//! Where requests may go. Credentials travel with every request, so only TLS or the own machine will do.
//!
//! Invariants, each with a test of the same name:
//! 1. `credentials_only_travel_encrypted_or_within_the_machine`.
//! 2. `a_refused_address_is_shown_without_what_it_may_hide`.

use crate::error::ExchangeError;
use crate::foreign::ForeignText;

/// Scheme, host and port of `base_url`, without a slash at the end.
pub(super) fn checked(base_url: &str) -> Result<String, ExchangeError> {
    checked_for(base_url, ("https", "http"))
}

/// The same for a stream.
pub(in crate::binance_usdm) fn checked_stream_url(base_url: &str) -> Result<String, ExchangeError> {
    checked_for(base_url, ("wss", "ws"))
}

fn checked_for(base_url: &str, (encrypted, plain): (&str, &str)) -> Result<String, ExchangeError> {
    let refused = || ExchangeError::BaseUrl { base_url: ForeignText::new(&shown(base_url)) };
    let trimmed = base_url.trim_end_matches('/');
    let (scheme, authority) = trimmed.split_once("://").ok_or_else(refused)?;
    let (host, port) = host_and_port(authority).ok_or_else(refused)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_encrypted = scheme.eq_ignore_ascii_case(encrypted);
    let is_within = scheme.eq_ignore_ascii_case(plain) && loopback;
    if !is_encrypted && !is_within {
        return Err(refused());
    }
    // Put together from what was checked: no character of it is there by chance.
    let scheme = if is_encrypted { encrypted } else { plain };
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    Ok(format!("{scheme}://{}{port}", host.to_ascii_lowercase()))
}

/// A host, and a port if there is one; nothing else may stand there. A user, a path, a query or a fragment has a character
/// that no host has, and so has a name outside ASCII, which can look like another one.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(end) => authority.split_at(end + 2),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_host = match host.strip_prefix('[') {
        Some(address) => address.trim_end_matches(']').parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host) || host.parse::<std::net::Ipv4Addr>().is_ok(),
    };
    let port = match port.strip_prefix(':') {
        None => port.is_empty().then_some(None),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port > 0).map(Some)
        }
        Some(_) => None,
    };
    port.filter(|_| is_host).map(|port| (host, port))
}

/// A name of letters, digits and hyphens with dots in between, as DNS has it. A last part of digits would be an address in
/// some other writing.
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253 && host.split('.').all(is_label) && !last.starts_with(|first: char| first.is_ascii_digit())
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
            ("HTTPS://FAPI.binance.com:443//", "https://fapi.binance.com:443"),
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
            "https://fapi.binance.com#",
            "https://fapi.binance.com#x",
            "https://fapi.binance.com/#x",
            "https://fapi.binance.com?",
            "https://fapi.binance.com/?",
            "https://@fapi.binance.com",
            "https://fapi.binance.com\\@evil.example",
            "https://fapi.binance.com%2eevil.example",
            "https://fapi.binance.com\u{7}",
            "https://fapi.binance.com\n",
            " https://fapi.binance.com",
            "https://fapi.b\u{131}nance.com",
            "https://fapi..com",
            "https://-fapi.com",
            "https://fapi.binance.com:",
            "https://fapi.binance.com:0",
            "https://fapi.binance.com:65536",
            "https://fapi.binance.com:+443",
            "https://1.2.3",
            "https://0x7f000001",
            "http://127.1",
            "http://[::1",
            "http://[::1]x:1",
            "http://[fe80::1%25eth0]:1",
            "https:///fapi.binance.com",
            "https://",
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
            ("https://hunter2@x@fapi.binance.com", "`https://fapi.binance.com`"),
            ("https://fapi.binance.com#hunter2", "`https://fapi.binance.com`"),
        ] {
            let error = checked(given).unwrap_err().to_string();
            assert!(error.starts_with(expected) && !error.contains("hunter2"), "{given}: {error}");
        }
    }
}
