//! What the URL of a stream asks for.

use percent_encoding::percent_decode_str;

/// Events that somebody listens to: those of whoever made the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    /// The listen key, which need not be valid.
    pub(super) key: String,
    /// The types that are wanted; none for all.
    kinds: Vec<String>,
    /// What the dice call it, as soon as it is known whose key it is.
    pub(super) name: Option<String>,
}

impl Subscription {
    /// Everything for a key.
    pub(super) fn to(key: &str) -> Self {
        Self { key: key.to_owned(), kinds: Vec::new(), name: None }
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
    /// Whether it is one of the URLs that were retired: they connect, and then nothing comes.
    pub(super) is_silent: bool,
}

impl Target {
    /// `None` when there is no stream at this path.
    pub(super) fn read(path: &str, query: &str) -> Option<Self> {
        let path = path.trim_end_matches('/');
        let (is_silent, rest) = match path.strip_prefix("/private") {
            Some(rest) => (false, rest),
            None => (true, path),
        };
        let (is_wrapped, in_path) = match rest.strip_prefix("/ws") {
            Some("") => (false, None),
            Some(rest) => (false, Some(rest.strip_prefix('/')?)),
            None if rest == "/stream" => (true, None),
            None => return None,
        };
        let mut subscriptions: Vec<Subscription> = in_path.map(Subscription::to).into_iter().collect();
        let mut kinds = Vec::new();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = percent_decode_str(value).decode_utf8_lossy();
            match name {
                "listenKey" => subscriptions.push(Subscription::to(&value)),
                "streams" => subscriptions.extend(value.split('/').map(Subscription::to)),
                "events" => kinds.extend(value.split('/').map(str::to_owned)),
                _ => {}
            }
        }
        for subscription in &mut subscriptions {
            subscription.kinds.clone_from(&kinds);
        }
        Some(Self { subscriptions, is_wrapped, is_silent })
    }
}
