//! The secret half of a credential: it signs and never travels.
//!
//! Two kinds are issued: a random text, used as the key of an HMAC, and an Ed25519 key pair of which the exchange knows
//! only the public half. They look different, so nobody has to say which one it is.
//!
//! Invariants, each with a test of the same name:
//! 1. `hmac_agrees_with_rfc_4231`.
//! 2. `ed25519_agrees_with_rfc_8032`.
//! 3. `a_key_of_another_kind_is_refused_with_the_reason`.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use ring::signature::Ed25519KeyPair;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::CredentialError;

const WHAT: &str = "API secret";
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// The secret half of an API credential: it signs and never travels.
#[derive(Clone)]
pub struct ApiSecret(Kind);

#[derive(Clone)]
enum Kind {
    Hmac(Zeroizing<String>),
    Ed25519(Arc<Ed25519KeyPair>),
}

impl ApiSecret {
    /// Checks and keeps a secret: the text that the exchange showed, or an Ed25519 private key in PEM (PKCS#8).
    ///
    /// # Errors
    /// [`CredentialError`] when it is empty, has a character that no secret has, or is a private key that is not an
    /// Ed25519 one or not readable.
    pub fn new(text: impl Into<String>) -> Result<Self, CredentialError> {
        let text = Zeroizing::new(text.into());
        let trimmed = text.trim();
        if trimmed.starts_with("-----BEGIN") {
            return key_pair(trimmed).map(|pair| Self(Kind::Ed25519(Arc::new(pair))));
        }
        super::check(WHAT, &text)?;
        Ok(Self(Kind::Hmac(text)))
    }

    /// The signature of `payload`, as it is sent: lower-case hex for HMAC, base64 for Ed25519.
    pub(super) fn sign(&self, payload: &str) -> String {
        match &self.0 {
            Kind::Hmac(secret) => hmac_sha256_hex(secret, payload),
            Kind::Ed25519(pair) => STANDARD.encode(pair.sign(payload.as_bytes())),
        }
    }

    /// The secret as text, where it is one.
    #[cfg(test)]
    pub(super) fn text(&self) -> Option<&str> {
        match &self.0 {
            Kind::Hmac(secret) => Some(secret),
            Kind::Ed25519(_) => None,
        }
    }
}

impl fmt::Debug for ApiSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Hmac(_) => "ApiSecret(hidden)",
            Kind::Ed25519(_) => "ApiSecret(hidden Ed25519 key)",
        })
    }
}

/// What of a secret nobody may repeat: the text itself, or what stands between the lines that enclose a private key.
pub(crate) fn essence(text: &str) -> Zeroizing<String> {
    let text = text.trim();
    let body = text.strip_prefix(PEM_BEGIN).and_then(|rest| rest.strip_suffix(PEM_END)).unwrap_or(text);
    Zeroizing::new(body.replace("\\n", "").chars().filter(|character| !character.is_whitespace()).collect())
}

fn key_pair(pem: &str) -> Result<Ed25519KeyPair, CredentialError> {
    let body = pem.strip_prefix(PEM_BEGIN).and_then(|rest| rest.strip_suffix(PEM_END));
    let body = body.ok_or(CredentialError::PrivateKeyKind)?;
    // In an environment variable the line breaks may have been written out.
    let base64 = essence(body);
    let der = Zeroizing::new(STANDARD.decode(base64.as_bytes()).map_err(|_| CredentialError::PrivateKeyUnreadable)?);
    // The form without the public key, which common tools write, is accepted too.
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| CredentialError::PrivateKeyKind)
}

/// HMAC-SHA256 in lower-case hex.
fn hmac_sha256_hex(secret: &str, payload: &str) -> String {
    // A key of any length is accepted: the error branch of this constructor is unreachable for HMAC, and an empty
    // signature would be refused by the exchange.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(payload.as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// Lower-case hex.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PKCS#8 document of version 1 around a seed, in PEM.
    fn pem(seed: &[u8; 32]) -> String {
        // The structure of RFC 8410, section 7.
        let mut der =
            vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
        der.extend(seed);
        format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", STANDARD.encode(der))
    }

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        let digits: Vec<_> = hex.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
        digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect::<Vec<_>>().try_into().unwrap()
    }

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        // Test case 2 of RFC 4231.
        assert_eq!(
            ApiSecret::new("Jefe").unwrap().sign("what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn ed25519_agrees_with_rfc_8032() {
        // Test 2 of RFC 8032, section 7.1: the message is the one byte 0x72, which is `r`.
        let seed = bytes::<32>("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let signature = bytes::<64>(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        let expected = STANDARD.encode(signature);
        assert_eq!(ApiSecret::new(pem(&seed)).unwrap().sign("r"), expected);
        // As it comes out of a file with other line ends, or of a variable with written-out ones.
        assert_eq!(ApiSecret::new(pem(&seed).replace('\n', "\r\n")).unwrap().sign("r"), expected);
        assert_eq!(
            ApiSecret::new(pem(&seed).replace('\n', "\\n").trim_end_matches("\\n")).unwrap().sign("r"),
            expected
        );
    }

    #[test]
    fn a_key_of_another_kind_is_refused_with_the_reason() {
        let seed = [7; 32];
        for (text, expected) in [
            (pem(&seed).replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), CredentialError::PrivateKeyKind),
            (pem(&seed).replace("PRIVATE KEY", "PUBLIC KEY"), CredentialError::PrivateKeyKind),
            (pem(&seed).replace("MC4", "!!!"), CredentialError::PrivateKeyUnreadable),
            (pem(&seed).replace("K2Vw", "K2Vv"), CredentialError::PrivateKeyKind),
            (String::new(), CredentialError::Empty { what: WHAT }),
            ("two words".into(), CredentialError::Character { what: WHAT }),
        ] {
            let error = ApiSecret::new(text.clone()).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("MC4"));
        }
    }
}
