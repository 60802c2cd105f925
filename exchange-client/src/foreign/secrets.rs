//! What must never be repeated, known by value: the key, the secret, the signatures made with it, the keys of streams.
//!
//! Whoever answers knows what we sent, and may repeat it: a page that quotes the address, a message that names the key, a
//! firewall that lists the headers. So every answer is searched as it arrives, and what is found is replaced before
//! anything is read of it: neither an error nor a payload can carry it. A part is found as well as the whole, because
//! messages cut what they quote; and so is another way of writing it, because addresses, JSON and HTML encode. Of what
//! consists of words, as keys of test exchanges do, only the whole is sought: its parts are in other texts by themselves.
//!
//! Finding costs little. Of every secret all pieces of [`PIECE`] bytes are known; a text is looked at every
//! [`STRIDE`] bytes, and a stretch of [`PART_MIN`] bytes in common contains one of these pieces. Three megabytes in which
//! there is nothing took 18 ms with 258 secrets, optimized, on a machine at work; an answer of a kilobyte 5 µs.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_secret_is_found_in_part_and_however_it_is_written`.
//! 2. `nothing_else_is_touched`.
//! 3. `the_latest_signatures_are_known`.
//! 4. `what_is_known_is_never_shown`.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::credentials::essence;

use super::decoded::{decoded, may_be_encoded};

/// How many bytes are compared at once.
const PIECE: usize = 8;
/// Every how many bytes a text is looked at.
const STRIDE: usize = 4;
/// The least stretch of a secret that is found: an aligned piece fits into it wherever it begins.
const PART_MIN: usize = PIECE + STRIDE - 1;
/// From this length on, and with digits among its letters, a secret was drawn by chance.
const DRAWN_MIN: usize = 32;
/// How many signatures are remembered: each is good for some seconds.
const SIGNATURES_MAX: usize = 256;

/// What a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// The API key.
    Key,
    /// The API secret.
    Secret,
    /// The signature of a request.
    Signature,
    /// The key of a user stream.
    ListenKey,
    /// What in the address of a message lets anybody write there.
    Address,
    /// What lets anybody be a messenger's bot.
    Token,
}

impl SecretKind {
    /// What stands in its place.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Key => "[API key]",
            Self::Secret => "[API secret]",
            Self::Signature => "[signature]",
            Self::ListenKey => "[listen key]",
            Self::Address => "[address]",
            Self::Token => "[token]",
        }
    }

    /// Whether some secret of any kind was taken out of `text`.
    pub fn is_missing_in(text: &str) -> bool {
        let all = [Self::Key, Self::Secret, Self::Signature, Self::ListenKey, Self::Address, Self::Token];
        all.iter().any(|kind| text.contains(kind.placeholder()))
    }
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "API key",
            Self::Secret => "API secret",
            Self::Signature => "signature",
            Self::ListenKey => "listen key",
            Self::Address => "address",
            Self::Token => "token",
        })
    }
}

/// Secrets that are known by value. Clones share what they know.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    lasting: Vec<Secret>,
    signatures: VecDeque<Secret>,
    /// In how many places of secrets each piece occurs.
    pieces: HashMap<[u8; PIECE], u32>,
}

#[derive(Clone)]
struct Secret {
    kind: SecretKind,
    /// In lower case: signatures and keys are repeated in either.
    bytes: Zeroizing<Vec<u8>>,
    /// How much of it gives it away.
    part_min: usize,
}

impl Secret {
    fn new(kind: SecretKind, text: &str) -> Self {
        let is_drawn = text.len() >= DRAWN_MIN
            && text.bytes().any(|byte| byte.is_ascii_digit())
            && text.bytes().any(|byte| byte.is_ascii_alphabetic());
        let part_min = if is_drawn { PART_MIN } else { text.len() };
        Self { kind, bytes: Zeroizing::new(text.to_ascii_lowercase().into_bytes()), part_min }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(hidden)")
    }
}

impl Secrets {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `text` is not repeated. Of a private key it is what its lines enclose. A text of fewer than eight
    /// characters cannot be told from other words, and is not learned.
    pub fn learn(&self, kind: SecretKind, text: &str) {
        let essence = (kind == SecretKind::Secret).then(|| essence(text));
        let text = essence.as_ref().map_or(text, |essence| essence.as_str());
        if text.len() >= PIECE {
            self.known().learn(Secret::new(kind, text));
        }
    }

    /// Learns what `other` knows, but for signatures.
    pub(crate) fn learn_all(&self, other: &Self) {
        if Arc::ptr_eq(&self.0, &other.0) {
            return;
        }
        let lasting = other.known().lasting.clone();
        let mut known = self.known();
        for secret in lasting {
            known.learn(secret);
        }
    }

