//! What a bot's client order ids tell: which strategy sent an order, and what for. Patterns are configured, so they are
//! applied when an order is read, and what they say is never written into its origin.
//!
//! Invariants, each with a test of the same name:
//! 1. `what_a_scheme_composes_it_reads_back`.
//! 2. `the_exchanges_own_ids_are_nobodys_label`: its origin is looked at before any scheme is tried.
//! 3. `a_form_without_separators_is_read_by_its_widths`, and its short names by the table.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ledger_core::{ClientOrderId, EngineLabel, IntentRole, Order, Origin};
use thiserror::Error;

/// The longest client order id that Binance accepts: it must match `^[\.A-Z\:/a-z0-9_-]{1,36}$`.
const LENGTH_MAX: usize = 36;

/// How a bot words its client order ids, for example `fb:{engine}:{role}:{*}`.
///
/// `{engine}` stands for the engine's label, `{role}` for what the order is for (`e`, `d`, `x`, `t`, `s`, or `entry`,
/// `dca`, `exit`, `take_profit`, `stop_loss`), `{*}` for anything. Everything else stands for itself. A placeholder
/// takes as few characters as fit, and at least one. For venues that allow letters and digits only there are widths instead
/// of separators: `b{engine:3}{role:1}{*}`; which strategy three letters stand for is said by
/// [`with_engines`](Self::with_engines).
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
    /// What stands in the ids for strategies, by what stands there.
    engines: Arc<BTreeMap<String, EngineLabel>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// A placeholder, and how many characters it has where that is fixed.
    Hole(Hole, Option<usize>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hole {
    Engine,
    Role,
    Anything,
}

impl Hole {
    const ALL: [(&str, Self); 3] = [("engine", Self::Engine), ("role", Self::Role), ("*", Self::Anything)];
}

/// What an id has to tell one order from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// As many characters as the venue allows.
    Any,
    /// So many characters.
    Exactly(usize),
}

/// How what stands for a strategy begins in fillbook's own ids, where its name does not fit: a digest, which tells nothing
/// by itself. No name of a strategy is read from it.
const DIGEST_MARK: char = '.';

