//! The key and secret of an exchange account. They can be used, never shown.
//!
//! Credentials carry [`Secrets`], the values that no text may repeat. These learn the key and the secret at once, and each
//! signature as it is made. Nothing can be signed without them.
//!
//! Invariants, each with a test of the same name:
//! 1. `credentials_are_never_shown`: `Debug` prints no character of them, and there is no `Display`.
//! 2. `what_is_made_with_credentials_is_known`.

mod secret;
mod source;

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::foreign::{SecretKind, Secrets};

pub use self::secret::ApiSecret;
pub(crate) use self::secret::essence;
pub(crate) use self::source::private_text;
pub use self::source::{API_KEY_VARIABLE, API_SECRET_VARIABLE, CredentialFileError};

/// Why a text is no key or secret. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CredentialError {
    /// Nothing was given.
    #[error("the {what} is empty: set it to what the exchange showed when the key was created")]
    Empty {
        /// `API key` or `API secret`.
        what: &'static str,
    },
    /// White space, control or non-ASCII characters: probably a copying accident.
    #[error("the {what} contains a space, line break or other character that no key has: copy it again")]
    Character {
        /// `API key` or `API secret`.
        what: &'static str,
    },
    /// A private key that is not an unencrypted Ed25519 one.
    #[error("the API secret is a private key, but not an unencrypted Ed25519 one in PEM (PKCS#8)")]
    PrivateKeyKind,
    /// A private key whose base64 is broken.
    #[error("the API secret is a private key in PEM that cannot be read: copy it again")]
    PrivateKeyUnreadable,
    /// One of two variables.
    #[error("{set} is set, but {unset} is not: set both, or neither")]
    Unset {
        /// The one that is set.
        set: &'static str,
        /// The one that is not.
        unset: &'static str,
    },
}

fn check(what: &'static str, text: &str) -> Result<(), CredentialError> {
    if text.is_empty() {
        return Err(CredentialError::Empty { what });
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CredentialError::Character { what });
    }
    Ok(())
}

/// The public half of an API credential; it travels in a header.
#[derive(Clone)]
pub struct ApiKey(Zeroizing<String>);

impl ApiKey {
    /// Checks and keeps `text`.
    ///
    /// # Errors
    /// [`CredentialError`] when it is empty or has a character that no key has.
    pub fn new(text: impl Into<String>) -> Result<Self, CredentialError> {
        let text = Zeroizing::new(text.into());
        check("API key", &text)?;
        Ok(Self(text))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

/// What proves who is asking.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Names the account.
    key: ApiKey,
    /// Signs the requests.
    secret: ApiSecret,
    /// What is never repeated.
    secrets: Secrets,
}

impl Credentials {
    /// Checks and keeps a key with its secret, which is a text or an Ed25519 private key in PEM.
    ///
    /// # Errors
    /// [`CredentialError`] for whichever is unusable.
    pub fn new(key: impl Into<String>, secret: impl Into<String>) -> Result<Self, CredentialError> {
        let (key, secret_text) = (ApiKey::new(key)?, Zeroizing::new(secret.into()));
        let secret = ApiSecret::new(secret_text.as_str())?;
        let secrets = Secrets::default();
        secrets.learn(SecretKind::Key, key.expose());
        secrets.learn(SecretKind::Secret, &secret_text);
        Ok(Self { key, secret, secrets })
    }

    /// The same credentials, which share what is never repeated with `secrets`: with other accounts of a program, and
    /// with whatever writes to its screen.
    #[must_use]
    pub fn known_to(self, secrets: &Secrets) -> Self {
        secrets.learn_all(&self.secrets);
        Self { secrets: secrets.clone(), ..self }
    }

    /// What is never repeated.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The key, for the header that it travels in.
    pub(crate) fn exposed_key(&self) -> &str {
        self.key.expose()
    }

    /// The signature of `payload`, as it is sent: lower-case hex for HMAC, base64 for Ed25519.
    pub(crate) fn sign(&self, payload: &str) -> String {
        let signature = self.secret.sign(payload);
        self.secrets.learn(SecretKind::Signature, &signature);
        signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        let credentials = Credentials::new("K3y-abcdef", "S3cret-uvwxyz").unwrap();
        let shown = format!("{credentials:?} {credentials:#?}");
        assert!(!shown.contains("K3y") && !shown.contains("S3cret") && shown.contains("hidden"), "{shown}");
        let error = Credentials::new("K3y abcdef", "S3cret").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("K3y"));
        assert_eq!(ApiSecret::new("").unwrap_err(), CredentialError::Empty { what: "API secret" });
        assert!(ApiKey::new("key\n").is_err());
    }

    #[test]
    fn what_is_made_with_credentials_is_known() {
        let credentials = Credentials::new("K3y-abcdef", "S3cret-uvwxyz").unwrap();
        let screen = Secrets::default();
        let credentials = credentials.known_to(&screen);
        let signature = credentials.sign("symbol=BTCUSDT");
        let told = format!("K3y-abcdef, S3cret-uvwxyz and {signature} of symbol=BTCUSDT");
        let shown = "[API key], [API secret] and [signature] of symbol=BTCUSDT";
        assert_eq!((credentials.secrets().redacted(&told), screen.redacted(&told)), (shown.into(), shown.into()));
    }
}
