-- What was written to the prompt cache although it had been there, and what decides that of later requests: digests of
-- prompts as they came, and as they went out where that differs, and how long they live in the cache.
ALTER TABLE requests ADD COLUMN waste_cause TEXT;
ALTER TABLE requests ADD COLUMN waste_tokens BIGINT;
ALTER TABLE requests ADD COLUMN waste_nano BIGINT;
ALTER TABLE requests ADD COLUMN waste_detail TEXT;
ALTER TABLE requests ADD COLUMN came_tools BIGINT;
ALTER TABLE requests ADD COLUMN came_system BIGINT;
ALTER TABLE requests ADD COLUMN came_settings BIGINT;
ALTER TABLE requests ADD COLUMN came_history BIGINT;
ALTER TABLE requests ADD COLUMN came_blocks BIGINT;
ALTER TABLE requests ADD COLUMN sent_tools BIGINT;
ALTER TABLE requests ADD COLUMN sent_system BIGINT;
ALTER TABLE requests ADD COLUMN sent_settings BIGINT;
ALTER TABLE requests ADD COLUMN sent_history BIGINT;
ALTER TABLE requests ADD COLUMN sent_blocks BIGINT;
ALTER TABLE requests ADD COLUMN head_lives_s BIGINT;
ALTER TABLE requests ADD COLUMN history_lives_s BIGINT;
CREATE INDEX requests_waste ON requests (started_ms, session, waste_cause, waste_tokens, waste_nano)
    WHERE waste_tokens IS NOT NULL;
CREATE INDEX requests_cached ON requests (started_ms) WHERE came_history IS NOT NULL;
