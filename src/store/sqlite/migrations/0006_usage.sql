-- Whether the output was estimated, because the response ended before it was told; and what else the usage says.
ALTER TABLE requests ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN cache_write_5m_tokens BIGINT;
ALTER TABLE requests ADD COLUMN cache_write_1h_tokens BIGINT;
ALTER TABLE requests ADD COLUMN thinking_tokens BIGINT;
ALTER TABLE requests ADD COLUMN web_search_requests BIGINT;
ALTER TABLE requests ADD COLUMN web_fetch_requests BIGINT;
ALTER TABLE requests ADD COLUMN service_tier TEXT;
ALTER TABLE requests ADD COLUMN inference_geo TEXT;
ALTER TABLE requests ADD COLUMN speed TEXT;
ALTER TABLE rollups ADD COLUMN estimated BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN estimated_output_tokens BIGINT NOT NULL DEFAULT 0;
