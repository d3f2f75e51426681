-- The requests of a user, of whom there may be few in a long log.
CREATE INDEX requests_by_user ON requests (user_name, started_ms) WHERE user_name IS NOT NULL;
