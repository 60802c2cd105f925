//! What an answer that is no success says: was it done, surely not, or does nobody know? And whether to keep quiet.
//!
//! Invariants, each with a test of the same name:
//! 1. `both_meanings_of_503_are_told_apart`: execution unknown, or surely not executed.
//! 2. `silence_lasts_as_long_as_the_exchange_says`: as long as its header or its words say, whichever is longer.
//! 3. `a_ban_is_stated_by_the_exchanges_clock_and_kept_by_ours`.

use std::time::Duration;

use ledger_core::TimestampMs;

use super::super::dto;
use super::super::parse;
use crate::clock::duration_ms;
use crate::error::{Endpoint, ExchangeError};
use crate::foreign::ForeignText;
use crate::transport::Response;

/// The most of an exchange's words that a message repeats.
const MESSAGE_CHARS_MAX: usize = 200;

/// What keeping quiet is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// Everything from this address, for too many requests.
    Requests,
    /// Everything from this address, which is banned.
    Ban,
    /// Orders of this account.
    Orders,
    /// Reads from this address, which a firewall turns away, or which the exchange does not serve: with this status.
    Firewall(u16),
}

/// What an answer means that is no success.
#[derive(Debug)]
pub(super) enum Verdict {
    /// An error, and that is all.
    Error(ExchangeError),
    /// Nothing was executed, and nothing of the kind is to be sent until then, by our clock.
    Quiet(Silence, TimestampMs),
}

/// The exchange's error code and words, if the answer is a notice at all.
pub(super) fn notice(response: &Response) -> Option<(i64, String)> {
    serde_json::from_slice::<dto::NoticeRow>(&response.body).ok().and_then(|row| parse::notice(&row))
}

/// Judges an answer; `now` is when it came, by our clock, which the exchange's is `offset_ms` ahead of.
pub(super) fn verdict(endpoint: &Endpoint, response: &Response, now: TimestampMs, offset_ms: i64) -> Verdict {
    let status = response.status;
    if (300..400).contains(&status) {
        let location = redirect_host(response);
        return Verdict::Error(ExchangeError::Redirected { endpoint: endpoint.clone(), status, location });
    }
    let notice = notice(response);
    let code = notice.as_ref().map(|(code, _)| *code);
    let silence = match (status, code) {
        (418, _) => Some(Silence::Ban),
        (_, Some(-1015)) => Some(Silence::Orders),
        (429, _) | (_, Some(-1003)) => Some(Silence::Requests),
        _ => None,
    };
    if let Some(silence) = silence {
        return Verdict::Quiet(silence, quiet_until(silence, response, notice.as_ref(), now, offset_ms));
    }
    // A refusal of the exchange itself has a code; 0 is none.
    if matches!(status, 403 | 451) && code.is_none_or(|code| code == 0) {
        return Verdict::Quiet(Silence::Firewall(status), now);
    }
    Verdict::Error(match notice {
        Some((code, message)) => refused(endpoint, status, code, &message),
        None => without_code(endpoint, status, ForeignText::body_start(&response.body)),
    })
}

/// Until when to keep quiet, by our clock: what the header or the words say, whichever is later, else the interval in
/// which the exchange counts; two minutes for a ban, its shortest.
fn quiet_until(
    silence: Silence,
    response: &Response,
    notice: Option<&(i64, String)>,
    now: TimestampMs,
    offset_ms: i64,
) -> TimestampMs {
    let header = response.header("retry-after").and_then(|text| text.parse::<u64>().ok());
    let after_header = header.map(|seconds| now.saturating_add_ms(duration_ms(Duration::from_secs(seconds))));
    let said = notice.and_then(|(_, message)| {
        let (_, rest) = message.split_once("banned until ")?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let until = TimestampMs::new(digits.parse().ok()?).ok()?.saturating_add_ms(offset_ms.saturating_neg());
        // A ban that is over says that our clock is wrong, not that there is none.
        Some(until).filter(|until| *until > now)
    });
    let interval_ms = match silence {
        Silence::Ban => 120_000,
        Silence::Requests => 60_000,
        Silence::Orders => 10_000,
        Silence::Firewall(_) => 0,
    };
    after_header.max(said).unwrap_or_else(|| now.saturating_add_ms(interval_ms))
}

