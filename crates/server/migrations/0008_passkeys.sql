-- Passkeys (WebAuthn): factors of the kind `passkey`, which are also enough alone (AUT-4).

-- What a passkey calls itself, in base64url; `sealed` holds its public key, so that nobody who writes
-- to the database alone puts an own one in its place.
ALTER TABLE factors ADD COLUMN credential_id TEXT;
-- The newest signature counter of a passkey; 0 where its device does not count.
ALTER TABLE factors ADD COLUMN counter BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX factors_credential ON factors (credential_id);

-- Challenges that a passkey has answered, until they are over: they are made without being stored, and
-- work once (VER-7).
CREATE TABLE used_passkey_challenges (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL PRIMARY KEY,   -- the random part
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_passkey_challenges_age ON used_passkey_challenges (expires_at);
