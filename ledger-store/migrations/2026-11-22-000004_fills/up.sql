-- No foreign key to orders: a fill may come before its order, or outlive it.
CREATE TABLE fills (
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT NOT NULL,
    fill_id TEXT NOT NULL,
    side TEXT NOT NULL CONSTRAINT fills_side CHECK (side IN ('BUY', 'SELL')),
    order_id TEXT,
    ts INTEGER NOT NULL,
    ts_precision TEXT NOT NULL CONSTRAINT fills_ts_precision CHECK (ts_precision IN ('s', 'ms')),
    price TEXT NOT NULL,
    qty TEXT NOT NULL,
    position_side TEXT CONSTRAINT fills_position_side CHECK (position_side IN ('NET', 'LONG', 'SHORT')),
    fee TEXT,
    fee_asset TEXT,
    maker INTEGER CONSTRAINT fills_maker CHECK (maker IN (0, 1)),
    exchange_realized_pnl TEXT,
    sequence INTEGER,
    source TEXT NOT NULL,
    field_sources TEXT,
    conflicts TEXT,
    PRIMARY KEY (account_id, symbol, fill_id, side),
    CONSTRAINT fills_fee_complete CHECK ((fee IS NULL) = (fee_asset IS NULL))
) STRICT;
CREATE INDEX fills_ts_symbol ON fills (account_id, ts, symbol);
CREATE INDEX fills_order_id ON fills (order_id, symbol, account_id);
-- The order in which fills are folded: see ledger_core::FoldKey.
CREATE INDEX fills_fold_order ON fills (account_id, symbol, sequence, ts, fill_id, side);
CREATE INDEX fills_hedged ON fills (account_id, ts) WHERE position_side <> 'NET';
CREATE INDEX fills_unplaced ON fills (account_id, symbol) WHERE position_side IS NULL;