    /// `text` with what is known replaced by what it is.
    pub fn redacted<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.redacted_bytes(text.as_bytes()) {
            Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
            None => Cow::Borrowed(text),
        }
    }

    /// The same for bytes; `None` where nothing was found.
    pub fn redacted_bytes(&self, text: &[u8]) -> Option<Vec<u8>> {
        let found = self.found(text);
        if found.is_empty() {
            return None;
        }
        let mut shown = Vec::with_capacity(text.len());
        let mut at = 0;
        for (range, kind) in found {
            shown.extend_from_slice(text.get(at..range.start).unwrap_or_default());
            shown.extend_from_slice(kind.placeholder().as_bytes());
            at = range.end;
        }
        shown.extend_from_slice(text.get(at..).unwrap_or_default());
        Some(shown)
    }

    /// The first secret that `text` contains, whole or in part.
    pub fn mentioned_in(&self, text: &str) -> Option<SecretKind> {
        self.found(text.as_bytes()).first().map(|(_, kind)| *kind)
    }

    /// Where secrets stand in `text`, in order, none over another.
    fn found(&self, text: &[u8]) -> Vec<(Range<usize>, SecretKind)> {
        let known = self.known();
        if known.pieces.is_empty() || text.len() < PIECE {
            return Vec::new();
        }
        let mut found = known.found(text);
        // In the text as it stands a secret is found as well: what looks like an escape may be a part of it.
        if may_be_encoded(text)
            && let Some(plain) = decoded(text)
        {
            let at = |index: usize| plain.starts.get(index).copied().unwrap_or(text.len());
            let ranges = known.found(&plain.bytes);
            found.extend(ranges.into_iter().map(|(range, kind)| (at(range.start)..at(range.end), kind)));
        }
        found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        found.dedup_by(|(later, _), (earlier, _)| {
            let overlaps = later.start < earlier.end;
            if overlaps {
                earlier.end = earlier.end.max(later.end);
            }
            overlaps
        });
        found
    }
}

impl Known {
    fn learn(&mut self, secret: Secret) {
        if self.lasting.iter().chain(&self.signatures).any(|known| known.bytes == secret.bytes) {
            return;
        }
        for piece in pieces(&secret.bytes) {
            *self.pieces.entry(piece).or_default() += 1;
        }
        if secret.kind != SecretKind::Signature {
            self.lasting.push(secret);
            return;
        }
        self.signatures.push_back(secret);
        if self.signatures.len() > SIGNATURES_MAX
            && let Some(forgotten) = self.signatures.pop_front()
        {
            for piece in pieces(&forgotten.bytes) {
                if let Some(count) = self.pieces.get_mut(&piece) {
                    *count -= 1;
                    if *count == 0 {
                        self.pieces.remove(&piece);
                    }
                }
            }
        }
    }

    fn found(&self, text: &[u8]) -> Vec<(Range<usize>, SecretKind)> {
        let mut found = Vec::new();
        // What is shorter than a part that can be told is sought as a whole.
        for secret in self.lasting.iter().chain(&self.signatures).filter(|secret| secret.bytes.len() < PART_MIN) {
            let length = secret.bytes.len();
            let windows = text.windows(length).enumerate();
            let places = windows.filter(|(_, window)| window.eq_ignore_ascii_case(&secret.bytes));
            found.extend(places.map(|(at, _)| (at..at + length, secret.kind)));
        }
        let mut at = 0;
        while let Some(piece) = text.get(at..at + PIECE) {
            let piece: [u8; PIECE] = std::array::from_fn(|index| piece.get(index).map_or(0, u8::to_ascii_lowercase));
            let mut next = at + STRIDE;
            if self.pieces.contains_key(&piece)
                && let Some((range, kind)) = self.around(text, at, piece)
            {
                next = next.max(range.end);
                found.push((range, kind));
            }
            at = next;
        }
        found
    }

    /// The longest stretch around the piece at `at` that text and a secret have in common, if it is long enough.
    fn around(&self, text: &[u8], at: usize, piece: [u8; PIECE]) -> Option<(Range<usize>, SecretKind)> {
        let (before, behind) = (text.get(..at)?, text.get(at + PIECE..)?);
        let same = |pair: &(&u8, &u8)| pair.0.eq_ignore_ascii_case(pair.1);
        let mut longest: Option<(Range<usize>, SecretKind)> = None;
        for secret in self.lasting.iter().chain(&self.signatures) {
            for (offset, _) in secret.bytes.windows(PIECE).enumerate().filter(|(_, window)| *window == piece) {
                let (head, tail) = (&secret.bytes[..offset], &secret.bytes[offset + PIECE..]);
                let left = before.iter().rev().zip(head.iter().rev()).take_while(same).count();
                let right = behind.iter().zip(tail).take_while(same).count();
                let range = at - left..at + PIECE + right;
                let is_longer = longest.as_ref().is_none_or(|(known, _)| known.len() < range.len());
                if range.len() >= secret.part_min && is_longer {
                    longest = Some((range, secret.kind));
                }
            }
        }
        longest
    }
}

