-- Every policy that a tenant ever had, so that one can go back to it (X5).
CREATE TABLE policy_versions (
    tenant_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    policy TEXT NOT NULL,
    applied_at BIGINT NOT NULL,
    applied_by TEXT NOT NULL,
    note TEXT,
    PRIMARY KEY (tenant_id, version)
);
INSERT INTO policy_versions (tenant_id, version, policy, applied_at, applied_by)
SELECT id, policy_version, policy, updated_at, 'system' FROM tenants;

-- Policies that somebody thinks of, to look at what they would do, and to apply them later.
CREATE TABLE policy_drafts (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    policy TEXT NOT NULL,
    based_on BIGINT NOT NULL,       -- the version of the policy that it was made from
    note TEXT,
    state TEXT NOT NULL,            -- draft, scheduled, applied, failed
    starts_at BIGINT,
    scheduled_by TEXT,              -- JSON: who, and with which key
    applied_version BIGINT,
    failure TEXT,                   -- the code of the refusal when it was due
    failure_detail TEXT,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX policy_drafts_due ON policy_drafts (starts_at) WHERE state = 'scheduled';

-- Keys that were made while policy asked for an approval.
ALTER TABLE keys ADD COLUMN awaits_approval BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE keys ADD COLUMN approved_at BIGINT;
ALTER TABLE keys ADD COLUMN approved_by TEXT;
