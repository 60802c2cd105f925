//! From a request to a reply: limits, the genuine answer, and what faults make of it.

use serde_json::{Value, json};

use super::faults::{Fate, Fault, Rows};
use super::refusal::Refusal;
use super::request::{Incoming, Params, check_signed};
use super::routes::{Access, Ask, Lag, Route, find};
use super::{Simulator, State};

/// What the simulator answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// How an answer arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Arrival {
    /// As it was sent.
    Whole(Outgoing),
    /// Its beginning, and then the connection breaks.
    CutOff(Outgoing),
    /// Not at all.
    Lost,
}

/// A reply, and how long it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) delay_ms: u64,
    pub(super) arrival: Arrival,
}

/// Snapshots that may lie behind.
const SNAPSHOTS: [&str; 8] = [
    "/fapi/v2/positionRisk",
    "/fapi/v3/positionRisk",
    "/fapi/v2/balance",
    "/fapi/v3/balance",
    "/fapi/v2/account",
    "/fapi/v3/account",
    "/fapi/v1/openOrders",
    "/fapi/v1/openAlgoOrders",
];
/// Lists whose rows may come twice or in another order.
const LISTS: [&str; 7] = [
    "/fapi/v1/openOrders",
    "/fapi/v1/openAlgoOrders",
    "/fapi/v1/allOrders",
    "/fapi/v1/allAlgoOrders",
    "/fapi/v1/userTrades",
    "/fapi/v1/income",
    "/fapi/v1/forceOrders",
];
/// How many snapshots are remembered.
const SNAPSHOTS_MAX: usize = 256;

impl Simulator {
    /// Answers a request.
    pub(super) fn handle(&self, incoming: &Incoming<'_>) -> Reply {
        let params = Params::read(incoming);
        let mut guard = self.up_to_date();
        let state = &mut *guard;
        let fate = state.fate(incoming);
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if let Some(fault) = fate.fault.filter(|fault| !fault.carries_out()) {
            return Reply { delay_ms: fate.delay_ms, arrival: instead(fault, headers) };
        }
        let answered = self.answer(state, incoming, &params, fate, &mut headers);
        drop(guard);
        let whole = match answered {
            Ok(body) => Outgoing { status: 200, headers, body },
            Err(Refusal { status, code, message }) => {
                Outgoing { status, headers, body: json!({ "code": code, "msg": message }).to_string() }
            }
        };
        let arrival = match fate.fault {
            None => Arrival::Whole(whole),
            Some(Fault::CutOff) => Arrival::CutOff(whole),
            Some(Fault::Truncated) => Arrival::Whole(Outgoing { body: half(&whole.body), ..whole }),
            Some(fault) => instead(fault, whole.headers),
        };
        Reply { delay_ms: fate.delay_ms, arrival }
    }

