-- When a session ends that was opened for a stated time; the idle limit does not count for it.
ALTER TABLE sessions ADD COLUMN ends_at BIGINT;
