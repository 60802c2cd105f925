-- Every payload received, verbatim. The hash is the first 16 bytes of the payload's SHA-256.
CREATE TABLE fact_sources (
    account_id TEXT NOT NULL REFERENCES accounts,
    kind TEXT NOT NULL CONSTRAINT fact_sources_kind CHECK (kind IN (
        'instrument', 'signal', 'intent', 'order', 'fill', 'cancel', 'income', 'position', 'balance', 'price',
        'funding_rate', 'anchor', 'position_mode')),
    fact_key TEXT NOT NULL,
    source TEXT NOT NULL,
    hash BLOB NOT NULL CONSTRAINT fact_sources_hash CHECK (length(hash) = 16),
    payload TEXT NOT NULL,
    recorded_local_ms INTEGER NOT NULL,
    run_id INTEGER,
    PRIMARY KEY (account_id, kind, fact_key, source, hash)
) STRICT, WITHOUT ROWID;

-- For people who query by hand: the facts with the payload recorded last.
CREATE VIEW fills_raw AS
SELECT f.*, (
    SELECT s.payload FROM fact_sources s
    WHERE s.account_id = f.account_id AND s.kind = 'fill'
        AND s.fact_key = f.symbol || '|' || f.side || '|' || f.fill_id
    ORDER BY s.recorded_local_ms DESC, s.hash LIMIT 1
) AS raw_json
FROM fills f;

CREATE VIEW orders_raw AS
SELECT o.*, (
    SELECT s.payload FROM fact_sources s
    WHERE s.account_id = o.account_id AND s.kind = 'order'
        AND s.fact_key = o.symbol || '|' || o.order_class || '|' || o.order_id
    ORDER BY s.recorded_local_ms DESC, s.hash LIMIT 1
) AS raw_json
FROM orders o;

CREATE VIEW cancels_raw AS
SELECT c.*, (
    SELECT s.payload FROM fact_sources s
    WHERE s.account_id = c.account_id AND s.kind = 'cancel'
        AND s.fact_key = c.symbol || '|' || c.order_class || '|' || c.order_id
    ORDER BY s.recorded_local_ms DESC, s.hash LIMIT 1
) AS raw_json
FROM cancels c;
