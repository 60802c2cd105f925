//! What the book knows of the order behind a fill: who sent it, what for, and which position it changes.
//!
//! Besides the order itself, that is told by the conditional order that became it (which points to it, or has the same
//! client order id), by the bot's intent with that client order id, and by the signal that any of them names. The nearer
//! one is believed; where several conditional orders could be meant, only what they agree about counts.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use ledger_core::{
    AccountId, ClientOrderId, IntentWords, OrderClass, OrderContext, OrderId, OrderWords, PositionSide, SignalId,
    SignalWords, Source, Symbol, can_only_close,
};

use super::codec::RowReader;
use super::fact_table::ROWS_MAX;
use super::failure::failed;
use super::prepared::{PrepareOnce as _, padded};
use super::schema::{engine_signals, order_intents, orders};
use crate::store::StoreResult;

/// What is known of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OrderInfo {
    pub(super) context: OrderContext,
    pub(super) position_side: Option<PositionSide>,
}

pub(super) type Infos = std::collections::HashMap<OrderId, OrderInfo>;

/// Which tables have anything to say about the orders of a symbol, so that the others are not asked again and again.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one a table")]
pub(super) struct OrderSources {
    regular: bool,
    conditional: bool,
    intents: bool,
    signals: bool,
}

impl OrderSources {
    pub(super) fn of(conn: &mut SqliteConnection, account: &AccountId, symbol: &Symbol) -> StoreResult<Self> {
        let of_class = |class: OrderClass| {
            orders::table
                .filter(orders::account_id.eq(account.as_str()))
                .filter(orders::symbol.eq(symbol.as_str()))
                .filter(orders::order_class.eq(class.as_str()))
        };
        let read = failed("read orders");
        Ok(Self {
            regular: diesel::select(diesel::dsl::exists(of_class(OrderClass::Regular)))
                .get_result(conn)
                .map_err(&read)?,
            conditional: diesel::select(diesel::dsl::exists(of_class(OrderClass::Conditional)))
                .get_result(conn)
                .map_err(&read)?,
            intents: diesel::select(diesel::dsl::exists(
                order_intents::table.filter(order_intents::account_id.eq(account.as_str())),
            ))
            .get_result(conn)
            .map_err(&read)?,
            signals: diesel::select(diesel::dsl::exists(
                engine_signals::table.filter(engine_signals::account_id.eq(account.as_str())),
            ))
            .get_result(conn)
            .map_err(&read)?,
        })
    }

    /// Whether anything is known of any order.
    pub(super) fn any_order(self) -> bool {
        self.regular || self.conditional
    }
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = orders)]
struct InfoRow {
    order_id: String,
    client_order_id: Option<String>,
    side: String,
    position_side: Option<String>,
    reduce_only: Option<bool>,
    close_position: Option<bool>,
    triggered_order_id: Option<String>,
    origin: Option<String>,
    condition: Option<String>,
    engine: Option<String>,
    signal_id: Option<String>,
    exit_reason: Option<String>,
    source: String,
    field_sources: Option<String>,
}

impl InfoRow {
    fn words<K: Fn() -> String>(&self, reader: &RowReader<K>) -> StoreResult<OrderWords> {
        let position_side: Option<PositionSide> = reader.optional("position_side", self.position_side.as_deref())?;
        let exit_reason = reader.optional("exit_reason", self.exit_reason.as_deref())?;
        let words = OrderWords {
            engine: reader.optional("engine", self.engine.as_deref())?,
            signal_id: reader.optional("signal_id", self.signal_id.as_deref())?,
            client_order_id: reader.optional("client_order_id", self.client_order_id.as_deref())?,
            position_side,
            origin: reader.optional("origin", self.origin.as_deref())?,
            condition: reader.optional("condition", self.condition.as_deref())?,
            can_only_close: can_only_close(
                position_side,
                reader.text("side", &self.side)?,
                self.reduce_only,
                self.close_position,
            ),
            ..OrderWords::default()
        };
        let is_inferred = exit_reason.is_some() && self.exit_reason_is_inferred(reader)?;
        Ok(words.with_exit_reason(exit_reason, is_inferred))
    }