/// Why a text is no scheme.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemeError {
    /// A brace that does not belong to a placeholder.
    #[error(
        "`{pattern}` has a placeholder that is none of {{engine}}, {{role}}, {{*}} and the same with a width, as in {{engine:3}}"
    )]
    Placeholder {
        /// The text.
        pattern: String,
    },
    /// Nothing separates two placeholders.
    #[error(
        "`{pattern}` has two placeholders with nothing between them, so nothing tells where the first one ends; a width does, as in {{engine:3}}"
    )]
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

    /// fillbook's own schemes. Whoever adds a bot's puts these behind them.
    pub fn own() -> [Self; 2] {
        [Self::default(), Self::nameless()]
    }

    /// fillbook's own id for an order of which nobody says which strategy sends it.
    pub(crate) fn nameless() -> Self {
        let literal = |text: &str| Part::Literal(text.to_owned());
        let parts = vec![literal("fb."), Part::Hole(Hole::Role, None), literal("."), Part::Hole(Hole::Anything, None)];
        Self { pattern: "fb.{role}.{*}".to_owned(), parts, engines: Arc::default() }
    }

    /// The same scheme with the short names that stand in its ids for strategies. Where a placeholder has a width, what is
    /// not in this table is no strategy; elsewhere it stands for itself.
    #[must_use]
    pub fn with_engines(mut self, engines: BTreeMap<String, EngineLabel>) -> Self {
        self.engines = Arc::new(engines);
        self
    }

    /// What an id says, if it is one of this scheme.
    pub fn read(&self, id: &ClientOrderId) -> Option<ClientIdLabel> {
        let mut label = ClientIdLabel::default();
        self.fits(&self.parts, id.as_str(), &mut label).then_some(label)
    }

    /// How much room an id has to tell one order from another, where it also says which strategy sent it and what for.
    pub(crate) fn room(&self) -> Option<Room> {
        let has = |wanted| self.parts.iter().any(|part| matches!(part, Part::Hole(hole, _) if *hole == wanted));
        let room = self.parts.iter().find_map(|part| match part {
            Part::Hole(Hole::Anything, width) => Some(width.map_or(Room::Any, Room::Exactly)),
            _ => None,
        });
        room.filter(|_| has(Hole::Engine) && has(Hole::Role))
    }

    /// The id of this scheme for an order of `engine`; `unique` tells it from the engine's other orders. `None` when
    /// the venue would refuse it (too long, characters other than letters, digits and `.:/_-`), or when it would be
    /// read back as something else.
    pub fn compose(&self, engine: &EngineLabel, role: IntentRole, unique: &str) -> Option<ClientOrderId> {
        let short = self.engines.iter().find(|(_, label)| *label == engine).map(|(short, _)| short.as_str());
        let id = self.compose_as(short.unwrap_or(engine.as_str()), role, unique)?;
        let read = self.read(&id)?;
        read.engine.as_ref().is_none_or(|read| read == engine).then_some(id)
    }

    /// As [`compose`](Self::compose), with what stands for the strategy.
    pub(crate) fn compose_as(&self, engine: &str, role: IntentRole, unique: &str) -> Option<ClientOrderId> {
        let mut text = String::new();
        for part in &self.parts {
            let (piece, width) = match part {
                Part::Literal(literal) => (literal.as_str(), None),
                Part::Hole(Hole::Engine, width) => (engine, *width),
                Part::Hole(Hole::Role, width) => (role_code(role), *width),
                Part::Hole(Hole::Anything, width) => (unique, *width),
            };
            if width.is_some_and(|width| piece.len() != width) {
                return None;
            }
            text.push_str(piece);
        }
        let is_accepted = (1..=LENGTH_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:/_-".contains(&byte));
        let id = ClientOrderId::new(text).ok().filter(|_| is_accepted)?;
        let read = self.read(&id)?;
        read.role.is_none_or(|read| read == role).then_some(id)
    }

    /// Whether `text` is made of `parts`; notes what they say.
    fn fits(&self, parts: &[Part], text: &str, label: &mut ClientIdLabel) -> bool {
        let Some((part, others)) = parts.split_first() else { return text.is_empty() };
        let (hole, width) = match part {
            Part::Literal(literal) => {
                return text.strip_prefix(literal.as_str()).is_some_and(|rest| self.fits(others, rest, label));
            }
            Part::Hole(hole, width) => (*hole, *width),
        };
        let ends = text.char_indices().map(|(at, character)| at + character.len_utf8());
        for end in ends.filter(|end| width.is_none_or(|width| width == *end)) {
            let (taken, rest) = text.split_at(end);
            if !self.fits(others, rest, label) {
                continue;
            }
            match hole {
                Hole::Engine => label.engine = self.engine(taken, width.is_some()),
                Hole::Role => match role_of(taken) {
                    Some(role) => label.role = Some(role),
                    None => continue,
                },
                Hole::Anything => {}
            }
            return true;
        }
        false
    }

    /// The strategy that `text` stands for.
    fn engine(&self, text: &str, has_width: bool) -> Option<EngineLabel> {
        if let Some(label) = self.engines.get(text) {
            return Some(label.clone());
        }
        let tells_itself = (!has_width || self.engines.is_empty()) && !text.starts_with(DIGEST_MARK);
        EngineLabel::new(text).ok().filter(|_| tells_itself)
    }
}

impl Default for ClientIdScheme {
    fn default() -> Self {
        let literal = |text: &str| Part::Literal(text.to_owned());
        let hole = |hole| Part::Hole(hole, None);
        let parts = vec![
            literal("fb:"),
            hole(Hole::Engine),
            literal(":"),
            hole(Hole::Role),
            literal(":"),
            hole(Hole::Anything),
        ];
        Self { pattern: Self::RECORDER.to_owned(), parts, engines: Arc::default() }
    }
}

/// A placeholder at the beginning of `text`, and what comes behind it.
fn hole(text: &str) -> Option<(Part, &str)> {
    let (inside, rest) = text.strip_prefix('{')?.split_once('}')?;
    let (name, width) = match inside.split_once(':') {
        Some((name, width)) => (name, Some(width.parse().ok().filter(|width| (1..=LENGTH_MAX).contains(width))?)),
        None => (inside, None),
    };
    let found = Hole::ALL.into_iter().find(|(known, _)| *known == name)?;
    Some((Part::Hole(found.1, width), rest))
}

