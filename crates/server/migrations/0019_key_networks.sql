-- Where keys are used from (BM9): a /24 of IPv4, a /48 of IPv6, or 'unknown'. Written behind (X8).
CREATE TABLE key_networks (
    tenant_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    network TEXT NOT NULL,
    seen_at BIGINT NOT NULL,        -- the first time
    address TEXT,
    agent TEXT,
    is_first BOOLEAN NOT NULL,      -- of the key
    told BOOLEAN NOT NULL,          -- the audit log tells of it, or need not
    PRIMARY KEY (tenant_id, key_id, network)
);
CREATE INDEX key_networks_news ON key_networks (is_first, seen_at) WHERE NOT told;
-- Where keys were used from before this version is nobody's news.
INSERT INTO key_networks (tenant_id, key_id, network, seen_at, is_first, told)
SELECT tenant_id, key_id, 'unknown', MAX(seen_at), TRUE, TRUE FROM key_seen GROUP BY tenant_id, key_id;
