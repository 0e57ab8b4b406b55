-- Auditors read the log and what explains it, and change nothing (AUD-6). The id of the tenant is unique, so
-- that the same characters are the id of its role.
INSERT INTO roles (tenant_id, id, name, name_key, description, built_in, rights, created_at, updated_at, version)
SELECT t.id, 'role_' || SUBSTR(t.id, 8), 'auditor', 'auditor', 'May see everything and change nothing', TRUE,
    '["audit:read","audit:export","export:read","groups:read","jobs:read","keys:read","policies:read","reports:read","roles:read","tenants:read","trusted:read","users:read","webhooks:read"]',
    t.created_at, t.created_at, 1
FROM tenants t
WHERE NOT EXISTS (SELECT 1 FROM roles r WHERE r.tenant_id = t.id AND r.name_key = 'auditor');

-- What events say of people. The text of the event holds a commitment in its place, so that a row can go and
-- the chain stays whole.
CREATE TABLE audit_personal (
    tenant_id TEXT NOT NULL,        -- whose chain
    seq BIGINT NOT NULL,
    subject_id TEXT NOT NULL,       -- user_…: whom it is about
    nonce TEXT NOT NULL,            -- so that nobody finds the texts by guessing at the commitment
    texts TEXT NOT NULL,            -- JSON: a list, in the order of the places in the event
    PRIMARY KEY (tenant_id, seq, subject_id)
);
CREATE INDEX audit_personal_subject ON audit_personal (subject_id);

-- The personal data of this user was erased; nothing more is kept of them.
ALTER TABLE users ADD COLUMN erased_at BIGINT;
CREATE INDEX users_erased ON users (id) WHERE erased_at IS NOT NULL;

-- What is left of events that were kept for long enough: a signed record of each part that was closed.
CREATE TABLE audit_segments (
    tenant_id TEXT NOT NULL,
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    previous_hash TEXT NOT NULL,    -- of the event before the first
    last_hash TEXT NOT NULL,
    closed_at BIGINT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (tenant_id, last_seq)
);