    fn exit_reason_is_inferred<K: Fn() -> String>(&self, reader: &RowReader<K>) -> StoreResult<bool> {
        let sources = self
            .field_sources
            .as_deref()
            .map_or(Ok(BTreeMap::new()), |text| reader.json::<BTreeMap<String, Source>>("field_sources", text))?;
        let source = match sources.get("exit_reason") {
            Some(source) => *source,
            None => reader.text("source", &self.source)?,
        };
        Ok(source.is_inferred())
    }
}

#[derive(Debug, Clone)]
struct IntentInfo {
    words: IntentWords,
    signal_id: Option<String>,
}

/// What is known of regular orders of a symbol, by id; those of which nothing is known are left out.
pub(super) fn of_orders(
    conn: &mut SqliteConnection,
    account: &AccountId,
    symbol: &Symbol,
    sources: OrderSources,
    ids: &BTreeSet<&str>,
) -> StoreResult<Infos> {
    let mut infos = Infos::new();
    if !sources.any_order() {
        return Ok(infos);
    }
    let ids: Vec<&str> = ids.iter().copied().collect();
    for ids in ids.chunks(ROWS_MAX) {
        Lookup { account, symbol, sources }.add(conn, ids, &mut infos)?;
    }
    Ok(infos)
}

struct Lookup<'a> {
    account: &'a AccountId,
    symbol: &'a Symbol,
    sources: OrderSources,
}

