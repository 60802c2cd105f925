//! What a bot's client order ids tell: which strategy sent an order, and what for. Patterns are configured, so they are
//! applied when an order is read, and what they say is never written into its origin.
//!
//! Invariants, each with a test of the same name:
//! 1. `what_a_scheme_composes_it_reads_back`.
//! 2. `the_exchanges_own_ids_are_nobodys_label`: its origin is looked at before any scheme is tried.

use std::fmt;
use std::str::FromStr;

use ledger_core::{ClientOrderId, EngineLabel, IntentRole, Order, Origin};
use thiserror::Error;

/// The longest client order id that Binance accepts: it must match `^[\.A-Z\:/a-z0-9_-]{1,36}$`.
const LENGTH_MAX: usize = 36;

/// How a bot words its client order ids, for example `fb:{engine}:{role}:{*}`.
///
/// `{engine}` stands for the engine's label, `{role}` for what the order is for (`e`, `d`, `x`, `t`, `s`, or `entry`,
/// `dca`, `exit`, `take_profit`, `stop_loss`), `{*}` for anything. Everything else stands for itself. A placeholder
/// takes as few characters as fit, and at least one.
///
/// ```
/// use ledger_core::{ClientOrderId, EngineLabel, IntentRole};
/// use reconciler::ClientIdScheme;
///
/// let scheme = ClientIdScheme::default();
/// let id = scheme.compose(&EngineLabel::new("swing")?, IntentRole::Entry, "k3f9").ok_or("does not fit")?;
/// assert_eq!(id.as_str(), "fb:swing:e:k3f9");
/// let read = scheme.read(&id).ok_or("not ours")?;
/// assert_eq!(read.engine, Some(EngineLabel::new("swing")?));
/// assert_eq!(read.role, Some(IntentRole::Entry));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdScheme {
    pattern: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Engine,
    Role,
    Anything,
}

/// Why a text is no scheme.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemeError {
    /// A brace that does not belong to a placeholder.
    #[error("`{pattern}` has a placeholder that is none of {{engine}}, {{role}} and {{*}}")]
    Placeholder {
        /// The text.
        pattern: String,
    },
    /// Nothing separates two placeholders.
    #[error("`{pattern}` has two placeholders with nothing between them, so nothing tells where the first one ends")]
    Adjacent {
        /// The text.
        pattern: String,
    },
    /// Every id would match.
    #[error("`{pattern}` has no fixed text, so every client order id would match; put a prefix of the bot's in front")]
    MatchesEverything {
        /// The text.
        pattern: String,
    },
    /// The same placeholder twice.
    #[error("`{pattern}` names {{engine}} or {{role}} twice")]
    Twice {
        /// The text.
        pattern: String,
    },
}

/// What a client order id of a known scheme says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientIdLabel {
    /// The strategy.
    pub engine: Option<EngineLabel>,
    /// What the order is for.
    pub role: Option<IntentRole>,
}

impl ClientIdScheme {
    /// The scheme of [`Recorder::client_order_id`](crate::Recorder::client_order_id).
    pub const RECORDER: &str = "fb:{engine}:{role}:{*}";

    /// The scheme as it was written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// What an id says, if it is one of this scheme.
    pub fn read(&self, id: &ClientOrderId) -> Option<ClientIdLabel> {
        let mut label = ClientIdLabel::default();
        read(&self.parts, id.as_str(), &mut label).then_some(label)
    }

