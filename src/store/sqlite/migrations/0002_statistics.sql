-- What else is known of a request. cost_nano in billionths of a US dollar; tried is a JSON list of {"upstream", "what"}.
ALTER TABLE requests ADD COLUMN queue_ms BIGINT;
ALTER TABLE requests ADD COLUMN connect_ms BIGINT;
ALTER TABLE requests ADD COLUMN tokens_per_second DOUBLE PRECISION;
ALTER TABLE requests ADD COLUMN agent TEXT;
ALTER TABLE requests ADD COLUMN parent_agent TEXT;
ALTER TABLE requests ADD COLUMN model_asked TEXT;
ALTER TABLE requests ADD COLUMN rules TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN tried TEXT;
ALTER TABLE requests ADD COLUMN error_message TEXT;
ALTER TABLE requests ADD COLUMN cause TEXT;
ALTER TABLE requests ADD COLUMN cost_nano BIGINT;
ALTER TABLE requests ADD COLUMN skipped_events INTEGER NOT NULL DEFAULT 0;
-- The column stays: a process that is being replaced still writes its last rows with it.
ALTER TABLE requests ADD COLUMN error_type TEXT;
UPDATE requests SET error_type = stream_error WHERE stream_error IS NOT NULL;
CREATE INDEX requests_session ON requests (session, started_ms) WHERE session IS NOT NULL;
CREATE INDEX requests_failed ON requests (started_ms) WHERE cause IS NOT NULL;

-- Texts that few requests have.
CREATE TABLE texts (
    id TEXT PRIMARY KEY NOT NULL,
    started_ms BIGINT NOT NULL,
    error_body TEXT,
    head TEXT,
    body TEXT,
    is_cut INTEGER NOT NULL
);
CREATE INDEX texts_started ON texts (started_ms);

-- Sums over a minute, ten of them, an hour or a day (span_s), which begins at at_s, seconds since 1970. A name that is not known is ''.
CREATE TABLE rollups (
    span_s INTEGER NOT NULL,
    at_s BIGINT NOT NULL,
    upstream TEXT NOT NULL,
    model TEXT NOT NULL,
    path TEXT NOT NULL,
    key_fingerprint TEXT NOT NULL,
    outcome TEXT NOT NULL,
    status TEXT NOT NULL,
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
    PRIMARY KEY (span_s, at_s, upstream, model, path, key_fingerprint, outcome, status)
) WITHOUT ROWID;

-- Which upstream and model a count of times is of.
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    upstream TEXT NOT NULL,
    model TEXT NOT NULL,
    UNIQUE (upstream, model)
);

-- How many requests took how long: buckets of src/store/latency.rs; series 0 is all of them together.
CREATE TABLE latencies (
    span_s INTEGER NOT NULL,
    at_s BIGINT NOT NULL,
    series INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    durations BIGINT NOT NULL,
    first_bytes BIGINT NOT NULL,
    first_tokens BIGINT NOT NULL,
    PRIMARY KEY (span_s, series, at_s, bucket)
) WITHOUT ROWID;

-- Rows that are there already count too, but for their percentiles.
INSERT INTO rollups
SELECT span.s, started_ms / 1000 / span.s * span.s, COALESCE(upstream, ''), COALESCE(model, ''),
    CASE WHEN path IN ('/v1/messages', '/v1/messages/count_tokens', '/v1/models', '/api/hello') THEN path ELSE 'other' END,
    COALESCE(key_fingerprint, ''), outcome, CASE status / 100 WHEN 0 THEN 'none' ELSE (status / 100) || 'xx' END,
    COUNT(*), SUM(attempts), SUM(duration_ms), COUNT(first_byte_ms), COALESCE(SUM(first_byte_ms), 0),
    COUNT(first_token_ms), COALESCE(SUM(first_token_ms), 0), SUM(request_bytes), SUM(response_bytes),
    COALESCE(SUM(input_tokens), 0), COALESCE(SUM(output_tokens), 0), COALESCE(SUM(cache_write_tokens), 0),
    COALESCE(SUM(cache_read_tokens), 0), 0, COUNT(input_tokens), SUM(tool_uses)
FROM requests, (SELECT 60 AS s UNION ALL SELECT 600 UNION ALL SELECT 3600 UNION ALL SELECT 86400) AS span
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
