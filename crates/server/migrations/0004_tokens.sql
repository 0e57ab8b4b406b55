-- Keys that sign access tokens. Which one signs follows from the times alone: the one with the
-- latest `signs_from` that is not in the future.
CREATE TABLE signing_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    algorithm TEXT NOT NULL,        -- EdDSA or ES256
    sealed TEXT NOT NULL,           -- the private part
    created_at BIGINT NOT NULL,     -- published from here on
    signs_from BIGINT NOT NULL
);

-- Trusted secrets: what a backend asks for tokens of users with (TS1 to TS8). Kept sealed, because an
-- administrator may copy them again; nothing else of them is stored.
CREATE TABLE trusted_secrets (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    access_key TEXT NOT NULL,       -- the 16 characters inside the secret
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    ceiling TEXT NOT NULL,          -- whom, what, for how long and from where, as JSON
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    ended_at BIGINT,                -- disabled; never comes back
    ended_by TEXT,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX trusted_secrets_access_key ON trusted_secrets (access_key);
CREATE UNIQUE INDEX trusted_secrets_name ON trusted_secrets (tenant_id, name_key) WHERE ended_at IS NULL;
CREATE TABLE trusted_generations (
    tenant_id TEXT NOT NULL,
    secret_id TEXT NOT NULL,
    generation BIGINT NOT NULL,
    sealed TEXT NOT NULL,
    hint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    retires_at BIGINT,
    seen_at BIGINT,                 -- written behind by the minting of tokens
    PRIMARY KEY (tenant_id, secret_id, generation)
);

-- Tokens that were revoked by their id, until they would have ended by themselves.
CREATE TABLE revoked_tokens (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL,
    revoked_by TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

-- A token carries the epoch of its user at the time of issue; a later one ends it.
ALTER TABLE users ADD COLUMN token_epoch BIGINT NOT NULL DEFAULT 0;
-- Whether trusted secrets may ask for tokens of this user (IMP-10).
ALTER TABLE users ADD COLUMN trusted_tokens BOOLEAN NOT NULL DEFAULT TRUE;
