//! Something that is told: which words and which amounts, and how much of it whom.

use ledger_core::{AccountId, TimestampMs, printable};
use serde_json::{Map, Value, json};

/// How long a text may be, without its key: a parcel for the strictest receiver takes it.
const WORDS_MAX: usize = 1_200;

/// What a channel is told of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Amounts {
    /// Neither amounts nor percentages.
    None,
    /// Percentages and prices, which are everybody's; no quantities and no money.
    Percent,
    /// Everything.
    #[default]
    Full,
}

ledger_core::names!(Amounts, "way to tell amounts", { None = "none", Percent = "percent", Full = "full" });

/// What kind of thing is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// A position was opened.
    Opened,
    /// Something was added to one.
    Added,
    /// One was made smaller.
    Reduced,
    /// An order was executed, and nothing tells what that did to a position.
    Executed,
    /// A position was closed.
    Closed,
    /// So much happened that only its number is told.
    Many,
    /// Records were restored or corrected.
    Repaired,
    /// Book and exchange differ.
    Differs,
    /// Something in which they differed is gone.
    Agrees,
    /// The exchange does not answer, or the stream does not stand.
    Trouble,
    /// The exchange does not answer this address for a while.
    Ban,
    /// What the exchange was asked is too old to go by.
    Stale,
    /// The price comes close to a liquidation.
    Margin,
    /// One of these is over.
    Over,
    /// What the day came to.
    Daily,
    /// A word to try a channel.
    Test,
}

ledger_core::names!(EventKind, "kind of message", {
    Opened = "opened", Added = "added", Reduced = "reduced", Executed = "executed", Closed = "closed", Many = "many",
    Repaired = "repaired", Differs = "differs", Agrees = "agrees", Trouble = "trouble", Ban = "ban", Stale = "stale",
    Margin = "margin", Over = "over", Daily = "daily", Test = "test",
});

/// Words or values that are told from `needs` on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told<T> {
    needs: Amounts,
    what: T,
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind of thing.
    pub kind: EventKind,
    /// What names it: the same thing has the same key, and another thing has another one.
    pub key: String,
    /// When it was: by the exchange's clock what happened there, by the local one everything else.
    pub at: TimestampMs,
    /// Whether quiet hours do not hold it back.
    pub is_urgent: bool,
    words: Vec<Told<String>>,
    facts: Vec<Told<(&'static str, Value)>>,
}

impl Event {
    /// An event without a word so far.
    pub fn new(kind: EventKind, key: impl Into<String>, at: TimestampMs) -> Self {
        Self { kind, key: key.into(), at, is_urgent: false, words: Vec::new(), facts: Vec::new() }
    }

    /// The same, which quiet hours do not hold back if `is_urgent`.
    #[must_use]
    pub fn urgent(mut self, is_urgent: bool) -> Self {
        self.is_urgent = is_urgent;
        self
    }

    /// The same with more words, which everybody is told.
    #[must_use]
    pub fn say(self, words: impl Into<String>) -> Self {
        self.say_from(Amounts::None, words)
    }

    /// The same with more words, for whoever is told at least as much as `needs`.
    #[must_use]
    pub fn say_from(mut self, needs: Amounts, words: impl Into<String>) -> Self {
        self.words.push(Told { needs, what: words.into() });
        self
    }

    /// The same with a value for programs, which everybody is told.
    #[must_use]
    pub fn with(self, name: &'static str, value: impl Into<Value>) -> Self {
        self.with_from(Amounts::None, name, value)
    }

    /// The same with a value for programs that are told at least as much as `needs`.
    #[must_use]
    pub fn with_from(mut self, needs: Amounts, name: &'static str, value: impl Into<Value>) -> Self {
        self.facts.push(Told { needs, what: (name, value.into()) });
        self
    }

    /// In words, with its key: a messenger cannot know that it was told the same before.
    pub fn text(&self, account: &AccountId, amounts: Amounts) -> String {
        let words: String =
            self.words.iter().filter(|told| told.needs <= amounts).map(|told| told.what.as_str()).collect();
        let words: String = printable(&words).chars().take(WORDS_MAX).collect();
        format!("{account}: {words} #{}", self.key)
    }

    /// For programs.
    pub fn json(&self, account: &AccountId, amounts: Amounts) -> Value {
        let mut object = Map::new();
        object.insert("id".to_owned(), json!(self.key));
        object.insert("kind".to_owned(), json!(self.kind.as_str()));
        object.insert("account".to_owned(), json!(account.as_str()));
        object.insert("at".to_owned(), json!(self.at.as_ms()));
        object.insert("urgent".to_owned(), json!(self.is_urgent));
        object.insert("text".to_owned(), json!(self.text(account, amounts)));
        for told in self.facts.iter().filter(|told| told.needs <= amounts) {
            object.insert(told.what.0.to_owned(), told.what.1.clone());
        }
        Value::Object(object)
    }
}

/// A word to try a channel.
pub fn test_event(at: TimestampMs) -> Event {
    let event = Event::new(EventKind::Test, format!("test:{}", at.as_ms()), at);
    event.say("this is a test: what fillbook has to tell comes this way. It takes no orders from here.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_more_than_they_may_be() {
        let account: AccountId = "main".parse().unwrap();
        let event = Event::new(EventKind::Closed, "trip:X:closed", ledger_core::testing::at(5))
            .say("closed BTCUSDT long")
            .say_from(Amounts::Full, ", net 12.5 USDT")
            .say_from(Amounts::Percent, ", 1.25 %")
            .say("\u{1b}[31m, stop_loss")
            .with("symbol", "BTCUSDT")
            .with_from(Amounts::Full, "net", "12.5")
            .with_from(Amounts::Percent, "net_percent", "1.25");
        let text = |amounts| event.text(&account, amounts);
        assert_eq!(
            text(Amounts::Full),
            "main: closed BTCUSDT long, net 12.5 USDT, 1.25 %\\u{1b}[31m, stop_loss #trip:X:closed"
        );
        assert_eq!(text(Amounts::Percent), "main: closed BTCUSDT long, 1.25 %\\u{1b}[31m, stop_loss #trip:X:closed");
        assert_eq!(text(Amounts::None), "main: closed BTCUSDT long\\u{1b}[31m, stop_loss #trip:X:closed");
        let none = event.json(&account, Amounts::None).to_string();
        assert!(!none.contains("12.5") && !none.contains("1.25") && none.contains("BTCUSDT"), "{none}");
        assert_eq!(event.json(&account, Amounts::Full)["net"], "12.5");
        assert_eq!(event.json(&account, Amounts::Percent)["net"], Value::Null);
    }
}
