-- The request log in PostgreSQL: the columns of src/store/columns.rs, as src/store/sqlite/migrations has them. All numbers are
-- BIGINT. Texts are sorted by their bytes, as SQLite sorts them.
CREATE SEQUENCE requests_seq;

-- One row for each request that is over, in partitions by the day on which it began. Times in milliseconds, started_ms since
-- 1970. seq is no identity: a partitioned table has those from PostgreSQL 17 on.
CREATE TABLE requests (
    seq BIGINT NOT NULL DEFAULT nextval('requests_seq'),
    id TEXT COLLATE "C" NOT NULL,
    started_ms BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    first_byte_ms BIGINT,
    first_token_ms BIGINT,
    longest_gap_ms BIGINT,
    client TEXT COLLATE "C",
    http TEXT COLLATE "C" NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    status BIGINT NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    upstream TEXT COLLATE "C",
    attempts BIGINT NOT NULL,
    request_bytes BIGINT NOT NULL,
    response_bytes BIGINT NOT NULL,
    key_fingerprint TEXT COLLATE "C",
    session TEXT COLLATE "C",
    rewrite TEXT COLLATE "C" NOT NULL,
    model TEXT COLLATE "C",
    is_stream BIGINT NOT NULL,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cache_write_tokens BIGINT,
    cache_read_tokens BIGINT,
    stop_reason TEXT COLLATE "C",
    tool_uses BIGINT NOT NULL,
    events BIGINT NOT NULL,
    queue_ms BIGINT,
    connect_ms BIGINT,
    tokens_per_second DOUBLE PRECISION,
    agent TEXT COLLATE "C",
    parent_agent TEXT COLLATE "C",
    model_asked TEXT COLLATE "C",
    rules TEXT COLLATE "C" NOT NULL DEFAULT '',
    tried TEXT COLLATE "C",
    error_message TEXT COLLATE "C",
    cause TEXT COLLATE "C",
    cost_nano BIGINT,
    skipped_events BIGINT NOT NULL DEFAULT 0,
    error_type TEXT COLLATE "C",
    stray_bytes BIGINT,
    request_class TEXT COLLATE "C",
    agent_type TEXT COLLATE "C",
    estimated BIGINT NOT NULL DEFAULT 0,
    cache_write_5m_tokens BIGINT,
    cache_write_1h_tokens BIGINT,
    thinking_tokens BIGINT,
    web_search_requests BIGINT,
    web_fetch_requests BIGINT,
    service_tier TEXT COLLATE "C",
    inference_geo TEXT COLLATE "C",
    speed TEXT COLLATE "C",
    model_label TEXT COLLATE "C",
    compaction TEXT COLLATE "C",
    context_compacted TEXT COLLATE "C",
    prompt_id TEXT COLLATE "C",
    moved TEXT COLLATE "C",
    moved_by TEXT COLLATE "C",
    thinking_action TEXT COLLATE "C",
    thinking_dropped BIGINT,
    upstream_key TEXT COLLATE "C",
    error_code TEXT COLLATE "C",
    error_rule TEXT COLLATE "C",
    waste_cause TEXT COLLATE "C",
    waste_tokens BIGINT,
    waste_nano BIGINT,
    waste_detail TEXT COLLATE "C",
    came_tools BIGINT,
    came_system BIGINT,
    came_settings BIGINT,
    came_history BIGINT,
    came_blocks BIGINT,
    sent_tools BIGINT,
    sent_system BIGINT,
    sent_settings BIGINT,
    sent_history BIGINT,
    sent_blocks BIGINT,
    head_lives_s BIGINT,
    history_lives_s BIGINT,
    tools TEXT COLLATE "C",
    user_name TEXT COLLATE "C",
    group_name TEXT COLLATE "C",
    token_id TEXT COLLATE "C",
    PRIMARY KEY (id, started_ms)
) PARTITION BY RANGE (started_ms);
ALTER SEQUENCE requests_seq OWNED BY requests.seq;

CREATE INDEX requests_started ON requests (started_ms, seq);
CREATE INDEX requests_by_seq ON requests (seq);
CREATE INDEX requests_session ON requests (session, started_ms) WHERE session IS NOT NULL;
CREATE INDEX requests_failed ON requests (started_ms) WHERE cause IS NOT NULL;
CREATE INDEX requests_stray ON requests (started_ms, stray_bytes) WHERE stray_bytes IS NOT NULL;
CREATE INDEX requests_waste ON requests (started_ms) WHERE waste_tokens IS NOT NULL;
CREATE INDEX requests_cached ON requests (started_ms) WHERE came_history IS NOT NULL;
CREATE INDEX requests_by_token ON requests (token_id, started_ms) WHERE token_id IS NOT NULL;
CREATE INDEX requests_by_user ON requests (user_name, started_ms) WHERE user_name IS NOT NULL;

-- Texts that few requests have; their partitions go with those of the rows.
CREATE TABLE texts (
    id TEXT COLLATE "C" NOT NULL,
    started_ms BIGINT NOT NULL,
    error_body TEXT,
    head TEXT,
    body TEXT,
    is_cut BOOLEAN NOT NULL,
    PRIMARY KEY (id, started_ms)
) PARTITION BY RANGE (started_ms);
CREATE INDEX texts_captured ON texts (started_ms) WHERE head IS NOT NULL AND NOT is_cut;

-- What requests with a prompt look like, for dry runs: of so many, the newest.
CREATE TABLE shapes (
    id TEXT COLLATE "C" PRIMARY KEY,
    started_ms BIGINT NOT NULL,
    shape TEXT NOT NULL
);
CREATE INDEX shapes_started ON shapes (started_ms);

-- Sums over a minute, a quarter of an hour, an hour or a day (span_s), which begins at at_s, seconds since 1970. A name that
-- is not known is ''. Each gateway has sums of its own; those of gateway '' are what costs made anew have changed.
CREATE TABLE rollups (
    span_s BIGINT NOT NULL,
    at_s BIGINT NOT NULL,
    upstream TEXT COLLATE "C" NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    key_fingerprint TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    request_class TEXT COLLATE "C" NOT NULL DEFAULT '',
    upstream_key TEXT COLLATE "C" NOT NULL DEFAULT '',
    gateway TEXT COLLATE "C" NOT NULL,
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
    PRIMARY KEY (span_s, at_s, upstream, model, path, key_fingerprint, outcome, status, request_class, upstream_key, gateway)
);

-- Which upstream and model a count of times is of.
CREATE TABLE series (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    upstream TEXT COLLATE "C" NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    UNIQUE (upstream, model)
);

-- How many requests took how long: buckets of src/store/latency.rs; series 0 is all of them together.
CREATE TABLE latencies (
    span_s BIGINT NOT NULL,
    at_s BIGINT NOT NULL,
    series BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    gateway TEXT COLLATE "C" NOT NULL,
    durations BIGINT NOT NULL,
    first_bytes BIGINT NOT NULL,
    first_tokens BIGINT NOT NULL,
    PRIMARY KEY (span_s, series, at_s, bucket, gateway)
);

-- Batches that were written: one whose commit was answered by a cut connection is repeated, and found here.
CREATE TABLE log_batches (
    spool TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (spool, seq)
);
CREATE INDEX log_batches_at ON log_batches (at_ms);