/// The host that a redirect names. Not the rest of the address: it may repeat the query and with it the signature.
fn redirect_host(response: &Response) -> ForeignText {
    let location = response.header("location").unwrap_or_default();
    let uri = location.parse::<http::Uri>().ok();
    uri.as_ref().and_then(http::Uri::host).unwrap_or("another place").into()
}

/// What a notice says. It can come with a success status, too.
fn refused(endpoint: &Endpoint, status: u16, code: i64, message: &str) -> ExchangeError {
    let endpoint = endpoint.clone();
    let (is_unknown, is_failed) = (execution_unknown(message), surely_failed(message));
    let message = ForeignText::cut(message, MESSAGE_CHARS_MAX);
    if status == 503 && is_failed {
        return ExchangeError::Overloaded { endpoint, status, message };
    }
    match code {
        -1008 => ExchangeError::Overloaded { endpoint, status, message },
        // "An unknown error occurred", "internal error", "execution status unknown", and the backend's timeout.
        -1000 | -1001 | -1006 | -1007 => ExchangeError::OutcomeUnknown { endpoint, status, message },
        // Trouble of the exchange's own: it does not say that nothing was done.
        -1099..=0 if status >= 500 => ExchangeError::OutcomeUnknown { endpoint, status, message },
        _ if is_unknown => ExchangeError::OutcomeUnknown { endpoint, status, message },
        -1121 | -4141 if endpoint.symbol.is_some() => ExchangeError::SymbolClosed { endpoint, status, code, message },
        _ => ExchangeError::Refused { endpoint, status, code, message },
    }
}

fn without_code(endpoint: &Endpoint, status: u16, body_start: ForeignText) -> ExchangeError {
    let endpoint = endpoint.clone();
    if status == 503 && execution_unknown(body_start.as_str()) {
        ExchangeError::OutcomeUnknown { endpoint, status, message: body_start }
    } else if status == 503 && surely_failed(body_start.as_str()) {
        ExchangeError::Overloaded { endpoint, status, message: body_start }
    } else {
        ExchangeError::Http { endpoint, status, body_start }
    }
}

fn execution_unknown(message: &str) -> bool {
    message.contains("Unknown error, please check your request")
}

