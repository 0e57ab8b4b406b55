-- Column types are TEXT, BIGINT and BOOLEAN only, so that one text serves SQLite and PostgreSQL.
-- Times are Unix milliseconds UTC; JSON is TEXT; ids are the text of the API.

-- Facts about the instance itself, by name: the key-check value of the root key and the like.
CREATE TABLE instance (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Data keys, wrapped by the root key; they seal what must be recoverable (STO-6).
CREATE TABLE data_keys (
    scope TEXT NOT NULL,            -- a tenant id, or 'instance'
    generation BIGINT NOT NULL,
    wrapped TEXT NOT NULL,
    uses BIGINT NOT NULL,           -- sealings so far; a key is replaced long before 2^32
    created_at BIGINT NOT NULL,
    PRIMARY KEY (scope, generation)
);

-- Peppers of the secret hashes, sealed (STO-2, STO-3).
CREATE TABLE peppers (
    id BIGINT NOT NULL PRIMARY KEY,
    sealed TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT
);

CREATE TABLE tenants (
    id TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    suspended_at BIGINT,
    suspended_reason TEXT,
    features TEXT NOT NULL,
    policy TEXT NOT NULL,
    policy_version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE UNIQUE INDEX tenants_number ON tenants (number);
CREATE UNIQUE INDEX tenants_slug ON tenants (slug);

CREATE TABLE users (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    username TEXT NOT NULL,
    username_key TEXT NOT NULL,     -- PRECIS UsernameCaseMapped (DIR-6)
    username_skeleton TEXT NOT NULL, -- UTS 39 confusable skeleton
    email TEXT,
    display_name TEXT,
    origin TEXT NOT NULL,
    login_window_minutes BIGINT,    -- SQ4 per-user override
    last_login_at BIGINT,           -- interactive logins only
    suspended_at BIGINT,
    suspended_reason TEXT,
    deleted_at BIGINT,              -- the row stays so that the id is never reused (SQ7, DIR-3)
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX users_username ON users (tenant_id, username_key) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_skeleton ON users (tenant_id, username_skeleton) WHERE deleted_at IS NULL;

CREATE TABLE roles (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    description TEXT NOT NULL,
    built_in BOOLEAN NOT NULL,
    rights TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX roles_name ON roles (tenant_id, name_key);

CREATE TABLE user_groups (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    description TEXT NOT NULL,
    built_in BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX user_groups_name ON user_groups (tenant_id, name_key);

-- Who holds which role, and who is in which group. A holder is a user, a key or (roles) a group.
CREATE TABLE role_holders (
    tenant_id TEXT NOT NULL,
    holder_id TEXT NOT NULL,
    role_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, holder_id, role_id)
);
CREATE INDEX role_holders_role ON role_holders (tenant_id, role_id);
CREATE TABLE group_members (
    tenant_id TEXT NOT NULL,
    member_id TEXT NOT NULL,
    group_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, member_id, group_id)
);
CREATE INDEX group_members_group ON group_members (tenant_id, group_id);

CREATE TABLE keys (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    access_key TEXT NOT NULL,       -- the 16 characters inside the secret
    class TEXT NOT NULL,
    owner_id TEXT,
    label TEXT NOT NULL,
    switch TEXT NOT NULL,           -- on, off, revoked
    scopes TEXT,                    -- JSON array of rights; NULL is all that the owner has
    not_before BIGINT,
    expires_at BIGINT,              -- NULL is never
    idle_seconds BIGINT,
    conditions TEXT,
    limits TEXT,
    credits_granted BIGINT,
    credits_left BIGINT,            -- what no node has leased yet
    credits_granted_at BIGINT,      -- a lease of an earlier grant is void
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    revoked_at BIGINT,
    revoked_by TEXT,
    revoked_reason TEXT,
    exposed_at BIGINT,              -- seen in a URL (KEY-12)
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX keys_access_key ON keys (access_key);
CREATE INDEX keys_owner ON keys (tenant_id, owner_id) WHERE owner_id IS NOT NULL;

CREATE TABLE key_secrets (
    tenant_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    generation BIGINT NOT NULL,
    pepper_id BIGINT NOT NULL,
    hash TEXT NOT NULL,
    hint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    retires_at BIGINT,
    PRIMARY KEY (tenant_id, key_id, generation)
);

-- Written behind by the verify path, never by it (X8, KEY-14).
CREATE TABLE key_seen (
    tenant_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    generation BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    address TEXT,
    agent TEXT,
    PRIMARY KEY (tenant_id, key_id, generation)
);
CREATE TABLE key_hours (
    tenant_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    hour BIGINT NOT NULL,           -- start of the hour
    outcome TEXT NOT NULL,          -- ok or a reason code
    uses BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, key_id, hour, outcome)
);

-- The change feed: which facts changed, in commit order without gaps.
CREATE TABLE change_clock (
    id BIGINT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL
);
INSERT INTO change_clock (id, seq) VALUES (1, 0);
CREATE TABLE changes (
    seq BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,             -- key, user, tenant, pepper
    tenant_id TEXT NOT NULL,
    subject TEXT NOT NULL
);

CREATE TABLE audit_events (
    tenant_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    target_id TEXT NOT NULL,
    body TEXT NOT NULL,             -- the event as JSON, exactly as hashed
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);
CREATE TABLE audit_checkpoints (
    tenant_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    hash TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);

CREATE TABLE idempotency (
    tenant_id TEXT NOT NULL,
    principal TEXT NOT NULL,
    idem_key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    committed BOOLEAN NOT NULL,     -- set in the transaction that made the change
    status BIGINT,                  -- set once the answer is known
    headers TEXT,
    body TEXT,                      -- never holds a secret
    PRIMARY KEY (tenant_id, principal, idem_key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);