    /// The id of this scheme for an order of `engine`; `unique` tells it from the engine's other orders. `None` when
    /// the venue would refuse it (too long, characters other than letters, digits and `.:/_-`), or when it would be
    /// read back as something else.
    pub fn compose(&self, engine: &EngineLabel, role: IntentRole, unique: &str) -> Option<ClientOrderId> {
        let mut text = String::new();
        for part in &self.parts {
            text.push_str(match part {
                Part::Literal(literal) => literal,
                Part::Engine => engine.as_str(),
                Part::Role => role_code(role),
                Part::Anything => unique,
            });
        }
        let is_accepted = (1..=LENGTH_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:/_-".contains(&byte));
        let id = ClientOrderId::new(text).ok().filter(|_| is_accepted)?;
        let read = self.read(&id)?;
        let is_read_back =
            read.engine.as_ref().is_none_or(|read| read == engine) && read.role.is_none_or(|read| read == role);
        is_read_back.then_some(id)
    }
}

impl Default for ClientIdScheme {
    fn default() -> Self {
        let literal = |text: &str| Part::Literal(text.to_owned());
        Self {
            pattern: Self::RECORDER.to_owned(),
            parts: vec![literal("fb:"), Part::Engine, literal(":"), Part::Role, literal(":"), Part::Anything],
        }
    }
}

impl FromStr for ClientIdScheme {
    type Err = SchemeError;

    fn from_str(pattern: &str) -> Result<Self, SchemeError> {
        let owned = || pattern.to_owned();
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = pattern;
        while !rest.is_empty() {
            let part = if let Some(after) = rest.strip_prefix("{engine}") {
                rest = after;
                Part::Engine
            } else if let Some(after) = rest.strip_prefix("{role}") {
                rest = after;
                Part::Role
            } else if let Some(after) = rest.strip_prefix("{*}") {
                rest = after;
                Part::Anything
            } else {
                let end = rest.find('{').unwrap_or(rest.len());
                let (literal, after) = rest.split_at(end);
                if literal.is_empty() || literal.contains('}') {
                    return Err(SchemeError::Placeholder { pattern: owned() });
                }
                rest = after;
                Part::Literal(literal.to_owned())
            };
            let is_literal = matches!(part, Part::Literal(_));
            if !is_literal && parts.last().is_some_and(|last| !matches!(last, Part::Literal(_))) {
                return Err(SchemeError::Adjacent { pattern: owned() });
            }
            if matches!(part, Part::Engine | Part::Role) && parts.contains(&part) {
                return Err(SchemeError::Twice { pattern: owned() });
            }
            parts.push(part);
        }
        if !parts.iter().any(|part| matches!(part, Part::Literal(_))) {
            return Err(SchemeError::MatchesEverything { pattern: owned() });
        }
        Ok(Self { pattern: owned(), parts })
    }
}

impl fmt::Display for ClientIdScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pattern)
    }
}

/// Whether `text` is made of `parts`; notes what they say.
fn read(parts: &[Part], text: &str, label: &mut ClientIdLabel) -> bool {
    let Some((part, others)) = parts.split_first() else { return text.is_empty() };
    if let Part::Literal(literal) = part {
        return text.strip_prefix(literal.as_str()).is_some_and(|rest| read(others, rest, label));
    }
    let ends = text.char_indices().map(|(at, character)| at + character.len_utf8());
    for end in ends {
        let (taken, rest) = text.split_at(end);
        if !read(others, rest, label) {
            continue;
        }
        match part {
            Part::Engine => label.engine = EngineLabel::new(taken).ok(),
            Part::Role => match role_of(taken) {
                Some(role) => label.role = Some(role),
                None => continue,
            },
            Part::Literal(_) | Part::Anything => {}
        }
        return true;
    }
    false
}

fn role_code(role: IntentRole) -> &'static str {
    match role {
        IntentRole::Entry => "e",
        IntentRole::Dca => "d",
        IntentRole::Exit => "x",
        IntentRole::TakeProfit => "t",
        IntentRole::StopLoss => "s",
    }
}

fn role_of(code: &str) -> Option<IntentRole> {
    let code = code.to_ascii_lowercase();
    IntentRole::ALL.iter().copied().find(|role| role_code(*role) == code || role.as_str() == code)
}

/// What an order's client order id says by the bot's schemes. An order that the exchange or a person sent is nobody's
/// label, whatever a scheme would make of its id: its [`origin`](Order::origin) says so.
pub(crate) fn bot_label(order: &Order, schemes: &[ClientIdScheme]) -> Option<ClientIdLabel> {
    if is_somebody_elses(order) {
        return None;
    }
    let id = order.client_order_id.as_ref()?;
    schemes.iter().find_map(|scheme| scheme.read(id))
}

