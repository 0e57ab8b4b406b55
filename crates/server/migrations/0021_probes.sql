-- A webhook that takes nothing is sent one message at a time, and none before this.
ALTER TABLE webhooks ADD COLUMN probe_at BIGINT;
CREATE INDEX webhooks_probe ON webhooks (probe_at) WHERE probe_at IS NOT NULL;
CREATE INDEX tenants_suspended ON tenants (id) WHERE suspended_at IS NOT NULL;

-- The link to a secret may end before the secret does.
ALTER TABLE handovers ADD COLUMN link_expires_at BIGINT;
UPDATE handovers SET link_expires_at = expires_at WHERE handle IS NOT NULL;

-- When a user was last sent a mail about what could be many.
CREATE TABLE mail_pauses (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    mailed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id, kind)
);
