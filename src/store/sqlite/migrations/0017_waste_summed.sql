-- Sums of sessions have what they lost of the prompt cache too.
DROP INDEX requests_summed;
CREATE INDEX requests_summed ON requests (session, started_ms, duration_ms, outcome, attempts, first_byte_ms, first_token_ms,
    request_bytes, response_bytes, input_tokens, output_tokens, cache_write_tokens, cache_read_tokens, cost_nano, estimated,
    tool_uses, waste_tokens, waste_nano, agent_type, client);
