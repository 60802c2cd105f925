-- The orders that executed more than their fills tell, in the order of lists, as orders_open: a watcher asks for the newest every
-- few seconds.
CREATE INDEX orders_lacking ON orders (account_id, ts, symbol, order_class, order_id) WHERE residual_qty IS NOT NULL;

-- The file by whose lock others see that the holder lives, by its number in the file system; nothing where the holder has no
-- such lock. That some other file is not locked says nothing.
ALTER TABLE leases ADD COLUMN lock_file INTEGER;
