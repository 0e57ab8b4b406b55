-- Keys that rotate by themselves (BM13): every so many days, the older secret working on for a while.
ALTER TABLE keys ADD COLUMN rotate_days BIGINT;
ALTER TABLE keys ADD COLUMN grace_days BIGINT;
ALTER TABLE keys ADD COLUMN rotates_at BIGINT;  -- NULL is never
CREATE INDEX keys_rotation ON keys (rotates_at) WHERE rotates_at IS NOT NULL;

-- Secrets that wait to be handed over (X10): sealed until a link opens them, once.
CREATE TABLE handovers (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    generation BIGINT NOT NULL,
    sealed TEXT,                    -- the secret; gone once it is handed over, or nobody may have it any more
    handle TEXT,                    -- the id inside the link's token, when there is a link
    pepper_id BIGINT,
    hash TEXT,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    opened_at BIGINT,
    opened_from TEXT,               -- address
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX handovers_handle ON handovers (handle) WHERE handle IS NOT NULL;
CREATE INDEX handovers_key ON handovers (tenant_id, key_id);
