-- What requests with a prompt look like, for dry runs: crates/gateway-core/src/prompt_shape/kept.rs says how. A row goes with that
-- of its request.
CREATE TABLE shapes (
    id TEXT PRIMARY KEY NOT NULL,
    started_ms BIGINT NOT NULL,
    shape TEXT NOT NULL
);
CREATE INDEX shapes_started ON shapes (started_ms);