/// Whether the exchange sent an order, or a person with the exchange's own apps: no bot did.
pub(crate) fn is_somebody_elses(order: &Order) -> bool {
    order.origin.is_some_and(|origin| origin != Origin::Program)
}

#[cfg(test)]
mod tests {
    use ledger_core::testing::order;
    use ledger_core::{OrderStatus, Side};

    use super::*;

    fn id(text: &str) -> ClientOrderId {
        ClientOrderId::new(text).unwrap()
    }

    #[test]
    fn what_a_scheme_composes_it_reads_back() {
        let engine = EngineLabel::new("atr_swing").unwrap();
        for pattern in [ClientIdScheme::RECORDER, "{engine}-{role}-{*}", "x-{*}_{role}_{engine}"] {
            let scheme: ClientIdScheme = pattern.parse().unwrap();
            assert_eq!(scheme.pattern(), pattern);
            for role in IntentRole::ALL {
                let composed = scheme.compose(&engine, *role, "17").unwrap();
                let read = scheme.read(&composed).unwrap();
                assert_eq!((read.engine, read.role), (Some(engine.clone()), Some(*role)), "{composed}");
            }
        }
        assert_eq!(ClientIdScheme::RECORDER.parse(), Ok(ClientIdScheme::default()));
        // What the venue refuses, and what would be read as another engine.
        let scheme = ClientIdScheme::default();
        assert_eq!(scheme.compose(&EngineLabel::new("추세").unwrap(), IntentRole::Entry, "1"), None);
        assert_eq!(scheme.compose(&engine, IntentRole::Entry, &"9".repeat(30)), None);
        assert_eq!(scheme.compose(&EngineLabel::new("a:e").unwrap(), IntentRole::Exit, "1"), None);
        assert_eq!(scheme.compose(&engine, IntentRole::Entry, ""), None);
    }

    #[test]
    fn ids_of_no_scheme_are_not_read() {
        let scheme = ClientIdScheme::default();
        for other in ["fb:swing:q:1", "fb:swing:e:", "fb::e:1", "xfb:swing:e:1", "web_1", "fb:swing"] {
            assert_eq!(scheme.read(&id(other)), None, "{other}");
        }
        let spelled_out: ClientIdScheme = "{role}/{engine}".parse().unwrap();
        let read = spelled_out.read(&id("TAKE_PROFIT/grid/2")).unwrap();
        assert_eq!((read.role, read.engine.unwrap().as_str()), (Some(IntentRole::TakeProfit), "grid/2"));
    }

    #[test]
    fn patterns_that_tell_nothing_are_refused() {
        let error = |pattern: &str| ClientIdScheme::from_str(pattern).unwrap_err();
        assert!(matches!(error("{engine}"), SchemeError::MatchesEverything { .. }));
        assert!(matches!(error(""), SchemeError::MatchesEverything { .. }));
        assert!(matches!(error("b{engine}{role}"), SchemeError::Adjacent { .. }));
        assert!(matches!(error("b-{engine}-{engine}"), SchemeError::Twice { .. }));
        for pattern in ["b-{motor}", "b-{", "b-}"] {
            assert!(matches!(error(pattern), SchemeError::Placeholder { .. }), "{pattern}");
        }
    }

    #[test]
    fn the_exchanges_own_ids_are_nobodys_label() {
        let greedy: ClientIdScheme = "{engine}-{*}".parse().unwrap();
        let read = |text: &str, origin: Option<Origin>| {
            let mut order = order("BTCUSDT", "1", Side::Buy, OrderStatus::New).with_client_order_id(id(text));
            order.origin = origin;
            bot_label(&order, std::slice::from_ref(&greedy)).and_then(|label| label.engine)
        };
        for origin in Origin::ALL {
            let label = read("grid-7", Some(*origin));
            assert_eq!(label.is_some(), *origin == Origin::Program, "{origin}");
        }
        assert_eq!(read("grid-7", None), Some(EngineLabel::new("grid").unwrap()));
        assert_eq!(read("plain", Some(Origin::Program)), None);
    }
}
