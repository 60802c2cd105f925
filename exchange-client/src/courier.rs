//! Messages to people: a body to an address that is a secret itself.
//!
//! Invariants, each with a test of the same name (those with a server in `tests/http/courier.rs`):
//! 1. `a_secret_address_is_never_shown`: not by `Debug`, and by no error, whatever the library puts into its own.
//! 2. `a_parcel_is_not_sent_on`: redirects are not followed, for the address would go to another host with them.
//! 3. `a_receiver_that_hangs_is_given_up`.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::credentials::{CredentialFileError, private_text};
use crate::foreign::{SecretKind, Secrets};

/// How much of an answer is read: it says why something is refused.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// How long a reason is kept.
const REASON_CHARS_MAX: usize = 200;

/// A token or an address, as somebody was given it. It can be used, never shown.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(hidden)")
    }
}

impl SecretText {
    /// Keeps `text`, without the white space around it.
    pub fn new(text: impl Into<String>) -> Self {
        let text = Zeroizing::new(text.into());
        Self(Zeroizing::new(text.trim().to_owned()))
    }

    /// What is in a file that only its owner can read (mode 0600 or less; 0640 for one that systemd hands over).
    ///
    /// # Errors
    /// [`CredentialFileError`].
    pub fn from_file(path: &Path, is_of_systemd: bool) -> Result<Self, CredentialFileError> {
        let text = private_text(path, if is_of_systemd { 0o037 } else { 0o077 })?;
        Ok(Self::new(text.as_str()))
    }
}

/// Why a text is no address or token. The text is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecretUrlError {
    /// Nothing was given.
    #[error("it is empty")]
    Empty,
    /// A space, line break or other character that no address has.
    #[error("it contains a space, line break or other character that does not belong there: copy it again")]
    Character,
    /// It is none of HTTP.
    #[error("it is no address that begins with https:// or http:// and names a host")]
    Scheme,
}

/// Where a message goes. Whoever knows the address can write there, so it is not shown.
#[derive(Clone)]
pub struct SecretUrl(Zeroizing<String>);

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretUrl(hidden)")
    }
}

impl SecretUrl {
    /// The address that `text` is. What stands behind its host, and before it, is not repeated by whatever asks `secrets`.
    ///
    /// # Errors
    /// [`SecretUrlError`] when it is none.
    pub fn new(text: &SecretText, secrets: &Secrets) -> Result<Self, SecretUrlError> {
        check(&text.0)?;
        let rest = text.0.strip_prefix("https://").or_else(|| text.0.strip_prefix("http://"));
        let rest = rest.ok_or(SecretUrlError::Scheme)?;
        let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, host) = host.rsplit_once('@').unwrap_or(("", host));
        if host.is_empty() {
            return Err(SecretUrlError::Scheme);
        }
        for part in [user, path, path.trim_start_matches('/')] {
            secrets.learn(SecretKind::Address, part);
        }
        Ok(Self(text.0.clone()))
    }

    /// Where a bot of Telegram sends a message. `api` is where its interface answers, without a slash at the end.
    ///
    /// # Errors
    /// [`SecretUrlError`] when `token` cannot be one, or `api` is no address.
    pub fn telegram(api: &str, token: &SecretText, secrets: &Secrets) -> Result<Self, SecretUrlError> {
        check(&token.0)?;
        if token.0.contains(['/', '?', '#', '%']) {
            return Err(SecretUrlError::Character);
        }
        secrets.learn(SecretKind::Token, &token.0);
        // The part behind the colon is enough to be the bot.
        secrets.learn(SecretKind::Token, token.0.split_once(':').map_or("", |(_, secret)| secret));
        let url = Zeroizing::new(format!("{}/bot{}/sendMessage", api.trim_end_matches('/'), token.0.as_str()));
        Self::new(&SecretText(url), secrets)
    }
}

fn check(text: &str) -> Result<(), SecretUrlError> {
    match text {
        "" => Err(SecretUrlError::Empty),
        text if !text.bytes().all(|byte| byte.is_ascii_graphic()) => Err(SecretUrlError::Character),
        _ => Ok(()),
    }
}

/// A message on its way.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Where it goes.
    pub url: SecretUrl,
    /// Its body with its type; without one, the address is only asked for (GET).
    pub body: Option<(&'static str, String)>,
}

/// What the receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The HTTP status.
    pub status: u16,
    /// How many seconds to wait before the next parcel, where the header `Retry-After` says.
    pub retry_after_s: Option<u64>,
    /// The beginning of the answer.
    pub body: String,
}

/// Why a parcel did not get an answer. It may have arrived all the same.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct CourierError {
    /// In words, without the address.
    pub reason: String,
}

