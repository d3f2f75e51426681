-- About how many bytes a row takes of a request that anybody can send (RequestRecord::is_stray); NULL for all others.
ALTER TABLE requests ADD COLUMN stray_bytes BIGINT;
UPDATE requests SET stray_bytes = 1000 WHERE outcome = 'rejected';
CREATE INDEX requests_stray ON requests (started_ms, stray_bytes) WHERE stray_bytes IS NOT NULL;
