-- A webhook that takes nothing is sent one message at a time, and none before this.
ALTER TABLE webhooks ADD COLUMN probe_at BIGINT;
CREATE INDEX webhooks_probe ON webhooks (probe_at) WHERE probe_at IS NOT NULL;
CREATE INDEX tenants_suspended ON tenants (id) WHERE suspended_at IS NOT NULL;
