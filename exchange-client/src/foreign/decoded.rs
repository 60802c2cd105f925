//! Bytes as they were before somebody encoded them: for a query that is repeated in an address, in JSON or in a page.

/// How often something is encoded on top of itself: an address within an address, JSON within JSON.
const LAYERS_MAX: usize = 3;

/// Decoded bytes, and where each of them stands in the original.
pub(super) struct Decoded {
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// Where each begins in the original, and at last the original's end.
    pub(super) starts: Vec<usize>,
}

/// Decodes percent signs, the escapes of JSON and the references of HTML; `None` where there is none of them.
pub(super) fn decoded(text: &[u8]) -> Option<Decoded> {
    let mut known = once(&Decoded { bytes: text.to_vec(), starts: (0..=text.len()).collect() })?;
    for _ in 1..LAYERS_MAX {
        match once(&known) {
            Some(next) => known = next,
            None => break,
        }
    }
    Some(known)
}

/// Whether [`decoded`] may find something: most answers hold none of these.
pub(super) fn may_be_encoded(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'%' | b'\\' | b'&'))
}

fn once(text: &Decoded) -> Option<Decoded> {
    let mut next = Decoded { bytes: Vec::with_capacity(text.bytes.len()), starts: Vec::new() };
    let mut at = 0;
    let mut changed = false;
    while let Some(rest) = text.bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (byte, length) = symbol(rest);
        changed |= length > 1;
        next.bytes.push(byte);
        next.starts.push(text.starts.get(at).copied().unwrap_or(0));
        at += length;
    }
    next.starts.push(text.starts.last().copied().unwrap_or(0));
    changed.then_some(next)
}

/// The byte that `text` begins with, and how many bytes it is written in.
fn symbol(text: &[u8]) -> (u8, usize) {
    let encoded = match text {
        [b'%', high, low, ..] => number(&[*high, *low], 16).map(|byte| (byte, 3)),
        [b'\\', b'u', digits @ ..] => digits.get(..4).and_then(|digits| number(digits, 16)).map(|byte| (byte, 6)),
        [b'\\', byte @ (b'/' | b'"' | b'\\'), ..] => Some((*byte, 2)),
        [b'&', b'#', b'x' | b'X', rest @ ..] => reference(rest, 16).map(|(byte, length)| (byte, length + 3)),
        [b'&', b'#', rest @ ..] => reference(rest, 10).map(|(byte, length)| (byte, length + 2)),
        [b'&', b'a', b'm', b'p', b';', ..] => Some((b'&', 5)),
        _ => None,
    };
    encoded.unwrap_or((text.first().copied().unwrap_or(0), 1))
}

/// A number up to its semicolon, and the length of both.
fn reference(text: &[u8], radix: u32) -> Option<(u8, usize)> {
    let length = text.iter().take(8).position(|byte| *byte == b';')?;
    Some((number(text.get(..length)?, radix)?, length + 1))
}

/// A number that is a character of ASCII.
fn number(digits: &[u8], radix: u32) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    u32::from_str_radix(text, radix).ok().and_then(|number| u8::try_from(number).ok()).filter(u8::is_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_found_where_it_stands() {
        for (text, bytes) in [
            ("a%2Bb%2fc", "a+b/c"),
            ("a%252Bb", "a+b"),
            (r"a\/b\u002bc\\\/", r"a/b+c/"),
            ("a&#43;b&#x2F;c&amp;d", "a+b/c&d"),
            ("100% &c; \\x %zz &#; %u 50%", "100% &c; \\x %zz &#; %u 50%"),
        ] {
            let found = decoded(text.as_bytes()).map_or(text.to_owned(), |found| {
                assert_eq!(found.starts.len(), found.bytes.len() + 1);
                assert_eq!(found.starts.last(), Some(&text.len()));
                String::from_utf8(found.bytes).unwrap()
            });
            assert_eq!(found, bytes, "{text}");
        }
        assert_eq!(decoded(b"a%2Bb").unwrap().starts, [0, 1, 4, 5]);
    }
}
