-- Why thinking that came back may not have been valid where the request went, and what differed.
ALTER TABLE requests ADD COLUMN moved TEXT;
ALTER TABLE requests ADD COLUMN moved_by TEXT;
