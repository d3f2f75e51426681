-- The key of the upstream that a request went out with, by its name or its fingerprint.
ALTER TABLE requests ADD COLUMN upstream_key TEXT;

-- Sums by it, too: it is part of the key, so that the table is made anew. What was summed up before, and what a process that
-- is being replaced still writes, has the name ''.
CREATE TABLE rollups_by_key (
    span_s INTEGER NOT NULL,
    at_s BIGINT NOT NULL,
    upstream TEXT NOT NULL,
    model TEXT NOT NULL,
    path TEXT NOT NULL,
    key_fingerprint TEXT NOT NULL,
    outcome TEXT NOT NULL,
    status TEXT NOT NULL,
    request_class TEXT NOT NULL DEFAULT '',
    upstream_key TEXT NOT NULL DEFAULT '',
    requests BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    first_bytes BIGINT NOT NULL,
    first_byte_ms BIGINT NOT NULL,
    first_tokens BIGINT NOT NULL,
    first_token_ms BIGINT NOT NULL,
    request_bytes BIGINT NOT NULL,
    response_bytes BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cost_nano BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    tool_uses BIGINT NOT NULL,
    estimated BIGINT NOT NULL DEFAULT 0,
    estimated_output_tokens BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (span_s, at_s, upstream, model, path, key_fingerprint, outcome, status, request_class, upstream_key)
) WITHOUT ROWID;

INSERT INTO rollups_by_key
SELECT span_s, at_s, upstream, model, path, key_fingerprint, outcome, status, request_class, '', requests, attempts, duration_ms,
    first_bytes, first_byte_ms, first_tokens, first_token_ms, request_bytes, response_bytes, input_tokens, output_tokens,
    cache_write_tokens, cache_read_tokens, cost_nano, unpriced, tool_uses, estimated, estimated_output_tokens
FROM rollups;

DROP TABLE rollups;
ALTER TABLE rollups_by_key RENAME TO rollups;