/// In the exchange's own words at the beginning: an intermediary's page says "503 Service Unavailable" as well, and
/// knows nothing of what became of the request.
fn surely_failed(message: &str) -> bool {
    ["Service Unavailable", "Internal error; unable to process your request"]
        .iter()
        .any(|words| message.starts_with(words))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ledger_core::Symbol;

    use super::*;
    use crate::transport::Method;

    fn judged(status: u16, body: &str, headers: &[(&str, &str)]) -> Verdict {
        let endpoint = Endpoint::new(Method::Post, "/fapi/v1/order", Some(&Symbol::new("BTCUSDT").unwrap()));
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let response = Response { status, headers, body: Bytes::copy_from_slice(body.as_bytes()) };
        verdict(&endpoint, &response, TimestampMs::new(1_780_000_000_000).unwrap(), 0)
    }

    #[test]
    fn both_meanings_of_503_are_told_apart() {
        for (status, body, executed) in [
            (503, r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#, "perhaps"),
            (503, "Unknown error, please check your request or try again later.", "perhaps"),
            // The words count, whatever code they come with.
            (503, r#"{"code":-4000,"msg":"Unknown error, please check your request or try again later."}"#, "perhaps"),
            (400, r#"{"code":-4000,"msg":"Unknown error, please check your request or try again later."}"#, "perhaps"),
            (503, "Service Unavailable.", "no"),
            (503, r#"{"code":-1000,"msg":"Service Unavailable."}"#, "no"),
            (503, r#"{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}"#, "no"),
            (503, r#"{"code":-1008,"msg":"Server is currently overloaded with other requests."}"#, "no"),
            // The same words with another status are not documented to mean anything.
            (
                500,
                r#"{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}"#,
                "perhaps",
            ),
            (
                504,
                r#"{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}"#,
                "perhaps",
            ),
            (504, r#"{"code":-1000,"msg":"Service Unavailable."}"#, "perhaps"),
            (504, "Service Unavailable.", "perhaps"),
            // A proxy's page, which only says that the proxy had no answer.
            (503, "<html><title>503 Service Unavailable</title></html>", "perhaps"),
            (503, "", "perhaps"),
            (500, r#"{"code":-1,"msg":"oops"}"#, "perhaps"),
            (500, r#"{"code":-2019,"msg":"Margin is insufficient."}"#, "no"),
            (400, r#"{"code":-1006,"msg":"An unexpected response was received."}"#, "perhaps"),
            (400, r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#, "perhaps"),
            (400, r#"{"code":-1000,"msg":"An unknown error occurred while processing the request."}"#, "perhaps"),
            (408, "", "perhaps"),
            (504, "", "perhaps"),
            (404, "", "no"),
        ] {
            let Verdict::Error(error) = judged(status, body, &[]) else { panic!("{status} {body}") };
            assert_eq!(error.may_have_taken_effect(), executed == "perhaps", "{status} {body}: {error}");
            let is_said = body.contains("Unknown error, please check");
            assert!(!is_said || matches!(error, ExchangeError::OutcomeUnknown { .. }), "{status} {body}: {error}");
        }
    }

    #[test]
    fn silence_lasts_as_long_as_the_exchange_says() {
        let banned =
            r#"{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until 1780000300000. Please use"}"#;
        let orders = r#"{"code":-1015,"msg":"Too many new orders; current limit is 300 orders per TEN_SECONDS."}"#;
        let slow = r#"{"code":-1003,"msg":"Too many requests."}"#;
        for (status, body, headers, silence, seconds) in [
            (429, "", &[("retry-after", "7")][..], Silence::Requests, 7),
            (429, slow, &[], Silence::Requests, 60),
            (400, slow, &[], Silence::Requests, 60),
            (418, "", &[], Silence::Ban, 120),
            (418, banned, &[], Silence::Ban, 300),
            (418, banned, &[("retry-after", "3600")], Silence::Ban, 3_600),
            (418, banned, &[("retry-after", "5")], Silence::Ban, 300),
            (418, banned, &[("retry-after", "0")], Silence::Ban, 300),
            // How long a firewall is left alone is not its own choice.
            (403, "<html>", &[], Silence::Firewall(403), 0),
            (
                451,
                r#"{"code":0,"msg":"Service unavailable from a restricted location."}"#,
                &[],
                Silence::Firewall(451),
                0,
            ),
            (418, "<html>", &[("retry-after", "soon")], Silence::Ban, 120),
            (429, orders, &[], Silence::Orders, 10),
            (400, orders, &[("retry-after", "3")], Silence::Orders, 3),
            (200, slow, &[], Silence::Requests, 60),
        ] {
            match judged(status, body, headers) {
                Verdict::Quiet(found, until) => {
                    assert_eq!(
                        (found, until.as_ms() - 1_780_000_000_000),
                        (silence, seconds * 1_000),
                        "{status} {body}"
                    );
                }
                Verdict::Error(error) => panic!("{status} {body}: {error}"),
            }
        }
    }

    #[test]
    fn a_ban_is_stated_by_the_exchanges_clock_and_kept_by_ours() {
        let endpoint = Endpoint::new(Method::Get, "/fapi/v3/balance", None);
        let now_ms = 1_780_000_000_000;
        for (offset_ms, stated_ms, kept_ms) in [
            (-300_000, now_ms - 300_000 + 120_000, 120_000),
            (300_000, now_ms + 300_000 + 180_000, 180_000),
            // Our clock was not measured yet, and is wrong: two minutes at least.
            (0, now_ms - 180_000, 120_000),
        ] {
            let body = format!(r#"{{"code":-1003,"msg":"Way too many requests; IP banned until {stated_ms}."}}"#);
            let response = Response { status: 418, headers: Vec::new(), body: Bytes::from(body) };
            match verdict(&endpoint, &response, TimestampMs::new(now_ms).unwrap(), offset_ms) {
                Verdict::Quiet(_, until) => assert_eq!(until.as_ms() - now_ms, kept_ms, "{offset_ms}"),
                Verdict::Error(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_redirect_is_told_without_what_it_may_repeat() {
        let location = "https://elsewhere.example/fapi/v1/order?signature=c0ffee";
        let Verdict::Error(error) = judged(307, "", &[("location", location)]) else { panic!() };
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("elsewhere.example") && !shown.contains("c0ffee"), "{shown}");
    }
}
