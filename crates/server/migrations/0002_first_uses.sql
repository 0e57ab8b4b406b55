-- The newest generation of the key for which the first use of this secret stands in the audit log (KEY-9).
ALTER TABLE key_seen ADD COLUMN told_for BIGINT;
