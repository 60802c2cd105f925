//! What the URL of a stream asks for.

use percent_encoding::percent_decode_str;

use crate::simulator::feed::{Category, Topic};

/// What somebody listens to: a topic of the market, or the events of whoever made a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    /// As it was asked for: a listen key, which need not be valid, or the name of a topic.
    pub(super) key: String,
    /// The topic that it is, if it is one that can be heard at this address.
    pub(super) topic: Option<Topic>,
    /// The types that are wanted; none for all.
    kinds: Vec<String>,
    /// What the dice call it: a topic, or a key as soon as it is known whose it is.
    pub(super) name: Option<String>,
}

impl Subscription {
    /// Everything for a name.
    pub(super) fn to(key: &str, category: Category) -> Self {
        let topic = Topic::parse(key, category);
        let name = topic.as_ref().map(|topic| format!("market {}", topic.name));
        Self { key: key.to_owned(), topic, kinds: Vec::new(), name }
    }

    /// The end of the key is told to everybody.
    pub(super) fn wants(&self, kind: &str) -> bool {
        self.kinds.is_empty() || kind == "listenKeyExpired" || self.kinds.iter().any(|wanted| wanted == kind)
    }
}

/// What a URL asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) subscriptions: Vec<Subscription>,
    /// Whether events say which stream they are from.
    pub(super) is_wrapped: bool,
    /// Which streams can be heard at this address.
    pub(super) category: Category,
}

impl Target {
    /// `None` when there is no stream at this path.
    pub(super) fn read(path: &str, query: &str) -> Option<Self> {
        let path = percent_decode_str(path.trim_end_matches('/')).decode_utf8_lossy();
        let categories =
            [("/private", Category::Private), ("/market", Category::Market), ("/public", Category::Public)];
        let found = categories.into_iter().find_map(|(prefix, category)| Some((category, path.strip_prefix(prefix)?)));
        let (category, rest) = found.unwrap_or((Category::Retired, path.as_ref()));
        let (is_wrapped, in_path) = match rest.strip_prefix("/ws") {
            Some("") => (false, None),
            Some(rest) => (false, Some(rest.strip_prefix('/')?)),
            None if rest == "/stream" => (true, None),
            None => return None,
        };
        let to = |name: &str| Subscription::to(name, category);
        let mut subscriptions: Vec<Subscription> =
            in_path.into_iter().flat_map(|names| names.split('/')).map(to).collect();
        let mut kinds = Vec::new();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = percent_decode_str(value).decode_utf8_lossy();
            match name {
                "listenKey" => subscriptions.push(to(&value)),
                "streams" => subscriptions.extend(value.split('/').map(to)),
                "events" => kinds.extend(value.split('/').map(str::to_owned)),
                _ => {}
            }
        }
        for subscription in &mut subscriptions {
            subscription.kinds.clone_from(&kinds);
        }
        Some(Self { subscriptions, is_wrapped, category })
    }
}
