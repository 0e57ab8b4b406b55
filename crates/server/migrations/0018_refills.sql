-- Credits that come back by themselves, and credits of users (X6).
ALTER TABLE keys ADD COLUMN credit_refill TEXT;                         -- JSON; NULL is never
ALTER TABLE keys ADD COLUMN credits_room BIGINT NOT NULL DEFAULT 0;     -- missing up to the cap after the last refill
ALTER TABLE keys ADD COLUMN credits_period BIGINT NOT NULL DEFAULT 0;   -- the last refill, or the grant
UPDATE keys SET credits_period = credits_granted_at WHERE credits_granted_at IS NOT NULL;

ALTER TABLE users ADD COLUMN credits_granted BIGINT;
ALTER TABLE users ADD COLUMN credits_left BIGINT;
ALTER TABLE users ADD COLUMN credits_granted_at BIGINT;
ALTER TABLE users ADD COLUMN credit_refill TEXT;
ALTER TABLE users ADD COLUMN credits_room BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN credits_period BIGINT NOT NULL DEFAULT 0;
