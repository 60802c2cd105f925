//! Cuts a JSON array, or JSON objects in sequence, into their elements without holding more than one of them.
//!
//! Only brackets, strings, commas and colons are understood here; each element is parsed by itself afterwards. A broken
//! element must not swallow the ones behind it, so it ends where JSON cannot go on: at a bracket that cannot stand there,
//! at a line end within a string, and at a line that begins like an element although one is open. A file on a single line
//! can still lose what follows a broken string, and then says that its array is never closed.

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
    open: Brackets,
    before: u8,
    string: StringState,
    line_state: LineState,
    elements: Elements,
    resync: Option<usize>,
    at_end: bool,
}

/// The brackets that are open within an element.
#[derive(Debug, Default)]
struct Brackets {
    kinds: Vec<u8>,
    /// Those beyond the row limit, which are counted only.
    beyond: usize,
}

impl Brackets {
    fn push(&mut self, bracket: u8) {
        if self.kinds.len() < ROW_BYTES_MAX {
            self.kinds.push(bracket);
        } else {
            self.beyond += 1;
        }
    }

    /// Closes the innermost one; whether `bracket` is its counterpart.
    fn pop(&mut self, bracket: u8) -> bool {
        if self.beyond > 0 {
            self.beyond -= 1;
            return true;
        }
        let expected = if bracket == b'}' { b'{' } else { b'[' };
        self.kinds.pop() == Some(expected)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Whether anything but white space stands in front of the position on its line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum LineState {
    #[default]
    Start,
    Within,
}

/// How the elements so far were laid out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Elements {
    #[default]
    NoneYet,
    OneALine,
    OverLines,
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
    /// It begins the next element, and the one in front of it is broken.
    Next,
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
                let step = self.step(*byte);
                if matches!(step, Step::Next) {
                    self.open.clear();
                    is_done = true;
                    break;
                }
                consumed += 1;
                self.advance(*byte);
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

    /// Counts lines and columns.
    fn advance(&mut self, byte: u8) {
        if byte == b'\n' {
            self.line += 1;
            self.column = 0;
            self.line_state = LineState::Start;
            return;
        }
        self.column += 1;
        if !byte.is_ascii_whitespace() {
            self.line_state = LineState::Within;
            self.before = byte;
        }
    }

    fn step(&mut self, byte: u8) -> Step {
        if self.string != StringState::Outside {
            return self.step_in_string(byte);
        }
        if self.length == 0 {
            return self.step_between(byte);
        }
        let is_outermost = self.open.kinds.is_empty();
        match byte {
            b'"' => self.string = StringState::Inside,
            b'{' | b'[' if self.is_misplaced(byte) => return Step::Next,
            b'{' | b'[' => self.open.push(byte),
            b'}' | b']' if !is_outermost => {
                let matches = self.open.pop(byte);
                if !matches {
                    self.open.clear();
                    return Step::Last;
                }
                if self.open.kinds.is_empty() {
                    let is_on_one_line = self.line + 1 == self.element_line;
                    self.elements = match (self.elements, is_on_one_line) {
                        (Elements::NoneYet | Elements::OneALine, true) => Elements::OneALine,
                        _ => Elements::OverLines,
                    };
                    return Step::Last;
                }
            }
            b']' if self.in_array => {
                self.in_array = false;
                return Step::Ended;
            }
            b',' if is_outermost && self.in_array => return Step::Ended,
            b'\n' if is_outermost && !self.in_array => return Step::Ended,
            _ => {}
        }
        Step::Keep
    }

    /// Whether an opening bracket cannot belong to the element that is being collected.
    fn is_misplaced(&self, bracket: u8) -> bool {
        let is_in_object = self.open.kinds.last() == Some(&b'{');
        let follows_well = if is_in_object { self.before == b':' } else { matches!(self.before, b'[' | b',') };
        // What is laid out like an element is one, unless all elements begin at the margin and so may what is in them.
        let is_like_element =
            bracket == b'{' && self.line_state == LineState::Start && self.column == self.element_column;
        let can_tell = is_in_object || self.element_column > 0 || self.elements == Elements::OneALine;
        !follows_well || (is_like_element && can_tell)
    }

    fn step_between(&mut self, byte: u8) -> Step {
        if let Some(column) = self.resync {
            // Pass over the rest of a broken element, up to a line that begins as it did.
            let is_at_start = self.line_state == LineState::Start;
            let is_like_start = is_at_start && matches!(byte, b'{' | b'[') && self.column == column;
            let is_array_end = is_at_start && byte == b']' && self.in_array && self.column < column.max(1);
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
            b'{' | b'[' => self.open.push(byte),
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
            self.open.clear();
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
    fn a_broken_element_costs_only_itself() {
        for (broken, kept) in [
            ("{\"a\":1", 3),
            ("{\"a\":1,", 3),
            ("{\"a\":", 3),
            ("{\"a\":[", 3),
            ("{\"a\":[1},", 3),
            ("{\"a\":{\"b\":1},", 3),
            ("{\"a\":\"x},", 3),
            ("}},", 3),
            ("{{{{,", 3),
        ] {
            let good = |n: u8| format!("{{\"n\":{n},\"fees\":[{{\"c\":1}}]}}");
            for indent in ["", "  "] {
                let text =
                    format!("[\n{indent}{},\n{indent}{broken}\n{indent}{},\n{indent}{}\n]", good(1), good(2), good(3));
                let found = texts(&text);
                let good_found = found.iter().filter(|text| text.starts_with("{\"n\"") && text.ends_with('}')).count();
                assert_eq!(good_found, kept, "{text}: {found:?}");
            }
        }
        // On a single line as well, unless it is a string that is broken.
        assert_eq!(texts("[{\"a\":{\"b\":1,{\"n\":2},{\"n\":3}]"), ["{\"a\":{\"b\":1,", "{\"n\":2}", "{\"n\":3}"]);
    }

    #[test]
    fn every_usual_layout_is_cut_alike() {
        let margin = "[\n{\n\"a\": [\n{\n\"b\": 1\n},\n{\n\"b\": 2\n}\n]\n},\n{\n\"a\": []\n}\n]";
        assert_eq!(texts(margin).len(), 2);
        let indented = "[\n {\n  \"a\": [\n   {\n    \"b\": 1\n   }\n  ]\n },\n {\n  \"a\": []\n }\n]";
        assert_eq!(texts(indented).len(), 2);
    }

    #[test]
    fn an_endless_element_is_passed_over() {
        let text = format!("[{{\"a\":\"{}\"}},{{\"b\":1}}]", "x".repeat(ROW_BYTES_MAX));
        assert_eq!(texts(&text), ["<too long>", "{\"b\":1}"]);
    }
}
