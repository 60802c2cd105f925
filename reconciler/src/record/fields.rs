//! The fields of a line: JSON whose numbers keep the digits they were written with.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ledger_core::{EventTime, IdError, Price, Quantity, Side, TimestampMs};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::refusal::{Refusal, shown};

/// A time given as a number below this is one in seconds: as milliseconds it would be in 1973.
const SECONDS_BELOW: i64 = 100_000_000_000;

/// A line's fields by name.
#[derive(Debug)]
pub(super) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    // Which of two values is meant, nothing tells.
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom("a field stands there twice"));
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl<'a> Fields<'a> {
    /// # Errors
    /// When the line is no JSON object.
    pub(super) fn parse(line: &'a str) -> Result<Self, Refusal> {
        serde_json::from_str(line).map_err(|error| {
            Refusal::line(
                format!("it is no JSON object: {error}"),
                "write one JSON object a line, such as {\"event\": \"gate\", \"symbol\": \"BTCUSDT\"}",
            )
        })
    }

    /// A value as it is written; `null` is absence.
    fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|raw| raw.get()).filter(|text| *text != "null")
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// Refuses a field that the event does not know: more often than not it is one that is misspelt.
    pub(super) fn only(&self, event: &str, known: &[&str]) -> Result<(), Refusal> {
        let unknown =
            self.0.keys().find(|name| !["event", "ref"].contains(&name.as_str()) && !known.contains(&name.as_str()));
        unknown.map_or(Ok(()), |name| {
            let problem = format!("`{event}` has no field {}", shown(name));
            Err(Refusal {
                field: Some(name.chars().take(60).collect()),
                problem,
                advice: format!("its fields are {}", known.join(", ")),
            })
        })
    }

    /// What the answer repeats of the line to tell which one it is for.
    pub(super) fn reference(&self) -> Result<Value, Refusal> {
        let Some(raw) = self.raw("ref") else { return Ok(Value::Null) };
        let value: Option<Value> = serde_json::from_str(raw).ok();
        let same = |value: &Value| match value {
            Value::String(_) => true,
            Value::Number(number) => number.to_string().as_str() == raw,
            _ => false,
        };
        value.filter(same).ok_or_else(|| {
            Refusal::field(
                "ref",
                format!("{} cannot be repeated as it is", shown(raw)),
                "give a string or a whole number",
            )
        })
    }

    /// The text of a string, or a number as it is written.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let text = match raw.as_bytes().first() {
            Some(b'"') => serde_json::from_str::<String>(raw).ok(),
            Some(b'-' | b'0'..=b'9') => Some(raw.to_owned()),
            _ => None,
        };
        let text = text.ok_or_else(|| Refusal::field(name, format!("{} is no text", shown(raw)), "give a string"))?;
        Ok(Some(text).filter(|text| !text.trim().is_empty()))
    }

    pub(super) fn required(&self, name: &str) -> Result<String, Refusal> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// An object or array as it is written.
    pub(super) fn object(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        if raw.starts_with('{') {
            return Ok(Some(raw));
        }
        Err(Refusal::field(name, format!("{} is no object", shown(raw)), "give a JSON object"))
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.raw(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                Err(Refusal::field(name, format!("{} is neither true nor false", shown(other)), "give true or false"))
            }
        }
    }

    /// A count, from 1.
    pub(super) fn count(&self, name: &str) -> Result<Option<u32>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let count = text.parse().ok().filter(|count| *count > 0);
        count
            .map(Some)
            .ok_or_else(|| Refusal::field(name, format!("{} is no count", shown(&text)), "give a whole number from 1"))
    }

    pub(super) fn id<T: FromStr<Err = IdError>>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let read = text.parse().map(Some);
        read.map_err(|error: IdError| {
            Refusal::field(name, error.to_string(), "give it as the bot or the exchange writes it")
        })
    }

    /// One of a list of names, in lower case.
    pub(super) fn name<T: Copy>(&self, name: &str, names: &[(&str, T)]) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let lower = text.trim().to_ascii_lowercase();
        let found = names.iter().find(|(known, _)| *known == lower).map(|(_, value)| *value);
        found.map(Some).ok_or_else(|| {
            let known: Vec<_> = names.iter().map(|(known, _)| *known).collect();
            Refusal::field(
                name,
                format!("{} is none of its values", shown(&text)),
                format!("give one of {}", known.join(", ")),
            )
        })
    }

    pub(super) fn quantity(&self, name: &str) -> Result<Option<Quantity>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let read = text.parse().map(Some);
        read.map_err(|error| {
            Refusal::field(
                name,
                format!("{} is no quantity: {error}", shown(&text)),
                "give a number above 0, best as a string",
            )
        })
    }

    pub(super) fn price(&self, name: &str) -> Result<Option<Price>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let read = text.parse().map(Some);
        read.map_err(|error| {
            Refusal::field(
                name,
                format!("{} is no price: {error}", shown(&text)),
                "give a number above 0, best as a string",
            )
        })
    }

    /// Milliseconds since 1970, or RFC 3339.
    pub(super) fn time(&self, name: &str) -> Result<Option<EventTime>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let refuse = |problem: &str| {
            Refusal::field(
                name,
                format!("{} {problem}", shown(&text)),
                "give whole milliseconds since 1970, UTC, or RFC 3339 with its offset",
            )
        };
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let ms: i64 = text.parse().map_err(|_| refuse("is no time"))?;
            if ms < SECONDS_BELOW {
                return Err(refuse("seems to be in seconds"));
            }
            return TimestampMs::new(ms).map(|at| Some(EventTime::ms(at))).map_err(|_| refuse("is out of range"));
        }
        let instant: jiff::Timestamp = text.parse().map_err(|_| refuse("is no time"))?;
        let at = TimestampMs::new(instant.as_millisecond()).map_err(|_| refuse("is out of range"))?;
        Ok(Some(if text.contains('.') { EventTime::ms(at) } else { EventTime::seconds(at) }))
    }
}

/// A direction: of an order, or of the position that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Order(Side),
    Long,
    Short,
}

impl Way {
    pub(super) const NAMES: &[(&str, Self)] = &[
        ("buy", Self::Order(Side::Buy)),
        ("sell", Self::Order(Side::Sell)),
        ("long", Self::Long),
        ("short", Self::Short),
    ];

    /// The direction of an order that opens such a position, or closes it.
    pub(super) fn order_side(self, closes: bool) -> Side {
        let opens = match self {
            Self::Order(side) => return side,
            Self::Long => Side::Buy,
            Self::Short => Side::Sell,
        };
        if closes { opens.opposite() } else { opens }
    }
}

pub(super) fn missing(name: &str) -> Refusal {
    Refusal::field(name, "it is missing", "`fillbook record --schema` has the fields of every event")
}
