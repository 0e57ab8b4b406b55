-- The audit log is the outbox: what happened stands in it in the transaction of the change. Up to
-- this event each tenant's log was turned into notifications and jobs.
CREATE TABLE event_cursors (
    tenant_id TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL
);
-- What happened before this version is nobody's news.
INSERT INTO event_cursors (tenant_id, seq) SELECT tenant_id, MAX(seq) FROM audit_events GROUP BY tenant_id;

-- What is to leave this process: done at least once, in the order of their lanes.
CREATE TABLE jobs (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL PRIMARY KEY,
    lane TEXT NOT NULL,             -- jobs of one lane go to one place, and do not hold up another's
    kind TEXT NOT NULL,             -- mail
    payload TEXT NOT NULL,          -- JSON
    attempts BIGINT NOT NULL,
    due_at BIGINT NOT NULL,         -- of a job that is being done: when another node may take it
    failed_at BIGINT,               -- given up: an administrator may replay it
    last_error TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX jobs_due ON jobs (lane, due_at) WHERE failed_at IS NULL;
CREATE INDEX jobs_tenant ON jobs (tenant_id, id);

-- What users are told in the API and the console.
CREATE TABLE notifications (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,               -- that of the event under another name: once each
    kind TEXT NOT NULL,
    event_id TEXT NOT NULL,
    news TEXT NOT NULL,             -- JSON: what happened, without secrets
    created_at BIGINT NOT NULL,
    read_at BIGINT,
    PRIMARY KEY (tenant_id, user_id, id)
);

-- Where users differ from what is usual.
CREATE TABLE notification_wishes (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    bell BOOLEAN NOT NULL,
    mail BOOLEAN NOT NULL,
    PRIMARY KEY (tenant_id, user_id, kind)
);
ALTER TABLE users ADD COLUMN language TEXT;

-- Which ends of keys were told how long before (BM8): once each.
CREATE TABLE expiry_notices (
    tenant_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    days BIGINT NOT NULL,           -- 0 when it is over
    told_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, key_id, expires_at, days)
);
CREATE INDEX keys_end ON keys (expires_at) WHERE expires_at IS NOT NULL;

-- What a trusted secret did once already (IMP-11): where from, for which administrators, too often when.
CREATE TABLE trusted_firsts (
    tenant_id TEXT NOT NULL,
    trusted_id TEXT NOT NULL,
    what TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, trusted_id, what)
);
