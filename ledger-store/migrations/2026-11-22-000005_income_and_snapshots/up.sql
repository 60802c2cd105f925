-- An income row without a contract has the symbol ''.
CREATE TABLE income (
    account_id TEXT NOT NULL REFERENCES accounts,
    income_type TEXT NOT NULL,
    tran_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    asset TEXT NOT NULL,
    amount TEXT NOT NULL,
    ts INTEGER NOT NULL,
    ts_precision TEXT NOT NULL CONSTRAINT income_ts_precision CHECK (ts_precision IN ('s', 'ms')),
    fill_id TEXT,
    info TEXT,
    source TEXT NOT NULL,
    field_sources TEXT,
    conflicts TEXT,
    PRIMARY KEY (account_id, income_type, tran_id, symbol, asset)
) STRICT;
CREATE INDEX income_ts_symbol ON income (account_id, ts, symbol);
-- Whether the ledger has what a fill demands is answered by the index alone.
CREATE INDEX income_fill ON income (account_id, symbol, fill_id, income_type, asset) WHERE fill_id IS NOT NULL;
-- Rows about trades that name none, as files have them. The condition is that of the query, word for word.
CREATE INDEX income_unnamed ON income (account_id, symbol, ts)
    WHERE fill_id IS NULL AND income_type IN ('COMMISSION', 'REALIZED_PNL');
-- In which assets profits were paid.
CREATE INDEX income_profits ON income (account_id, symbol, asset) WHERE income_type = 'REALIZED_PNL';
-- The entries that no fill tells: what is folded is read from it.
CREATE INDEX income_folded ON income (account_id, symbol, ts, tran_id, income_type, asset)
    WHERE income_type NOT IN ('COMMISSION', 'REALIZED_PNL');

CREATE TABLE position_snapshots (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    position_side TEXT NOT NULL
        CONSTRAINT position_snapshots_position_side CHECK (position_side IN ('NET', 'LONG', 'SHORT')),
    ts INTEGER NOT NULL,
    qty TEXT NOT NULL,
    entry_price TEXT,
    source TEXT NOT NULL,
    field_sources TEXT,
    conflicts TEXT,
    PRIMARY KEY (account_id, symbol, position_side, ts)
) STRICT;
CREATE INDEX position_snapshots_hedged ON position_snapshots (account_id, ts) WHERE position_side <> 'NET';
CREATE INDEX position_snapshots_ts_symbol ON position_snapshots (account_id, ts, symbol);

CREATE TABLE balance_snapshots (
    account_id TEXT NOT NULL REFERENCES accounts,
    asset TEXT NOT NULL,
    ts INTEGER NOT NULL,
    wallet TEXT NOT NULL,
    source TEXT NOT NULL,
    field_sources TEXT,
    conflicts TEXT,
    PRIMARY KEY (account_id, asset, ts)
) STRICT;
CREATE INDEX balance_snapshots_ts ON balance_snapshots (account_id, ts);

CREATE TABLE price_snapshots (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    kind TEXT NOT NULL CONSTRAINT price_snapshots_kind CHECK (kind IN ('mark', 'kline_close')),
    ts INTEGER NOT NULL,
    price TEXT NOT NULL,
    source TEXT NOT NULL,
    field_sources TEXT,
    conflicts TEXT,
    PRIMARY KEY (account_id, symbol, kind, ts)
) STRICT;
CREATE INDEX price_snapshots_ts_symbol ON price_snapshots (account_id, ts, symbol);

CREATE TABLE funding_rates (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    ts INTEGER NOT NULL,
    rate TEXT NOT NULL,
    mark_price TEXT,
    source TEXT NOT NULL,
    field_sources TEXT,
    conflicts TEXT,
    PRIMARY KEY (account_id, symbol, ts)
) STRICT;
CREATE INDEX funding_rates_ts_symbol ON funding_rates (account_id, ts, symbol);

-- No fact: the minutes of fees in another asset than the one that the contract's name ends with, until the exchange has
-- been asked what that asset was worth then. See sqlite/unpriced_fee.rs.
CREATE TABLE unpriced_fees (
    account_id TEXT NOT NULL REFERENCES accounts,
    minute_ts INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    asset TEXT NOT NULL,
    PRIMARY KEY (account_id, minute_ts, symbol, asset)
) STRICT, WITHOUT ROWID;

CREATE TABLE anchors (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    position_side TEXT NOT NULL CONSTRAINT anchors_position_side CHECK (position_side IN ('NET', 'LONG', 'SHORT')),
    ts INTEGER NOT NULL,
    qty TEXT NOT NULL,
    entry_price TEXT,
    derivation TEXT NOT NULL,
    -- What the book had of the time before, when this was stated.
    known_until_ts INTEGER,
    known_fill_count INTEGER CONSTRAINT anchors_known CHECK ((known_until_ts IS NULL) = (known_fill_count IS NULL)),
    withdrawn TEXT,
    source TEXT NOT NULL,
    field_sources TEXT,
    conflicts TEXT,
    PRIMARY KEY (account_id, symbol, position_side, ts)
) STRICT;
CREATE INDEX anchors_ts_symbol ON anchors (account_id, ts, symbol);

-- What the exchange answered. What the user says is in accounts.position_mode.
CREATE TABLE position_modes (
    account_id TEXT NOT NULL REFERENCES accounts,
    ts INTEGER NOT NULL,
    mode TEXT NOT NULL CONSTRAINT position_modes_mode CHECK (mode IN ('one_way', 'hedge')),
    source TEXT NOT NULL,
    field_sources TEXT,
    conflicts TEXT,
    PRIMARY KEY (account_id, ts)
) STRICT;