impl Lookup<'_> {
    fn add(&self, conn: &mut SqliteConnection, ids: &[&str], infos: &mut Infos) -> StoreResult<()> {
        let own: BTreeMap<String, InfoRow> = if self.sources.regular {
            let rows: Vec<InfoRow> = self
                .orders(OrderClass::Regular)
                .filter(orders::order_id.eq_any(padded(ids.iter().copied())))
                .prepared_once()
                .load(conn)
                .map_err(failed("read orders"))?;
            rows.into_iter().map(|row| (row.order_id.clone(), row)).collect()
        } else {
            BTreeMap::new()
        };
        let conditional = self.conditional(conn, ids, &own)?;
        let nothing = Vec::new();
        let all = || own.values().chain(conditional.values().flatten());
        let clients: BTreeSet<&str> = all().filter_map(|row| row.client_order_id.as_deref()).collect();
        let intents = self.intents(conn, &clients)?;
        let named = intents.values().filter_map(|intent| intent.signal_id.as_deref());
        let signals: BTreeSet<&str> = all().filter_map(|row| row.signal_id.as_deref()).chain(named).collect();
        let signals = self.signals(conn, &signals)?;
        for id in ids {
            let (own, conditional) = (own.get(*id), conditional.get(*id).unwrap_or(&nothing));
            if own.is_none() && conditional.is_empty() {
                continue;
            }
            let reader = RowReader { table: "orders", key: || format!("{}/{}/{id}", self.account, self.symbol) };
            let info = compose(&reader, own, conditional, &intents, &signals)?;
            infos.insert(reader.text("order_id", id)?, info);
        }
        Ok(())
    }

    fn orders(&self, class: OrderClass) -> OrderQuery<'_> {
        orders::table
            .filter(orders::account_id.eq(self.account.as_str()))
            .filter(orders::symbol.eq(self.symbol.as_str()))
            .filter(orders::order_class.eq(class.as_str()))
            .select(InfoRow::as_select())
            .into_boxed()
    }

    /// The conditional orders that became each regular one: by what they point to, else by the client order id.
    fn conditional(
        &self,
        conn: &mut SqliteConnection,
        ids: &[&str],
        own: &BTreeMap<String, InfoRow>,
    ) -> StoreResult<BTreeMap<String, Vec<InfoRow>>> {
        let mut found = BTreeMap::<String, Vec<InfoRow>>::new();
        if !self.sources.conditional {
            return Ok(found);
        }
        let pointing: Vec<InfoRow> = self
            .orders(OrderClass::Conditional)
            .filter(orders::triggered_order_id.eq_any(padded(ids.iter().copied())))
            .order(orders::order_id)
            .prepared_once()
            .load(conn)
            .map_err(failed("read orders"))?;
        for row in pointing {
            if let Some(id) = row.triggered_order_id.clone() {
                found.entry(id).or_default().push(row);
            }
        }
        let clients: BTreeSet<&str> = own.values().filter_map(|row| row.client_order_id.as_deref()).collect();
        let alike: Vec<InfoRow> = self
            .orders(OrderClass::Conditional)
            .filter(orders::client_order_id.eq_any(padded(clients)))
            .order(orders::order_id)
            .prepared_once()
            .load(conn)
            .map_err(failed("read orders"))?;
        for (id, own) in own.iter().filter(|(id, _)| !found.contains_key(*id)).collect::<Vec<_>>() {
            // One that points elsewhere became another order.
            let of_same_client =
                alike.iter().filter(|row| row.client_order_id == own.client_order_id && own.client_order_id.is_some());
            let rows: Vec<InfoRow> = of_same_client.filter(|row| row.triggered_order_id.is_none()).cloned().collect();
            if !rows.is_empty() {
                found.insert(id.clone(), rows);
            }
        }
        Ok(found)
    }

    fn intents(
        &self,
        conn: &mut SqliteConnection,
        clients: &BTreeSet<&str>,
    ) -> StoreResult<BTreeMap<String, IntentInfo>> {
        if !self.sources.intents || clients.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows: Vec<(String, Option<String>, Option<String>, String)> = order_intents::table
            .filter(order_intents::account_id.eq(self.account.as_str()))
            .filter(order_intents::symbol.eq(self.symbol.as_str()))
            .filter(order_intents::client_order_id.eq_any(padded(clients.iter().copied())))
            .select((
                order_intents::client_order_id,
                order_intents::engine,
                order_intents::signal_id,
                order_intents::role,
            ))
            .prepared_once()
            .load(conn)
            .map_err(failed("read intents"))?;
        rows.into_iter()
            .map(|(client, engine, signal_id, role)| {
                let reader = RowReader { table: "order_intents", key: || format!("{}/{client}", self.account) };
                let (engine, role) = (reader.optional("engine", engine.as_deref())?, reader.text("role", &role)?);
                Ok((client.clone(), IntentInfo { words: IntentWords { engine, role }, signal_id }))
            })
            .collect()
    }

    fn signals(&self, conn: &mut SqliteConnection, ids: &BTreeSet<&str>) -> StoreResult<BTreeMap<String, SignalWords>> {
        if !self.sources.signals || ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows: Vec<SignalColumns> = engine_signals::table
            .filter(engine_signals::account_id.eq(self.account.as_str()))
            .filter(engine_signals::signal_id.eq_any(padded(ids.iter().copied())))
            .select((
                engine_signals::signal_id,
                engine_signals::engine,
                engine_signals::kind,
                engine_signals::reason,
                engine_signals::restored,
            ))
            .prepared_once()
            .load(conn)
            .map_err(failed("read signals"))?;
        rows.into_iter()
            .map(|(id, engine, kind, reason, restored)| {
                let reader = RowReader { table: "engine_signals", key: || format!("{}/{id}", self.account) };
                let (engine, kind) = (reader.optional("engine", engine.as_deref())?, reader.text("kind", &kind)?);
                let reason = reason.as_deref().and_then(SignalWords::reason_of);
                Ok((id.clone(), SignalWords { engine, kind, reason, restored }))
            })
            .collect()
    }
}

