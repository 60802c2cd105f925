//! Signing: a query with a timestamp becomes a query that only the owner of the secret could have made.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::credentials::Credentials;

/// Everything but the unreserved characters of RFC 3986. Some symbols are Chinese, and what is signed is what is sent.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The parameters of a request, percent-encoded as they are added.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(String);

impl Query {
    /// No parameters.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// With one parameter more.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value.as_ref(), ENCODED));
        self
    }

    /// With one parameter more, if there is a value.
    #[must_use]
    pub(super) fn with_some(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The text to send.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// The text to send, with its signature at the end.
    pub(super) fn into_signed_text(self, credentials: &Credentials) -> String {
        let signature = credentials.sign(&self.0);
        // Base64 has characters that are encoded like those of any other value.
        self.with("signature", signature).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_is_signed_as_documented() {
        let query = Query::new()
            .with("symbol", "BTCUSDT")
            .with("side", "BUY")
            .with("type", "LIMIT")
            .with("quantity", "1")
            .with("price", "9000")
            .with("timeInForce", "GTC")
            .with("recvWindow", "5000")
            .with("timestamp", "1591702613943");
        let secret = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9";
        let signed = query.into_signed_text(&Credentials::new("key", secret).unwrap());
        assert!(
            signed.ends_with("&signature=3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"),
            "{signed}"
        );
    }

    #[test]
    fn values_are_encoded_before_they_are_signed() {
        let query = Query::new().with("symbol", "币安人生USDT").with_some("newClientOrderId", Some("a:b/c.d_e-f"));
        assert_eq!(
            query.with_some("x", None::<&str>).into_text(),
            "symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&newClientOrderId=a%3Ab%2Fc.d_e-f"
        );
    }
}
