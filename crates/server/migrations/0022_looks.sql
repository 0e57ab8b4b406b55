-- How the console looks to a user: `light`, `dark` or `system`, the zone that times are told in, and whether single
-- keys do something. Nothing where the user has chosen nothing.
ALTER TABLE users ADD COLUMN theme TEXT;
ALTER TABLE users ADD COLUMN zone TEXT;
ALTER TABLE users ADD COLUMN single_keys BOOLEAN;