    /// The genuine answer, as text, with the headers that go with it.
    fn answer(
        &self,
        state: &mut State,
        incoming: &Incoming<'_>,
        params: &Params,
        fate: Fate,
        headers: &mut Vec<(&'static str, String)>,
    ) -> Result<String, Refusal> {
        let now_ms = state.engine.now_ms;
        let route = find(incoming.method, incoming.path);
        let weight = route.map_or(1, |route| route.weight(params));
        let (used, allowed) = state.limits.charge(now_ms, weight, self.config.weight_1m_max);
        if self.config.weight_1m_max.is_some() {
            headers.push(("x-mbx-used-weight-1m", used.to_string()));
        }
        if let Err(wait) = allowed {
            headers.push(("retry-after", wait.seconds.to_string()));
            return Err(wait.refusal);
        }
        let route = route.ok_or_else(|| Refusal::no_such_path(incoming.method, incoming.path))?;
        if route.asks_for_funding()
            && self.config.weight_1m_max.is_some()
            && let Err(wait) = state.limits.count_funding(now_ms)
        {
            headers.push(("retry-after", wait.seconds.to_string()));
            return Err(wait.refusal);
        }
        Params::check_unique(incoming)?;
        let account = match route.access {
            Access::Open => None,
            Access::Keyed => {
                let key = incoming.api_key.filter(|key| !key.is_empty()).ok_or_else(Refusal::key_format)?;
                Some(self.account_of_key(key).ok_or_else(Refusal::key)?.0)
            }
            Access::Signed => {
                let key = incoming.api_key.filter(|key| !key.is_empty()).ok_or_else(Refusal::key_format)?;
                let (account, config) = self.account_of_key(key).ok_or_else(Refusal::key)?;
                check_signed(incoming, params, &config.api_secret, now_ms)?;
                Some(account)
            }
        };
        if route.orders > 0 {
            let (counts, allowed) = state.limits.count_orders(now_ms, account.unwrap_or(0), route.orders, &self.config);
            headers.push(("x-mbx-order-count-10s", counts.0.to_string()));
            headers.push(("x-mbx-order-count-1m", counts.1.to_string()));
            allowed?;
        }
        let lag = Lag {
            settle_ms: self.config.settle_lag_ms,
            conditional_ms: self.config.conditional_lag_ms,
            conditional_list_ms: self.config.conditional_list_lag_ms,
        };
        let mut ask = Ask {
            engine: &mut state.engine,
            config: &self.config,
            faults: state.faults,
            params,
            account: account.unwrap_or(usize::MAX),
            lag,
            streams: &mut state.streams,
        };
        let mut value = (route.action)(&mut ask)?;
        Ok(disturbed(state, route, incoming, params, fate.rows, &mut value))
    }
}

/// The answer's text, as faults leave it.
fn disturbed(
    state: &mut State,
    route: &Route,
    incoming: &Incoming<'_>,
    params: &Params,
    rows: Rows,
    value: &mut Value,
) -> String {
    let is_read = route.method == "GET";
    if is_read && LISTS.contains(&route.path) {
        rows.disturb(value);
    }
    let body = value.to_string();
    if !is_read || !SNAPSHOTS.contains(&route.path) || state.faults.stale == 0 {
        return body;
    }
    let question = format!("{} {} {}", incoming.api_key.unwrap_or_default(), route.path, params.question());
    if state.snapshots.len() >= SNAPSHOTS_MAX {
        state.snapshots.clear();
    }
    let before = state.snapshots.insert(question, body.clone());
    before.filter(|_| rows.stale).unwrap_or(body)
}

impl State {
    fn fate(&mut self, incoming: &Incoming<'_>) -> Fate {
        // What is not spoken counts as one endpoint: nobody's inventions fill the memory.
        let endpoint = find(incoming.method, incoming.path)
            .map_or_else(|| "unknown".to_owned(), |route| format!("{} {}", route.method, route.path));
        let mut fate = self.fate_of(&endpoint);
        let is_cancelling = incoming.method == "DELETE";
        if is_cancelling && fate.fault == Some(Fault::Overloaded) {
            fate.fault = None;
        }
        fate
    }

    /// What becomes of the next request to an endpoint.
    pub(super) fn fate_of(&mut self, endpoint: &str) -> Fate {
        let count = self.asked.entry(endpoint.to_owned()).or_default();
        *count += 1;
        self.faults.draw(endpoint, *count)
    }
}

/// What arrives instead of the answer.
fn instead(fault: Fault, mut headers: Vec<(&'static str, String)>) -> Arrival {
    let Some((status, wait_s, is_html, body)) = fault.answer() else {
        return Arrival::Lost;
    };
    if is_html {
        headers.retain(|(name, _)| *name != "content-type");
        headers.push(("content-type", "text/html".to_owned()));
    }
    if let Some(seconds) = wait_s {
        headers.push(("retry-after", seconds.to_string()));
    }
    Arrival::Whole(Outgoing { status, headers, body })
}

/// The first half of a text.
pub(super) fn half(text: &str) -> String {
    text.chars().take(text.chars().count() / 2).collect()
}
