-- Whose client token a request had. Rows of before, and of an earlier version, have none.
ALTER TABLE requests ADD COLUMN user_name TEXT;
ALTER TABLE requests ADD COLUMN group_name TEXT;
ALTER TABLE requests ADD COLUMN token_id TEXT;
CREATE INDEX requests_by_token ON requests (token_id, started_ms) WHERE token_id IS NOT NULL;
