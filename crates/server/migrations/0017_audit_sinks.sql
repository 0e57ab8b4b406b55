-- Who sends events to a sink (syslog), so that of several nodes one does, and how far it came.
CREATE TABLE audit_sinks (
    sink TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,           -- a process
    held_until BIGINT NOT NULL
);
CREATE TABLE audit_sink_cursors (
    tenant_id TEXT NOT NULL,
    sink TEXT NOT NULL,
    seq BIGINT NOT NULL,            -- the last event that was taken
    PRIMARY KEY (tenant_id, sink)
);
