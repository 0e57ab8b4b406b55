-- Keys that were made elsewhere and are brought along by the hash of their credential.
ALTER TABLE keys ADD COLUMN imported_from TEXT;     -- the name of the import
ALTER TABLE keys ADD COLUMN imported_at BIGINT;
ALTER TABLE keys ADD COLUMN external_id TEXT;       -- what the key is called there
CREATE UNIQUE INDEX keys_external ON keys (tenant_id, imported_from, external_id)
    WHERE imported_from IS NOT NULL;

-- The one way from a credential without our form to its key. The handle is a keyed hash of what is known
-- of the credential (its foreign hash, or its public part), so that nobody can try guesses on a copy.
CREATE TABLE imported_secrets (
    handle TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    access_key TEXT NOT NULL,
    generation BIGINT NOT NULL,
    sealed TEXT                     -- a slow hash, until the first use proves the credential
);
CREATE INDEX imported_secrets_key ON imported_secrets (tenant_id, key_id);

-- How credentials of imported keys are looked up.
CREATE TABLE import_ways (
    tenant_id TEXT NOT NULL,
    source TEXT NOT NULL,
    way TEXT NOT NULL,              -- text, sha256, sha512, hmac, prefix:8
    sealed TEXT,                    -- the key of hmac
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, source, way)
);
