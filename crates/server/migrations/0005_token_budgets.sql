-- How often tokens with a budget may still be used; nodes take uses out of here in leases.
CREATE TABLE token_budgets (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,               -- token_…
    remaining BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,     -- end of the token, seconds
    PRIMARY KEY (tenant_id, id)
);
