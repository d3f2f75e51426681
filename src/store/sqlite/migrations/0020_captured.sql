-- Whole captures are few among many error bodies, and are looked for whenever requests for a dry run are listed.
CREATE INDEX texts_captured ON texts (started_ms) WHERE head IS NOT NULL AND NOT is_cut;
