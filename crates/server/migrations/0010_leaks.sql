-- The day a key leaks: what was reported, and what was done about many keys at once.

-- One row for each place where a living credential was found, so that a report that comes again is
-- told once.
CREATE TABLE leak_reports (
    tenant_id TEXT NOT NULL,
    target_id TEXT NOT NULL,        -- key_…, trusted_…, session_…
    url_hash TEXT NOT NULL,         -- SHA-256 of the place, of nothing where none was told
    reported_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, target_id, url_hash)
);

-- A key that nobody should ever use: a use is refused, and told.
ALTER TABLE keys ADD COLUMN canary BOOLEAN NOT NULL DEFAULT FALSE;

-- Many keys that were ended at once, for one reason (X10).
CREATE TABLE incidents (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    action TEXT NOT NULL,           -- revoke, deactivate
    filter TEXT NOT NULL,           -- JSON, as it was sent
    reason TEXT,
    matched BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    undone_at BIGINT,
    undone_by TEXT,
    reactivated BIGINT,             -- keys that the undoing switched on again
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE incident_keys (
    tenant_id TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    version BIGINT NOT NULL,        -- that of the key when the incident was over: changed since, it stays as it is
    PRIMARY KEY (tenant_id, incident_id, key_id)
);
