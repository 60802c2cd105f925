-- filled_qty, filled_quote and residual_qty are derived from the order's fills; everything else is the exchange's word.
CREATE TABLE orders (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    order_class TEXT NOT NULL CONSTRAINT orders_class CHECK (order_class IN ('REGULAR', 'CONDITIONAL')),
    order_id TEXT NOT NULL,
    client_order_id TEXT,
    side TEXT NOT NULL CONSTRAINT orders_side CHECK (side IN ('BUY', 'SELL')),
    position_side TEXT CONSTRAINT orders_position_side CHECK (position_side IN ('NET', 'LONG', 'SHORT')),
    order_type TEXT,
    time_in_force TEXT,
    status TEXT NOT NULL,
    terms_ts INTEGER,
    qty TEXT,
    price TEXT,
    trigger_price TEXT,
    executed_qty TEXT,
    avg_price TEXT,
    reduce_only INTEGER CONSTRAINT orders_reduce_only CHECK (reduce_only IN (0, 1)),
    close_position INTEGER CONSTRAINT orders_close_position CHECK (close_position IN (0, 1)),
    ts INTEGER,
    ts_precision TEXT CONSTRAINT orders_ts_precision CHECK (ts_precision IN ('s', 'ms')),
    updated_ts INTEGER,
    updated_ts_precision TEXT CONSTRAINT orders_updated_ts_precision CHECK (updated_ts_precision IN ('s', 'ms')),
    triggered_order_id TEXT,
    origin TEXT CONSTRAINT orders_origin CHECK (origin IN (
        'program', 'person', 'forced', 'settlement', 'adl', 'liquidation')),
    condition TEXT CONSTRAINT orders_condition CHECK (condition IN ('take_profit', 'stop')),
    engine TEXT,
    signal_id TEXT,
    exit_reason TEXT CONSTRAINT orders_exit_reason CHECK (exit_reason IN (
        'unknown', 'take_profit', 'stop_loss', 'manual_close', 'auto_exit', 'forced', 'liquidation', 'adl', 'settlement')),
    source TEXT NOT NULL,
    field_sources TEXT,
    conflicts TEXT,
    filled_qty TEXT,
    filled_quote TEXT,
    residual_qty TEXT,
    PRIMARY KEY (account_id, symbol, order_class, order_id),
    CONSTRAINT orders_ts_complete CHECK ((ts IS NULL) = (ts_precision IS NULL)),
    CONSTRAINT orders_updated_ts_complete CHECK ((updated_ts IS NULL) = (updated_ts_precision IS NULL))
) STRICT;
CREATE INDEX orders_ts_symbol ON orders (account_id, ts, symbol, order_class, order_id);
-- In the order of lists, as orders_ts_symbol. The condition is that of the query, word for word.
CREATE INDEX orders_open ON orders (account_id, ts, symbol, order_class, order_id)
    WHERE status NOT IN ('REJECTED', 'EXPIRED', 'EXPIRED_IN_MATCH', 'CANCELED', 'FINISHED', 'FILLED');
CREATE INDEX orders_symbol_status ON orders (symbol, status, account_id);
CREATE INDEX orders_client_order_id ON orders (account_id, client_order_id) WHERE client_order_id IS NOT NULL;
CREATE INDEX orders_signal ON orders (account_id, signal_id) WHERE signal_id IS NOT NULL;
CREATE INDEX orders_triggered ON orders (account_id, symbol, triggered_order_id) WHERE triggered_order_id IS NOT NULL;
CREATE INDEX orders_hedged ON orders (account_id, coalesce(ts, updated_ts)) WHERE position_side <> 'NET';
CREATE INDEX orders_residual ON orders (account_id, symbol, coalesce(updated_ts, ts), order_id)
    WHERE residual_qty IS NOT NULL;
-- Those of lists of their own, which are counted. The conditions are those of the queries, word for word.
CREATE INDEX orders_conditional ON orders (account_id, symbol, ts, order_id) WHERE order_class = 'CONDITIONAL';
CREATE INDEX orders_forced ON orders (account_id, ts, symbol, order_id)
    WHERE origin IN ('forced', 'adl', 'liquidation');

CREATE TABLE cancels (
    id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    order_class TEXT NOT NULL CONSTRAINT cancels_class CHECK (order_class IN ('REGULAR', 'CONDITIONAL')),
    order_id TEXT NOT NULL,
    side TEXT CONSTRAINT cancels_side CHECK (side IN ('BUY', 'SELL')),
    ts INTEGER NOT NULL,
    ts_precision TEXT NOT NULL CONSTRAINT cancels_ts_precision CHECK (ts_precision IN ('s', 'ms')),
    reason TEXT,
    source TEXT NOT NULL,
    field_sources TEXT,
    conflicts TEXT,
    CONSTRAINT cancels_key UNIQUE (account_id, symbol, order_class, order_id)
) STRICT;
CREATE INDEX cancels_ts_symbol ON cancels (account_id, ts, symbol);
