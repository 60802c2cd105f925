//! Whether a request may go out now: not while the exchange asks to keep quiet, and not beyond its budgets.

use std::sync::atomic::Ordering;

use ledger_core::TimestampMs;

use super::verdict::Silence;
use super::{Purpose, RestClient, asks_for_funding, places_orders, weight_of};
use crate::error::{Endpoint, ExchangeError};
use crate::foreign::ForeignText;
use crate::transport::Response;

impl RestClient {
    pub(super) async fn wait_for_budget(&self, endpoint: &Endpoint) -> Result<(), ExchangeError> {
        let weight = weight_of(endpoint);
        let mut is_counted = false;
        loop {
            // No use in waiting for a budget while nothing may be sent at all.
            self.check_open(endpoint, Purpose::Read)?;
            let counted = if asks_for_funding(endpoint) && !is_counted {
                self.funding_budget.admit(self.server_estimate()).map(|()| is_counted = true)
            } else {
                Ok(())
            };
            match counted.and_then(|()| self.gate.admit(weight, self.server_estimate())) {
                Ok(()) => return Ok(()),
                Err(until) => {
                    let wait_ms = (until - tokio::time::Instant::now()).as_millis();
                    let until_ms = self.clock.now().as_ms().saturating_add(i64::try_from(wait_ms).unwrap_or(i64::MAX));
                    self.waits_until_ms.store(until_ms, Ordering::Relaxed);
                    tracing::debug!(%endpoint, wait_ms, "waiting for the request budget");
                    tokio::time::sleep_until(until).await;
                }
            }
        }
    }

    /// Counts an order, unless it is one too many.
    pub(super) fn admit_order(&self, endpoint: &Endpoint) -> Result<(), ExchangeError> {
        if !places_orders(endpoint) {
            return Ok(());
        }
        self.order_budget.admit(self.server_estimate()).map_err(|wait_ms| ExchangeError::OrdersUsedUp {
            endpoint: endpoint.clone(),
            until: self.clock.now().saturating_add_ms(wait_ms),
        })
    }

    pub(super) fn check_open(&self, endpoint: &Endpoint, purpose: Purpose) -> Result<(), ExchangeError> {
        let now = self.clock.now();
        let of_purpose = match purpose {
            Purpose::Read => self.gate.firewall.closed(now),
            Purpose::Command if places_orders(endpoint) => self.orders_shutter.closed(now),
            Purpose::Command => None,
        };
        match self.gate.shutter.closed(now).or(of_purpose) {
            None => Ok(()),
            Some((silence, until)) => Err(quiet(endpoint, silence, until, "not asked again yet".into())),
        }
    }

    /// Keeps quiet, and answers the error that says so.
    pub(super) fn close(
        &self,
        endpoint: &Endpoint,
        silence: Silence,
        until: TimestampMs,
        response: &Response,
    ) -> ExchangeError {
        let shutter = match silence {
            Silence::Orders => &self.orders_shutter,
            Silence::Firewall(_) => &self.gate.firewall,
            Silence::Requests | Silence::Ban => &self.gate.shutter,
        };
        let until = shutter.close(silence, until, self.clock.now());
        quiet(endpoint, silence, until, ForeignText::body_start(&response.body))
    }

    /// The exchange said something else than to keep quiet.
    pub(super) fn answered(&self, endpoint: &Endpoint) {
        self.gate.shutter.answered();
        self.gate.firewall.answered();
        if places_orders(endpoint) {
            self.orders_shutter.answered();
        }
    }
}

fn quiet(endpoint: &Endpoint, silence: Silence, until: TimestampMs, body_start: ForeignText) -> ExchangeError {
    let endpoint = endpoint.clone();
    match silence {
        Silence::Ban => ExchangeError::Banned { endpoint, until },
        Silence::Requests | Silence::Orders => ExchangeError::Throttled { endpoint, until },
        Silence::Firewall(status) => ExchangeError::Forbidden { endpoint, status, until, body_start },
    }
}
