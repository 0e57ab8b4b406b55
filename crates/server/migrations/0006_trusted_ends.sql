-- Revocations are read and forgotten by the end of their token.
CREATE INDEX revoked_tokens_end ON revoked_tokens (expires_at);

-- A generation that is dead loses its sealed secret; what is kept tells only whether a secret was it.
ALTER TABLE trusted_generations ADD COLUMN digest TEXT;
