-- Sums by the quarter of an hour, with which days begin and end in every zone. Of the last days they are made of those by
-- the minute. Before that only hours are known: all of an hour counts in its first quarter then, and so only once.
CREATE TEMP TABLE first_minute AS
    SELECT COALESCE((MIN(at_s) + 3599) / 3600 * 3600, 9223372036854775807) AS at_s FROM rollups WHERE span_s = 60;

INSERT INTO rollups
SELECT 900, at_s / 900 * 900, upstream, model, path, key_fingerprint, outcome, status,
    SUM(requests), SUM(attempts), SUM(duration_ms), SUM(first_bytes), SUM(first_byte_ms), SUM(first_tokens),
    SUM(first_token_ms), SUM(request_bytes), SUM(response_bytes), SUM(input_tokens), SUM(output_tokens),
    SUM(cache_write_tokens), SUM(cache_read_tokens), SUM(cost_nano), SUM(unpriced), SUM(tool_uses), SUM(estimated),
    SUM(estimated_output_tokens)
FROM rollups WHERE span_s = 60 AND at_s >= (SELECT at_s FROM first_minute)
    OR span_s = 3600 AND at_s < (SELECT at_s FROM first_minute)
GROUP BY 2, 3, 4, 5, 6, 7, 8;

INSERT INTO latencies
SELECT 900, at_s / 900 * 900, series, bucket, SUM(durations), SUM(first_bytes), SUM(first_tokens)
FROM latencies WHERE span_s = 60 AND at_s >= (SELECT at_s FROM first_minute)
    OR span_s = 3600 AND at_s < (SELECT at_s FROM first_minute)
GROUP BY 2, 3, 4;

DROP TABLE first_minute;
