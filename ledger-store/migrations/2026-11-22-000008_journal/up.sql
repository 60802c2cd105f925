CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts,
    kind TEXT NOT NULL CONSTRAINT runs_kind CHECK (kind IN (
        'import', 'sync', 'audit', 'record', 'rebuild', 'correct')),
    started_local_ms INTEGER NOT NULL,
    ended_local_ms INTEGER,
    status TEXT NOT NULL CONSTRAINT runs_status CHECK (status IN ('running', 'done', 'failed', 'interrupted')),
    detail_json TEXT
) STRICT;
CREATE INDEX runs_account ON runs (account_id, id);

CREATE TABLE discrepancies (
    id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT,
    kind TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status TEXT NOT NULL CONSTRAINT discrepancies_status 
        CHECK (status IN ('pending', 'unresolved', 'acknowledged', 'resolved')),
    evidence_json TEXT NOT NULL,
    first_seen_local_ms INTEGER NOT NULL,
    last_seen_local_ms INTEGER NOT NULL,
    resolved_local_ms INTEGER,
    run_id INTEGER REFERENCES runs,
    CONSTRAINT discrepancies_key UNIQUE (account_id, kind, fingerprint)
) STRICT;
CREATE INDEX discrepancies_open ON discrepancies (account_id, symbol) WHERE status <> 'resolved';

CREATE TABLE repairs (
    id INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts,
    symbol TEXT,
    run_id INTEGER NOT NULL REFERENCES runs,
    at_local_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    discrepancy_id INTEGER REFERENCES discrepancies,
    cause TEXT NOT NULL,
    evidence_json TEXT NOT NULL,
    before_json TEXT,
    after_json TEXT
) STRICT;
CREATE INDEX repairs_account ON repairs (account_id, id);
CREATE INDEX repairs_discrepancy ON repairs (discrepancy_id) WHERE discrepancy_id IS NOT NULL;

-- Streams of the whole account have the symbol ''.
CREATE TABLE sync_cursors (
    account_id TEXT NOT NULL REFERENCES accounts,
    stream TEXT NOT NULL,
    symbol TEXT NOT NULL,
    position TEXT NOT NULL,
    updated_local_ms INTEGER NOT NULL,
    PRIMARY KEY (account_id, stream, symbol)
) STRICT;

-- A stretch of the grade 'reopened' is covered no more: it was read, and is to be read again.
CREATE TABLE coverage (
    account_id TEXT NOT NULL REFERENCES accounts,
    stream TEXT NOT NULL,
    symbol TEXT NOT NULL,
    grade TEXT NOT NULL CONSTRAINT coverage_grade
        CHECK (grade IN ('inferred', 'asked', 'confirmed', 'reopened')),
    since_ts INTEGER NOT NULL,
    until_ts INTEGER NOT NULL,
    PRIMARY KEY (account_id, stream, symbol, grade, since_ts),
    CONSTRAINT coverage_forward CHECK (until_ts > since_ts)
) STRICT;

-- The last look at the exchange, a row a stream; `account` is the look as a whole. These rows are neither facts nor runs:
-- each look replaces those of the look before, and nothing is derived from them. *_ts are by the exchange's clock.
-- succeeded_*, seen_*: the last look that was answered, and what its answer is true of. failed_*: the last that was not.
CREATE TABLE looks (
    account_id TEXT NOT NULL REFERENCES accounts,
    stream TEXT NOT NULL CONSTRAINT looks_stream
        CHECK (stream IN ('account', 'positions', 'orders', 'balances', 'prices', 'ledger')),
    outcome TEXT NOT NULL CONSTRAINT looks_outcome CHECK (outcome IN ('succeeded', 'failed', 'interrupted')),
    began_local_ms INTEGER NOT NULL,
    ended_local_ms INTEGER NOT NULL,
    began_ts INTEGER,
    ended_ts INTEGER,
    succeeded_local_ms INTEGER,
    seen_ts INTEGER,
    seen_json TEXT,
    failed_local_ms INTEGER,
    failure TEXT CONSTRAINT looks_failure
        CHECK (failure IN ('authentication', 'unreachable', 'corrupt', 'interrupted', 'other')),
    failure_reason TEXT,
    PRIMARY KEY (account_id, stream),
    CONSTRAINT looks_success_complete CHECK ((succeeded_local_ms IS NULL) = (seen_ts IS NULL)),
    CONSTRAINT looks_failure_complete CHECK ((failed_local_ms IS NULL) = (failure IS NULL))
) STRICT;

-- What the exchange stated twice, by stretch: how many rows the book has in it, and what their identities add up to. Stretches
-- of one stream and symbol do not overlap. See sqlite/proof.rs.
CREATE TABLE proofs (
    account_id TEXT NOT NULL REFERENCES accounts,
    stream TEXT NOT NULL,
    symbol TEXT NOT NULL,
    since_ts INTEGER NOT NULL,
    until_ts INTEGER NOT NULL,
    row_count INTEGER NOT NULL CONSTRAINT proofs_row_count CHECK (row_count >= 0),
    digest INTEGER NOT NULL,
    PRIMARY KEY (account_id, stream, symbol, since_ts),
    CONSTRAINT proofs_forward CHECK (until_ts > since_ts)
) STRICT;
