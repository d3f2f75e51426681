-- What is summed up of sessions, kinds of agents and clients, session by session: without a look at the rows, which take seven
-- times as much room. In place of the index of sessions, as which it begins.
CREATE INDEX requests_summed ON requests (session, started_ms, duration_ms, outcome, attempts, first_byte_ms, first_token_ms,
    request_bytes, response_bytes, input_tokens, output_tokens, cache_write_tokens, cache_read_tokens, cost_nano, estimated,
    tool_uses, agent_type, client);
DROP INDEX requests_session;
