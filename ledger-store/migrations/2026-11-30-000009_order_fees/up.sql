-- fees_json: what an answer says that a quantity executed cost, in each asset. It is an estimate of what the order's missing
-- fills cost; residual_fees_json is derived, as residual_qty is.
ALTER TABLE orders ADD COLUMN fees_json TEXT;
ALTER TABLE orders ADD COLUMN residual_fees_json TEXT;
