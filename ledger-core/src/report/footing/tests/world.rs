//! An account that is made up, and footed.

use super::*;

/// An account that trades one contract.
#[derive(Default)]
pub(super) struct World {
    pub(super) looks: Vec<(i64, &'static str)>,
    pub(super) trips: Vec<RoundTrip>,
    pub(super) movements: Vec<Movement>,
    pub(super) rows: Vec<(Income, LedgerClass)>,
    pub(super) reach: LedgerReach,
}

impl World {
    /// A fill of the trip that fill `trip` opened: its amounts, and its entries in the ledger.
    pub(super) fn fill(&mut self, trip: i64, id: i64, ms: i64, realized: &str, fee: &str) {
        for (kind, amount, class, name) in [
            (MovementKind::Realized, realized, LedgerClass::Realized, "REALIZED_PNL"),
            (MovementKind::Fee, fee, LedgerClass::Fee, "COMMISSION"),
        ] {
            if amount != "0" {
                self.movements.push(movement(trip, id, ms, kind, Some(amount), "USDT"));
                let mut row = income(name, &format!("{name}-{id}"), "BTCUSDT", amount, ms);
                row.fill_id = FillId::new(id.to_string()).ok();
                self.rows.push((row, class));
            }
        }
    }

    pub(super) fn row(&mut self, kind: &str, name: &str, amount: &str, ms: i64, class: LedgerClass) {
        self.rows.push((income(kind, &format!("{kind}-{ms}"), name, amount, ms), class));
    }

    pub(super) fn funding(&mut self, trip: Option<i64>, ms: i64, amount: &str) {
        let row = income("FUNDING_FEE", &ms.to_string(), "BTCUSDT", amount, ms);
        let mut funded = movement(trip.unwrap_or(0), 0, ms, MovementKind::Funding, Some(amount), "USDT");
        funded.origin = MovementOrigin::Ledger(row.key.clone());
        if trip.is_none() {
            funded.trip = None;
        }
        self.movements.push(funded);
        self.rows.push((row, LedgerClass::Position));
    }

    pub(super) fn builder(&self, scope: &FootingScope) -> FootingBuilder {
        FootingBuilder::new(scope.clone(), self.reach.clone(), None)
    }

    pub(super) fn feed(&self, mut builder: FootingBuilder, scope: &FootingScope) -> Footed {
        for (ms, wallet) in &self.looks {
            builder.add_look(&balance("USDT", wallet, *ms));
        }
        builder.begin_contract();
        for trip in self.trips.iter().filter(|trip| scope.period.contains(trip.closed_at.unwrap())) {
            builder.add_closed_trip(trip).unwrap();
        }
        for movement in &self.movements {
            builder.add_movement(&symbol("BTCUSDT"), movement).unwrap();
        }
        let wanted = builder.entries_wanted();
        let mut rows: Vec<_> = self.rows.iter().filter(|(row, _)| wanted.contains(row.time.at)).collect();
        rows.sort_by_key(|(row, _)| row.time.at);
        for (row, class) in rows {
            builder.add_entry(row, *class).unwrap();
        }
        builder.finish().unwrap()
    }

    pub(super) fn foot(&self, since: Option<i64>, until: Option<i64>) -> AssetFooting {
        let period = Stretch { since: since.map(at), until: until.map(at) };
        let scope = FootingScope { period, symbol: None };
        let whole = self.feed(self.builder(&scope), &scope);
        let parts = if whole.narrower.is_empty() {
            Footed { assets: Vec::new(), narrower: BTreeMap::new() }
        } else {
            self.feed(self.builder(&scope).within(whole.narrower.clone()), &scope)
        };
        whole.with_looked_at(parts).assets.remove(0)
    }
}