/// Id, strategy, kind, reason, whether it was restored.
type SignalColumns = (String, Option<String>, String, Option<String>, bool);

type OrderQuery<'a> = diesel::helper_types::IntoBoxed<
    'a,
    diesel::dsl::Select<orders::table, diesel::dsl::AsSelect<InfoRow, diesel::sqlite::Sqlite>>,
    diesel::sqlite::Sqlite,
>;

fn compose<K: Fn() -> String>(
    reader: &RowReader<K>,
    own: Option<&InfoRow>,
    conditional: &[InfoRow],
    intents: &BTreeMap<String, IntentInfo>,
    signals: &BTreeMap<String, SignalWords>,
) -> StoreResult<OrderInfo> {
    let own = own.map(|row| row.words(reader)).transpose()?;
    let waited: Vec<OrderWords> = conditional.iter().map(|row| row.words(reader)).collect::<StoreResult<_>>()?;
    let words = OrderWords::joined(own, &waited);
    let position_side = words.position_side;
    let intent = words.client_order_id.as_ref().and_then(|client| intents.get(client.as_str()));
    let named = words.signal_id.as_ref().map(SignalId::as_str);
    let signal = named.or_else(|| intent?.signal_id.as_deref()).and_then(|id| signals.get(id));
    Ok(OrderInfo { context: words.context(intent.map(|intent| &intent.words), signal), position_side })
}

/// Symbol, class, id, the regular order it became, client order id.
type Linked = (String, String, String, Option<String>, Option<String>);

/// Which regular orders of which symbols are meant by client order ids and signals: labels that arrived on their own.
pub(super) fn linked_orders(
    conn: &mut SqliteConnection,
    account: &AccountId,
    clients: &BTreeSet<ClientOrderId>,
    signals: &BTreeSet<SignalId>,
) -> StoreResult<Vec<(Symbol, OrderId)>> {
    let mut clients: BTreeSet<String> = clients.iter().map(|client| client.as_str().to_owned()).collect();
    let signals: Vec<&str> = signals.iter().map(SignalId::as_str).collect();
    let columns =
        (orders::symbol, orders::order_class, orders::order_id, orders::triggered_order_id, orders::client_order_id);
    let mut rows: Vec<Linked> = Vec::new();
    for ids in signals.chunks(ROWS_MAX) {
        let of_intents: Vec<String> = order_intents::table
            .filter(order_intents::account_id.eq(account.as_str()))
            .filter(order_intents::signal_id.eq_any(ids))
            .select(order_intents::client_order_id)
            .load(conn)
            .map_err(failed("read intents"))?;
        clients.extend(of_intents);
        let of_orders: Vec<Linked> = orders::table
            .filter(orders::account_id.eq(account.as_str()))
            .filter(orders::signal_id.eq_any(ids))
            .select(columns)
            .load(conn)
            .map_err(failed("read orders"))?;
        // A conditional order is linked to its regular one by the client order id, too.
        clients.extend(of_orders.iter().filter_map(|row| row.4.clone()));
        rows.extend(of_orders);
    }
    let clients: Vec<String> = clients.into_iter().collect();
    for ids in clients.chunks(ROWS_MAX) {
        let found: Vec<Linked> = orders::table
            .filter(orders::account_id.eq(account.as_str()))
            .filter(orders::client_order_id.eq_any(ids))
            .select(columns)
            .load(conn)
            .map_err(failed("read orders"))?;
        rows.extend(found);
    }
    let reader = RowReader { table: "orders", key: || account.to_string() };
    let mut linked = Vec::with_capacity(rows.len());
    for (symbol, class, order_id, triggered, _) in rows {
        let id = if class == OrderClass::Regular.as_str() { Some(order_id) } else { triggered };
        if let Some(id) = id {
            linked.push((reader.text("symbol", &symbol)?, reader.text("order_id", &id)?));
        }
    }
    Ok(linked)
}
