-- What the client says that a request is for.
ALTER TABLE requests ADD COLUMN request_class TEXT;