/// Brings messages to where they go. Sends once, and follows no redirect.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Courier: Send + Sync {
    /// Brings `parcel`.
    ///
    /// # Errors
    /// [`CourierError`] when there is no complete answer in time. An answer that refuses is an answer.
    async fn bring(&self, parcel: Parcel) -> Result<Receipt, CourierError>;
}

/// A [`Courier`] over HTTP/1.1 and TLS.
#[derive(Debug, Clone)]
pub struct HttpCourier {
    client: reqwest::Client,
    secrets: Secrets,
}

impl HttpCourier {
    /// A courier that gives a receiver so much time. What `secrets` know is not in its answers and errors.
    ///
    /// # Errors
    /// [`CourierError`] when the TLS library cannot be set up.
    pub fn new(patience: Duration, secrets: Secrets) -> Result<Self, CourierError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(patience)
            .timeout(patience)
            .no_proxy()
            .http1_only()
            .user_agent(concat!("fillbook/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| failed(error, &secrets))?;
        Ok(Self { client, secrets })
    }
}

#[async_trait]
impl Courier for HttpCourier {
    async fn bring(&self, parcel: Parcel) -> Result<Receipt, CourierError> {
        let request = match parcel.body {
            Some((kind, body)) => {
                self.client.post(parcel.url.0.as_str()).header(reqwest::header::CONTENT_TYPE, kind).body(body)
            }
            None => self.client.get(parcel.url.0.as_str()),
        };
        let mut response = request.send().await.map_err(|error| failed(error, &self.secrets))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(reqwest::header::RETRY_AFTER);
        let retry_after_s = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut body = Vec::new();
        while body.len() < ANSWER_BYTES_MAX
            && let Some(chunk) = response.chunk().await.map_err(|error| failed(error, &self.secrets))?
        {
            body.extend_from_slice(chunk.get(..ANSWER_BYTES_MAX - body.len()).unwrap_or(&chunk));
        }
        let body = self.secrets.redacted(&String::from_utf8_lossy(&body)).into_owned();
        Ok(Receipt { status, retry_after_s, body })
    }
}

/// What the library says, without the address that it says it of.
fn failed(error: reqwest::Error, secrets: &Secrets) -> CourierError {
    let what = match &error {
        error if error.is_timeout() => "there was no answer in time",
        error if error.is_connect() => "no connection could be made",
        error if error.is_builder() => "the address cannot be used",
        _ => "the connection failed",
    };
    let error = error.without_url();
    let cause = std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
    let reason = cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"));
    let reason = secrets.redacted(&reason).chars().take(REASON_CHARS_MAX).collect();
    CourierError { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_address_is_never_shown() {
        let secrets = Secrets::default();
        let token = SecretText::new(" 123456:AAbbCCddEEffGGhhIIjjKKllMMnnOOppQQ\n");
        let url = SecretUrl::telegram("https://api.telegram.org/", &token, &secrets).unwrap();
        assert_eq!(url.0.as_str(), "https://api.telegram.org/bot123456:AAbbCCddEEffGGhhIIjjKKllMMnnOOppQQ/sendMessage");
        let parcel = Parcel { url, body: None };
        let shown = format!("{token:?} {parcel:?} {secrets:?}");
        assert!(!shown.contains("AAbb") && !shown.contains("123456"), "{shown}");
        for told in ["no bot AAbbCCddEEffGGhhIIjjKKllMMnnOOppQQ", "/bot123456:AAbbCCddEEffGGhhIIjjKKllMMnnOOppQQ/x"] {
            let redacted = secrets.redacted(told);
            assert!(!redacted.contains("AAbb"), "{redacted}");
        }
        let hook = SecretText::new("https://someone:pass1234@hooks.example/services/T000/B000/hidden");
        SecretUrl::new(&hook, &secrets).unwrap();
        let told = secrets.redacted("hooks.example refuses services/T000/B000/hidden of someone:pass1234").into_owned();
        assert_eq!(told, "hooks.example refuses [address] of [address]");
        let refused = |text: &str| SecretUrl::new(&SecretText::new(text), &secrets).unwrap_err();
        for (text, why) in [
            ("", SecretUrlError::Empty),
            ("https://a b", SecretUrlError::Character),
            ("ftp://host/x", SecretUrlError::Scheme),
            ("https:///x", SecretUrlError::Scheme),
            ("https://user@/x", SecretUrlError::Scheme),
        ] {
            assert_eq!(refused(text), why, "{text}");
        }
        let odd = SecretText::new("123456:AA/../x");
        assert!(SecretUrl::telegram("https://api.telegram.org", &odd, &secrets).is_err());
    }
}
