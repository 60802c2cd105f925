-- Everything here is recomputed from the facts at any time; refold_marks says what is out of date.
CREATE TABLE positions (
    id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    position_side TEXT NOT NULL CONSTRAINT positions_position_side CHECK (position_side IN ('NET', 'LONG', 'SHORT')),
    ts INTEGER,
    side TEXT NOT NULL CONSTRAINT positions_side CHECK (side IN ('long', 'short', 'flat')),
    qty TEXT NOT NULL,
    avg_entry TEXT,
    unreal_pnl TEXT,
    realized_pnl TEXT,
    certainty TEXT NOT NULL CONSTRAINT positions_certainty CHECK (certainty IN ('known', 'estimated', 'unknown')),
    settle_asset TEXT NOT NULL,
    mark_price TEXT,
    mark_ts INTEGER,
    exchange_qty TEXT,
    exchange_entry TEXT,
    exchange_ts INTEGER,
    reconcile_status TEXT CONSTRAINT positions_reconcile_status
        CHECK (reconcile_status IN ('MATCHED', 'PENDING', 'MISMATCH', 'UNRESOLVED')),
    source TEXT NOT NULL CONSTRAINT positions_source CHECK (source = 'fold'),
    detail_json TEXT NOT NULL,
    CONSTRAINT positions_key UNIQUE (account_id, symbol, position_side)
) STRICT;
CREATE INDEX positions_ts_symbol ON positions (account_id, ts, symbol);

-- trip_no counts within a symbol and moves with every older fact; trip_key names the round trip for good.
-- awaits_signal: see sqlite/opener.rs.
CREATE TABLE round_trips (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    trip_no INTEGER NOT NULL,
    trip_key TEXT NOT NULL,
    position_side TEXT NOT NULL CONSTRAINT round_trips_position_side CHECK (position_side IN ('NET', 'LONG', 'SHORT')),
    direction TEXT NOT NULL CONSTRAINT round_trips_direction CHECK (direction IN ('long', 'short')),
    opened_ts INTEGER,
    closed_ts INTEGER,
    qty_max TEXT NOT NULL,
    avg_entry TEXT,
    avg_exit TEXT,
    gross TEXT,
    settle_asset TEXT NOT NULL,
    engine TEXT,
    exit_reason TEXT NOT NULL,
    certainty TEXT NOT NULL CONSTRAINT round_trips_certainty CHECK (certainty IN ('known', 'estimated', 'unknown')),
    detail_json TEXT NOT NULL,
    awaits_signal INTEGER NOT NULL DEFAULT 0 CONSTRAINT round_trips_awaits_signal CHECK (awaits_signal IN (0, 1)),
    PRIMARY KEY (account_id, symbol, trip_no),
    CONSTRAINT round_trips_key UNIQUE (account_id, trip_key)
) STRICT;
CREATE INDEX round_trips_closed ON round_trips (account_id, closed_ts, symbol);
CREATE INDEX round_trips_awaiting ON round_trips (account_id, symbol) WHERE awaits_signal = 1;
CREATE INDEX round_trips_open ON round_trips (account_id, symbol) WHERE closed_ts IS NULL;

-- Realized PnL per round trip, before fees and funding; absent where it cannot be known.
CREATE VIEW pnl_realized AS
SELECT account_id, closed_ts AS ts, symbol, position_side, direction AS side, trip_no, trip_key, gross AS realized_pnl,
    settle_asset AS asset, certainty
FROM round_trips
WHERE closed_ts IS NOT NULL;

-- Fills whose exchange-reported realized PnL is not the fold's. fill_no counts the fills of the symbol in fold order.
CREATE TABLE pnl_mismatches (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    fill_no INTEGER NOT NULL,
    fill_id TEXT NOT NULL,
    side TEXT NOT NULL CONSTRAINT pnl_mismatches_side CHECK (side IN ('BUY', 'SELL')),
    ts INTEGER NOT NULL,
    derived_pnl TEXT,
    exchange_pnl TEXT,
    PRIMARY KEY (account_id, symbol, fill_no)
) STRICT;

-- Fills whose fee the exchange's ledger (income, type COMMISSION) states in another way than the fill, and was believed.
CREATE TABLE ledger_fees (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    fill_no INTEGER NOT NULL,
    fill_id TEXT NOT NULL,
    side TEXT NOT NULL CONSTRAINT ledger_fees_side CHECK (side IN ('BUY', 'SELL')),
    stated_fee TEXT,
    stated_fee_asset TEXT,
    fee TEXT NOT NULL,
    fee_asset TEXT NOT NULL,
    PRIMARY KEY (account_id, symbol, fill_no)
) STRICT;

-- When the account provably held one position a symbol: a fill of that time without a position side changed that one.
CREATE TABLE one_way_spans (
    account_id TEXT NOT NULL REFERENCES accounts,
    since_ts INTEGER NOT NULL,
    until_ts INTEGER,
    PRIMARY KEY (account_id, since_ts)
) STRICT;

CREATE TABLE symbol_books (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    settle_asset TEXT NOT NULL,
    fill_count INTEGER NOT NULL,
    unplaced_count INTEGER NOT NULL,
    closed_count INTEGER NOT NULL,
    pnl_unreported_count INTEGER NOT NULL,
    pnl_unknown_count INTEGER NOT NULL,
    unallocated_funding_json TEXT NOT NULL,
    unallocated_clearance_json TEXT NOT NULL,
    unallocated_realized_json TEXT NOT NULL,
    is_conserved INTEGER NOT NULL CONSTRAINT symbol_books_is_conserved CHECK (is_conserved IN (0, 1)),
    fold_version INTEGER NOT NULL,
    PRIMARY KEY (account_id, symbol)
) STRICT;

-- fold_key and fills_seen: the last fill that the state has seen, those that nothing places included; ts_max: the latest
-- time of any of them. fold_version, here and elsewhere: by which version of the fold's rules the row was made.
CREATE TABLE fold_checkpoints (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    fills_seen INTEGER NOT NULL,
    is_head INTEGER NOT NULL CONSTRAINT fold_checkpoints_is_head CHECK (is_head IN (0, 1)),
    ts_max INTEGER NOT NULL,
    fold_key TEXT NOT NULL,
    fold_version INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (account_id, symbol, fills_seen)
) STRICT;

-- From where a symbol has to be folded again: from_key for fills, from_ts for everything that has a time only. Neither:
-- only what the exchange says has changed. from_start: everything.
CREATE TABLE refold_marks (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    from_start INTEGER NOT NULL CONSTRAINT refold_marks_from_start CHECK (from_start IN (0, 1)),
    from_key TEXT,
    from_ts INTEGER,
    PRIMARY KEY (account_id, symbol)
) STRICT;

CREATE TABLE quarantine (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    reason TEXT NOT NULL,
    fold_version INTEGER NOT NULL,
    PRIMARY KEY (account_id, symbol)
) STRICT;
