ALTER TABLE requests ADD COLUMN thinking_action TEXT;
ALTER TABLE requests ADD COLUMN thinking_dropped BIGINT;
