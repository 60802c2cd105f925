//! Cuts a JSON array, or JSON objects in sequence, into their elements without holding more than one of them.
//!
//! Only brackets, strings and commas are understood here; each element is parsed by itself afterwards. A JSON string
//! cannot contain a line end, so one that does is broken: the element ends there, and reading goes on at the next line
//! that begins like the broken element did.

use std::io::{self, BufRead};

use super::ROW_BYTES_MAX;

/// What was found where an element was expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Element<'a> {
    /// The element's bytes, not yet known to be JSON.
    Bytes(&'a [u8]),
    /// An element that is too long; it was passed over.
    TooLong,
    /// The text ended inside the array.
    Unclosed,
}

/// Cuts elements out of a text.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    element: Vec<u8>,
    length: usize,
    line: u64,
    element_line: u64,
    column: usize,
    element_column: usize,
    in_array: bool,
    depth: usize,
    string: StringState,
    resync: Option<usize>,
    at_end: bool,
}

/// Whether the position is within a JSON string.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum StringState {
    #[default]
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

/// What a byte does to the element that is being collected.
enum Step {
    /// It belongs to the element.
    Keep,
    /// It is white space or punctuation outside of elements.
    Drop,
    /// It is the element's last byte.
    Last,
    /// It ended the element in front of it.
    Ended,
}

impl Splitter {
    /// The line on which the element that was read last begins, counted from 1.
    pub(super) fn element_line(&self) -> u64 {
        self.element_line
    }

    /// The line that has been reached.
    pub(super) fn line(&self) -> u64 {
        self.line + 1
    }

    /// The next element, or `None` at the end.
    pub(super) fn next<'a>(&'a mut self, input: &mut impl BufRead) -> io::Result<Option<Element<'a>>> {
        if self.at_end {
            return Ok(None);
        }
        self.element.clear();
        self.length = 0;
        loop {
            let available = match input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                self.at_end = true;
                if self.in_array {
                    return Ok(Some(Element::Unclosed));
                }
                return Ok(if self.length > 0 { Some(self.found()) } else { None });
            }
            let mut consumed = 0;
            let mut is_done = false;
            for byte in available {
                consumed += 1;
                let step = self.step(*byte);
                if *byte == b'\n' {
                    self.line += 1;
                    self.column = 0;
                } else {
                    self.column += 1;
                }
                if matches!(step, Step::Keep | Step::Last) {
                    if self.length < ROW_BYTES_MAX {
                        self.element.push(*byte);
                    }
                    self.length = self.length.saturating_add(1);
                }
                if matches!(step, Step::Last | Step::Ended) {
                    is_done = true;
                    break;
                }
            }
            input.consume(consumed);
            if is_done {
                return Ok(Some(self.found()));
            }
        }
    }

    fn found(&mut self) -> Element<'_> {
        if self.length > ROW_BYTES_MAX {
            self.element = Vec::new();
            return Element::TooLong;
        }
        Element::Bytes(self.element.trim_ascii_end())
    }

    fn step(&mut self, byte: u8) -> Step {
        if self.string != StringState::Outside {
            return self.step_in_string(byte);
        }
        if self.length == 0 {
            return self.step_between(byte);
        }
        match byte {
            b'"' => self.string = StringState::Inside,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                if self.depth == 0 {
                    return Step::Last;
                }
            }
            b']' if self.in_array => {
                self.in_array = false;
                return Step::Ended;
            }
            b',' if self.depth == 0 && self.in_array => return Step::Ended,
            b'\n' if self.depth == 0 && !self.in_array => return Step::Ended,
            _ => {}
        }
        Step::Keep
    }

    fn step_between(&mut self, byte: u8) -> Step {
        if let Some(column) = self.resync {
            // Pass over the rest of a broken element, up to a line that begins as it did.
            let is_like_start = matches!(byte, b'{' | b'[') && self.column == column;
            let is_array_end = byte == b']' && self.column == 0 && self.in_array;
            if !is_like_start && !is_array_end {
                return Step::Drop;
            }
            self.resync = None;
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => return Step::Drop,
            b'[' if !self.in_array => {
                self.in_array = true;
                return Step::Drop;
            }
            b']' if self.in_array => {
                self.in_array = false;
                return Step::Drop;
            }
            b'{' | b'[' => self.depth = 1,
            b'"' => self.string = StringState::Inside,
            _ => {}
        }
        self.element_line = self.line + 1;
        self.element_column = self.column;
        Step::Keep
    }

    fn step_in_string(&mut self, byte: u8) -> Step {
        if byte == b'\n' {
            self.string = StringState::Outside;
            self.depth = 0;
            self.resync = Some(self.element_column);
            return Step::Ended;
        }
        self.string = match (self.string, byte) {
            (StringState::Inside, b'\\') => StringState::Escaped,
            (StringState::Inside, b'"') => StringState::Outside,
            _ => StringState::Inside,
        };
        Step::Keep
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn all(text: &str, buffer: usize) -> Vec<(u64, String)> {
        let mut input = BufReader::with_capacity(buffer, text.as_bytes());
        let mut splitter = Splitter::default();
        let mut found = Vec::new();
        loop {
            let text = match splitter.next(&mut input).unwrap() {
                None => return found,
                Some(Element::Bytes(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
                Some(Element::TooLong) => "<too long>".to_owned(),
                Some(Element::Unclosed) => "<unclosed>".to_owned(),
            };
            found.push((splitter.element_line(), text));
        }
    }

    fn texts(text: &str) -> Vec<String> {
        all(text, 7).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn elements_are_cut_where_json_says() {
        let tricky = r#"[ {"a":"}],{\"\\"}, {"b":[1,[2,{"c":"]"}]]},
            7, "x,]" , {} ]"#;
        for buffer in 1..20 {
            let found = all(tricky, buffer);
            let texts: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(texts, [r#"{"a":"}],{\"\\"}"#, r#"{"b":[1,[2,{"c":"]"}]]}"#, "7", r#""x,]""#, "{}"]);
            assert_eq!(found[4].0, 2);
        }
    }

    #[test]
    fn several_arrays_and_bare_objects_are_taken_in_turn() {
        assert_eq!(texts("[{\"a\":1}]\n[{\"a\":2}]"), ["{\"a\":1}", "{\"a\":2}"]);
        assert_eq!(texts("{\n \"a\": 1\n}\n{\n}"), ["{\n \"a\": 1\n}", "{\n}"]);
        assert_eq!(texts("[]"), Vec::<String>::new());
    }

    #[test]
    fn a_cut_array_is_noticed() {
        assert_eq!(texts("[{\"a\":1},{\"b\":"), ["{\"a\":1}", "<unclosed>"]);
        assert_eq!(texts("[{\"a\":1},"), ["{\"a\":1}", "<unclosed>"]);
    }

    #[test]
    fn a_broken_string_costs_only_its_element() {
        let text = "[\n  {\"a\": \"x},\n  {\"a\": 2},\n  {\"a\": 3}\n]\n";
        assert_eq!(texts(text), ["{\"a\": \"x},", "{\"a\": 2}", "{\"a\": 3}"]);
        let pretty = "[\n  {\n    \"a\": \"x,\n    \"b\": {\n    }\n  },\n  {\n    \"a\": 2\n  }\n]\n";
        assert_eq!(texts(pretty).len(), 2);
    }

    #[test]
    fn an_endless_element_is_passed_over() {
        let text = format!("[{{\"a\":\"{}\"}},{{\"b\":1}}]", "x".repeat(ROW_BYTES_MAX));
        assert_eq!(texts(&text), ["<too long>", "{\"b\":1}"]);
    }
}
