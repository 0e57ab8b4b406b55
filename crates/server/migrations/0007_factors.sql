-- Second factors of people (AUT-4).

CREATE TABLE factors (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,             -- totp
    name TEXT NOT NULL,
    sealed TEXT NOT NULL,           -- the seed, sealed for this row (STO-6)
    last_step BIGINT NOT NULL,      -- no code of this time step, or of one before it, works again (VER-7)
    created_at BIGINT NOT NULL,
    confirmed_at BIGINT,            -- until then it counts for nothing
    last_used_at BIGINT,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX factors_user ON factors (tenant_id, user_id);

-- The PHC strings of Argon2id, each sealed for its row (STO-1).
CREATE TABLE recovery_codes (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    number BIGINT NOT NULL,         -- what the code begins with, so that one hash is enough to check it
    sealed TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (tenant_id, user_id, number)
);

-- Logins whose password was right and whose second factor is missing.
CREATE TABLE login_challenges (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,               -- the 16 characters inside the token
    user_id TEXT NOT NULL,
    pepper_id BIGINT NOT NULL,
    hash TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX login_challenges_id ON login_challenges (id);
CREATE INDEX login_challenges_user ON login_challenges (tenant_id, user_id);

-- What was given beside the password: totp, recovery_code.
ALTER TABLE sessions ADD COLUMN second_factor TEXT;