fn pieces(bytes: &[u8]) -> impl Iterator<Item = [u8; PIECE]> {
    bytes.windows(PIECE).filter_map(|window| window.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
    const SIGNED: &str = "iV+nM/2wq0p/8Zk7+RrT1uXy5bQ4cJ9hL3sG6dF0aE8vK2mB7xN1oP4zU5tWjYqI9eC3lH6fD0gS8rA/Q==";

    fn secrets() -> Secrets {
        let secrets = Secrets::default();
        secrets.learn(SecretKind::Key, KEY);
        secrets.learn(SecretKind::Signature, SIGNED);
        secrets.learn(SecretKind::ListenKey, "short-one");
        secrets
    }

    #[test]
    fn a_secret_is_found_in_part_and_however_it_is_written() {
        let percent = |text: &str| text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let each = |written: fn(u8) -> String| KEY.bytes().map(written).collect::<Vec<_>>().concat();
        let all = each(|byte| format!("%{byte:02x}"));
        let references = each(|byte| format!("&#{byte};"));
        let escapes = each(|byte| format!("\\u{byte:04X}"));
        for (text, shown) in [
            (KEY.to_owned(), "[API key]"),
            (KEY.to_uppercase(), "[API key]"),
            (format!("\"{KEY}\""), "\"[API key]\""),
            (format!("a{KEY}{KEY}b"), "a[API key][API key]b"),
            (format!("signature={SIGNED}&"), "signature=[signature]&"),
            (percent(SIGNED), "[signature]"),
            (percent(SIGNED).to_lowercase(), "[signature]"),
            (percent(&percent(SIGNED).replace('%', "%25")), "[signature]"),
            (SIGNED.replace('/', "\\/"), "[signature]"),
            (SIGNED.replace('/', "&#x2F;").replace('+', "&#43;"), "[signature]"),
            (all, "[API key]"),
            (references, "[API key]"),
            (escapes, "[API key]"),
            ("x=Short-One;".to_owned(), "x=[listen key];"),
        ] {
            assert_eq!(secrets().redacted(&text), shown, "{text}");
        }
        // Every part from eleven characters on, wherever it stands.
        for pad in 0..9 {
            for length in [PART_MIN, 12, 20, 63] {
                for start in 0..=KEY.len() - length {
                    let text = format!("{}{}…", "-".repeat(pad), &KEY[start..start + length]);
                    assert_eq!(secrets().redacted(&text), format!("{}[API key]…", "-".repeat(pad)), "{text}");
                }
            }
        }
    }

    #[test]
    fn nothing_else_is_touched() {
        let nothing = Secrets::default();
        nothing.learn(SecretKind::Key, "key");
        assert_eq!(nothing.redacted(KEY), KEY);
        let body =
            r#"[{"symbol":"BTCUSDT","orderId":8389765568816714211,"clientOrderId":"fb:swing:e:1","a\/b":"100%"}]"#;
        // Words that are in a key of words, and in other texts as well.
        let words = Secrets::default();
        words.learn(SecretKind::Key, "fillbook-simulator-test-key");
        assert_eq!(words.redacted("fillbook-simulator.db"), "fillbook-simulator.db");
        assert_eq!(words.redacted("=Fillbook-Simulator-Test-Key;"), "=[API key];");
        for text in ["", "key", &KEY[..PART_MIN - 1], body, "币安人生USDT"] {
            assert!(matches!(secrets().redacted(text), Cow::Borrowed(_)), "{text}");
        }
        let cut = [&[0xff, 0xfe][..], KEY.as_bytes(), &[0xff]].concat();
        assert_eq!(secrets().redacted_bytes(&cut).unwrap(), [&[0xff, 0xfe][..], b"[API key]", &[0xff]].concat());
    }

    #[test]
    fn the_latest_signatures_are_known() {
        let secrets = secrets();
        let signature = |number: usize| format!("{number:04}{}", "0123456789abcdef".repeat(3));
        for number in 0..=SIGNATURES_MAX {
            secrets.learn(SecretKind::Signature, &signature(number));
        }
        let known = |number: usize| {
            secrets.known().signatures.iter().any(|known| *known.bytes == *signature(number).as_bytes())
        };
        assert!(!known(0) && known(1) && known(SIGNATURES_MAX));
        assert_eq!(secrets.redacted(&signature(SIGNATURES_MAX)), "[signature]");
        // Forgetting one takes nothing from the others.
        assert_eq!(secrets.redacted(&signature(1)), "[signature]");
    }

    #[test]
    fn what_is_known_is_never_shown() {
        assert_eq!(format!("{:?}", secrets()), "Secrets(hidden)");
        let shared = Secrets::default();
        shared.learn_all(&secrets());
        shared.learn_all(&shared.clone());
        assert_eq!(shared.mentioned_in(&format!("--account={KEY}")), Some(SecretKind::Key));
        assert_eq!(shared.mentioned_in(SIGNED), None);
        assert!(SecretKind::is_missing_in(&shared.redacted(KEY)));
    }
}
