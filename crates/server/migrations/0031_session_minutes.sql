-- How long a session lasts that this user opens by the protocol of Seeq; the policy's times where there is none.
ALTER TABLE users ADD COLUMN session_minutes BIGINT;