impl FromStr for ClientIdScheme {
    type Err = SchemeError;

    fn from_str(pattern: &str) -> Result<Self, SchemeError> {
        let owned = || pattern.to_owned();
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = pattern;
        while !rest.is_empty() {
            let part = if let Some((part, after)) = hole(rest) {
                rest = after;
                part
            } else {
                let end = rest.find('{').unwrap_or(rest.len());
                let (literal, after) = rest.split_at(end);
                if literal.is_empty() || literal.contains('}') {
                    return Err(SchemeError::Placeholder { pattern: owned() });
                }
                rest = after;
                Part::Literal(literal.to_owned())
            };
            let is_hole = matches!(part, Part::Hole(..));
            if is_hole && parts.last().is_some_and(|last| matches!(last, Part::Hole(_, None))) {
                return Err(SchemeError::Adjacent { pattern: owned() });
            }
            let same =
                |other: &Part| matches!((other, &part), (Part::Hole(one, _), Part::Hole(other, _)) if one == other);
            if matches!(part, Part::Hole(Hole::Engine | Hole::Role, _)) && parts.iter().any(same) {
                return Err(SchemeError::Twice { pattern: owned() });
            }
            parts.push(part);
        }
        if !parts.iter().any(|part| matches!(part, Part::Literal(_))) {
            return Err(SchemeError::MatchesEverything { pattern: owned() });
        }
        Ok(Self { pattern: owned(), parts, engines: Arc::default() })
    }
}

impl fmt::Display for ClientIdScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pattern)
    }
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
    fn an_id_without_a_strategy_tells_the_role_alone() {
        let read = ClientIdScheme::nameless().read(&id("fb.s.k3f9x1")).unwrap();
        assert_eq!((read.engine, read.role), (None, Some(IntentRole::StopLoss)));
        assert_eq!(ClientIdScheme::nameless().pattern().parse(), Ok(ClientIdScheme::nameless()));
    }

    #[test]
    fn patterns_that_tell_nothing_are_refused() {
        let error = |pattern: &str| ClientIdScheme::from_str(pattern).unwrap_err();
        assert!(matches!(error("{engine}"), SchemeError::MatchesEverything { .. }));
        assert!(matches!(error(""), SchemeError::MatchesEverything { .. }));
        assert!(matches!(error("b{engine}{role}"), SchemeError::Adjacent { .. }));
        assert!(matches!(error("b-{engine}-{engine}"), SchemeError::Twice { .. }));
        assert!(matches!(error("b{engine:2}{engine:2}"), SchemeError::Twice { .. }));
        for pattern in ["b-{motor}", "b-{", "b-}", "b{engine:}", "b{engine:0}", "b{role:37}"] {
            assert!(matches!(error(pattern), SchemeError::Placeholder { .. }), "{pattern}");
        }
    }

    #[test]
    fn a_form_without_separators_is_read_by_its_widths() {
        let trend = EngineLabel::new("추세").unwrap();
        let scheme: ClientIdScheme = "b{engine:3}{role:1}{*}".parse().unwrap();
        let scheme = scheme.with_engines(BTreeMap::from([("trd".to_owned(), trend.clone())]));
        let id = scheme.compose(&trend, IntentRole::StopLoss, "k3f9x1").unwrap();
        assert_eq!(id.as_str(), "btrdsk3f9x1");
        let read = scheme.read(&id).unwrap();
        assert_eq!((read.engine, read.role), (Some(trend), Some(IntentRole::StopLoss)));
        // Letters that stand for no strategy tell the role alone; a name of another length cannot be written.
        let read = scheme.read(&super::tests::id("bgrde17")).unwrap();
        assert_eq!((read.engine, read.role), (None, Some(IntentRole::Entry)));
        assert_eq!(scheme.compose(&EngineLabel::new("grid").unwrap(), IntentRole::Entry, "1"), None);
        assert_eq!(scheme.read(&super::tests::id("btrdq17")), None);
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
