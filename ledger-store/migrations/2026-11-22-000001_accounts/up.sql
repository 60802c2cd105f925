CREATE TABLE accounts (
    account_id TEXT NOT NULL PRIMARY KEY,
    venue TEXT NOT NULL,
    base_url TEXT,
    alias TEXT,
    user_id TEXT,
    position_mode TEXT CONSTRAINT accounts_position_mode CHECK (position_mode IN ('one_way', 'hedge')),
    created_local_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE instruments (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    kind TEXT NOT NULL CONSTRAINT instruments_kind CHECK (kind IN ('linear', 'inverse')),
    multiplier TEXT NOT NULL,
    settle_asset TEXT NOT NULL,
    tick_size TEXT,
    step_size TEXT,
    liquidation_fee TEXT,
    terms_ts INTEGER,
    source TEXT NOT NULL,
    field_sources TEXT,
    conflicts TEXT,
    PRIMARY KEY (account_id, symbol)
) STRICT;
