CREATE TABLE engine_signals (
    id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts,
    signal_id TEXT NOT NULL,
    ts INTEGER NOT NULL,
    ts_precision TEXT NOT NULL CONSTRAINT engine_signals_ts_precision CHECK (ts_precision IN ('s', 'ms')),
    skew_ms INTEGER,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL CONSTRAINT engine_signals_side CHECK (side IN ('BUY', 'SELL')),
    kind TEXT NOT NULL CONSTRAINT engine_signals_kind CHECK (kind IN ('entry', 'auto_exit', 'manual_close')),
    engine TEXT,
    reason TEXT,
    skipped TEXT,
    meta_json TEXT,
    restored INTEGER NOT NULL CONSTRAINT engine_signals_restored CHECK (restored IN (0, 1)),
    source TEXT NOT NULL,
    field_sources TEXT,
    conflicts TEXT,
    CONSTRAINT engine_signals_key UNIQUE (account_id, signal_id)
) STRICT;
CREATE INDEX engine_signals_ts_symbol ON engine_signals (account_id, ts, symbol);
CREATE INDEX engine_signals_concluded ON engine_signals (account_id, ts) WHERE skipped IN ('never_sent', 'rejected');
CREATE INDEX engine_signals_awaited ON engine_signals (account_id, ts, signal_id)
    WHERE restored = 0 AND (skipped IS NULL OR skipped = 'sent_after_all');

CREATE TABLE order_intents (
    account_id TEXT NOT NULL REFERENCES accounts,
    client_order_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    order_class TEXT NOT NULL CONSTRAINT order_intents_class CHECK (order_class IN ('REGULAR', 'CONDITIONAL')),
    side TEXT NOT NULL CONSTRAINT order_intents_side CHECK (side IN ('BUY', 'SELL')),
    position_side TEXT CONSTRAINT order_intents_position_side CHECK (position_side IN ('NET', 'LONG', 'SHORT')),
    role TEXT NOT NULL
        CONSTRAINT order_intents_role CHECK (role IN ('entry', 'dca', 'exit', 'take_profit', 'stop_loss')),
    dca_step INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    order_type TEXT NOT NULL,
    qty TEXT,
    price TEXT,
    trigger_price TEXT,
    reduce_only INTEGER NOT NULL CONSTRAINT order_intents_reduce_only CHECK (reduce_only IN (0, 1)),
    signal_id TEXT,
    engine TEXT,
    created_local_ms INTEGER NOT NULL,
    outcome TEXT NOT NULL
        CONSTRAINT order_intents_outcome CHECK (outcome IN ('pending', 'unknown', 'rejected', 'accepted')),
    source TEXT NOT NULL,
    field_sources TEXT,
    conflicts TEXT,
    PRIMARY KEY (account_id, client_order_id)
) STRICT;
CREATE INDEX order_intents_created ON order_intents (account_id, created_local_ms, symbol);
CREATE INDEX order_intents_signal ON order_intents (account_id, signal_id) WHERE signal_id IS NOT NULL;
CREATE INDEX order_intents_unresolved ON order_intents (account_id, created_local_ms)
    WHERE outcome IN ('pending', 'unknown');
CREATE INDEX order_intents_rejected ON order_intents (account_id, created_local_ms) WHERE outcome = 'rejected';
