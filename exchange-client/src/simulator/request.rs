//! A request to the simulator: its parameters, and the proof of who sent it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use percent_encoding::percent_decode_str;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::Sha256;

use super::books::PositionSide;
use super::fixed::parse_e8;
use super::refusal::Refusal;

/// How a secret shows that it is a private key.
const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----";

/// A request as the simulator takes it, from the wire or from the same process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) body: &'a str,
    pub(super) api_key: Option<&'a str>,
}

/// The parameters of a request, decoded, those of the body last: where query and body name the same one, the query's
/// is used, as on the real exchange.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn read(incoming: &Incoming<'_>) -> Self {
        let mut params = Self::read_part(incoming.query);
        params.0.extend(Self::read_part(incoming.body).0);
        params
    }

    fn read_part(part: &str) -> Self {
        let pairs = part.split('&').filter(|pair| !pair.is_empty());
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (decode(n), decode(v))).collect(),
        )
    }

    /// No parameter comes twice in the query or in the body, and a signature only in one of them.
    pub(super) fn check_unique(incoming: &Incoming<'_>) -> Result<(), Refusal> {
        let (query, body) = (Self::read_part(incoming.query), Self::read_part(incoming.body));
        if query.repeats() || body.repeats() || (query.names("signature") && body.names("signature")) {
            return Err(Refusal::repeated());
        }
        Ok(())
    }

    fn repeats(&self) -> bool {
        let mut seen = BTreeSet::new();
        !self.0.iter().all(|(name, _)| seen.insert(name))
    }

    fn names(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    /// Parameters that came another way.
    pub(super) fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// What is asked, apart from when and by whom.
    pub(super) fn question(&self) -> String {
        let told = self.0.iter().filter(|(name, _)| !matches!(name.as_str(), "timestamp" | "signature" | "recvWindow"));
        told.fold(String::new(), |question, (name, value)| question + name + "=" + value + "&")
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::missing(name))
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.get(name).map(|text| text.parse().map_err(|_| Refusal::missing(name))).transpose()
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            // Clients in Python write True.
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(Refusal::missing(name)),
        }
    }

    /// A decimal; more digits than the exchange keeps are refused like on the real one.
    pub(super) fn decimal_e8(&self, name: &str) -> Result<Option<i128>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let digits_only = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
        match parse_e8(text) {
            Some(value) => Ok(Some(value)),
            None if digits_only => Err(Refusal::precision()),
            None => Err(Refusal::missing(name)),
        }
    }

    /// The page size: `default` unless said, at most `max`.
    pub(super) fn limit(&self, default: usize, max: usize) -> Result<usize, Refusal> {
        match self.integer("limit")? {
            None => Ok(default),
            Some(limit) => {
                usize::try_from(limit).ok().filter(|l| (1..=max).contains(l)).ok_or_else(|| Refusal::invalid("limit"))
            }
        }
    }

    pub(super) fn position_side(&self) -> Result<PositionSide, Refusal> {
        match self.get("positionSide") {
            None | Some("BOTH") => Ok(PositionSide::Both),
            Some("LONG") => Ok(PositionSide::Long),
            Some("SHORT") => Ok(PositionSide::Short),
            Some(_) => Err(Refusal::invalid("positionSide")),
        }
    }
}

/// Checks that everything but the signature is signed, and that the request is fresh.
pub(super) fn check_signed(
    incoming: &Incoming<'_>,
    params: &Params,
    secret: &str,
    server_ms: i64,
) -> Result<(), Refusal> {
    const RECEIVE_WINDOW_DEFAULT_MS: i64 = 5_000;
    const RECEIVE_WINDOW_MAX_MS: i64 = 60_000;
    let timestamp_ms = params.integer("timestamp")?.ok_or_else(|| Refusal::missing("timestamp"))?;
    let window_ms = params.integer("recvWindow")?.unwrap_or(RECEIVE_WINDOW_DEFAULT_MS);
    params.required("signature")?;
    if !(0..=RECEIVE_WINDOW_MAX_MS).contains(&window_ms) {
        return Err(Refusal::receive_window());
    }
    let (payload, signature) = split_signature(incoming).ok_or_else(Refusal::signature)?;
    let genuine = if secret.contains(PRIVATE_KEY) {
        is_signed_by_pair(secret, &payload, signature)
    } else {
        is_signed_by_text(secret, &payload, signature)
    };
    if !genuine {
        return Err(Refusal::signature());
    }
    let age_ms = server_ms.saturating_sub(timestamp_ms);
    if age_ms > window_ms || age_ms <= -1_000 {
        return Err(Refusal::timestamp());
    }
    Ok(())
}

/// HMAC-SHA256 in hex.
fn is_signed_by_text(secret: &str, payload: &str, signature: &str) -> bool {
    Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok().zip(unhex(signature)).is_some_and(|(mut mac, signature)| {
        mac.update(payload.as_bytes());
        mac.verify_slice(&signature).is_ok()
    })
}

/// Ed25519 in base64. The exchange knows the public key alone; here it is read from the private one.
fn is_signed_by_pair(pem: &str, payload: &str, signature: &str) -> bool {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let signature = percent_decode_str(signature).decode_utf8_lossy();
    let (Ok(der), Ok(signature)) = (STANDARD.decode(body), STANDARD.decode(signature.as_bytes())) else {
        return false;
    };
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).is_ok_and(|pair| {
        let public = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref());
        public.verify(payload.as_bytes(), &signature).is_ok()
    })
}

/// What is signed, and the signature: the last pair of the whole request. Nothing may follow it, or that would be
/// read without having been signed.
fn split_signature<'a>(incoming: &Incoming<'a>) -> Option<(String, &'a str)> {
    let (before, last) = if incoming.body.is_empty() { ("", incoming.query) } else { (incoming.query, incoming.body) };
    let (signed, pair) = last.rsplit_once('&').unwrap_or(("", last));
    Some((format!("{before}{signed}"), pair.strip_prefix("signature=")?))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
