-- Where a tenant has its events sent (OUT-1).
CREATE TABLE webhooks (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,               -- webhook_…
    url TEXT NOT NULL,
    events TEXT NOT NULL,           -- JSON: patterns of audit actions
    description TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    since_seq BIGINT NOT NULL,      -- the last event before it was made or switched on
    disabled_reason TEXT,           -- gone, failing: switched off by the server
    failing_since BIGINT,           -- nothing was taken since
    failing_told_at BIGINT,         -- and administrators know
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

-- What its messages are signed with; two generations while one is replaced.
CREATE TABLE webhook_secrets (
    tenant_id TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    generation BIGINT NOT NULL,
    hmac TEXT NOT NULL,             -- sealed: the secret of v1
    ed25519 TEXT NOT NULL,          -- sealed: the seed of v1a
    public_key TEXT NOT NULL,       -- whpk_…
    created_at BIGINT NOT NULL,
    retires_at BIGINT,
    PRIMARY KEY (tenant_id, webhook_id, generation)
);

-- What was sent, or is to be, and how it went. It waits for as long as its job is there.
CREATE TABLE webhook_deliveries (
    tenant_id TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    id TEXT NOT NULL,               -- that of the event under another name: once for each webhook
    job_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    action TEXT NOT NULL,
    body TEXT NOT NULL,             -- byte for byte what is signed
    attempts BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    attempted_at BIGINT,
    first_failed_at BIGINT,
    delivered_at BIGINT,
    status_code BIGINT,
    response TEXT,                  -- the first KiB, without control characters
    error TEXT,
    duration_ms BIGINT,
    PRIMARY KEY (tenant_id, webhook_id, id)
);
CREATE INDEX webhook_deliveries_age ON webhook_deliveries (created_at);
