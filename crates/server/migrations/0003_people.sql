-- Logins of people: passwords, the links that set them, sessions, failed attempts.

-- The PHC string of Argon2id, sealed for this user (STO-4, STO-5).
CREATE TABLE passwords (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    sealed TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);

-- Tokens that set a password once: an invitation, or a reset (AUT-5, VER-7).
CREATE TABLE password_links (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,               -- the 16 characters inside the token
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,             -- invitation, reset
    pepper_id BIGINT NOT NULL,
    hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    rights TEXT NOT NULL,           -- what the user could do then
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX password_links_id ON password_links (id);
CREATE INDEX password_links_user ON password_links (tenant_id, user_id);

CREATE TABLE sessions (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    handle TEXT NOT NULL,           -- the 16 characters inside the token
    pepper_id BIGINT NOT NULL,
    hash TEXT NOT NULL,
    holder_id TEXT NOT NULL,        -- the user, or the workspace key that logged in
    method TEXT NOT NULL,           -- password, key
    in_cookie BOOLEAN NOT NULL,     -- its token counts in the cookie of a browser, or as bearer; never both
    access_key TEXT,                -- the key that logged in
    generation BIGINT,              -- and which of its secrets
    started_at BIGINT NOT NULL,
    stepped_up_at BIGINT NOT NULL,  -- the last proof of password or secret
    last_seen_at BIGINT NOT NULL,   -- written behind
    address TEXT,                   -- of the login
    agent TEXT,
    ended_at BIGINT,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX sessions_handle ON sessions (handle);
CREATE INDEX sessions_holder ON sessions (tenant_id, holder_id) WHERE ended_at IS NULL;

-- Failed logins by name, whether there is such a user or not (VER-2, VER-6).
CREATE TABLE login_attempts (
    id TEXT NOT NULL PRIMARY KEY,   -- keyed hash of tenant and canonical name
    tenant_id TEXT NOT NULL,        -- empty where there is no such tenant
    known BOOLEAN NOT NULL,         -- whether there was such a user at the last failure
    in_a_row BIGINT NOT NULL,
    series BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);
CREATE INDEX login_attempts_age ON login_attempts (in_a_row, last_at);

-- Everybody may see and end own sessions.
UPDATE roles SET rights = '["me:read","me/keys:*","me/sessions:*"]' WHERE built_in AND name = 'member';
