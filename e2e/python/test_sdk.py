"""The official Python SDK through the gateway."""

from __future__ import annotations

import asyncio
import json
import time

import anthropic
import pytest

MODEL = "claude-opus-5-5"
HELLO = [{"role": "user", "content": "hi"}]
ANSWER = "Hello from the mock"
IDENTITY = {"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude."}
STYLE = {"type": "text", "text": "Be brief. 简短。", "cache_control": {"type": "ephemeral"}}
# anthropic 2 sends every kind of key as a bearer token, anthropic 0 tells them apart.
SENDS_X_API_KEY = anthropic.__version__.startswith("0.")


@pytest.fixture
def client(stack, marker):
    headers = {"x-e2e-marker": marker}
    with anthropic.Anthropic(
        api_key="sk-test", base_url=stack.gateway, max_retries=0, timeout=60, default_headers=headers
    ) as client:
        yield client


@pytest.fixture
def faulty(stack):
    """A client whose upstream answers with the status in x-mock-status."""
    with anthropic.Anthropic(api_key="sk-test", base_url=stack.faulty_gateway, max_retries=0, timeout=60) as client:
        yield client


def ask(client, **more):
    return client.messages.create(**({"model": MODEL, "max_tokens": 64, "messages": HELLO} | more))


def text_of(message) -> str:
    return "".join(block.text for block in message.content)


def test_message(client, stack, marker):
    message = ask(client)
    assert text_of(message) == ANSWER
    assert (message.model, message.stop_reason) == (MODEL, "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (42, 9)
    assert message._request_id == "req_mock0001", "the upstream's request-id"
    assert stack.only(marker).line == "POST /v1/messages HTTP/1.1"


def test_headers_that_the_sdk_exposes(client):
    answer = client.messages.with_raw_response.create(model=MODEL, max_tokens=64, messages=HELLO)
    assert answer.headers["anthropic-ratelimit-requests-remaining"] == "49"
    assert answer.headers["x-request-id"]
    assert text_of(answer.parse()) == ANSWER


def test_stream_events_come_one_by_one(client, stack):
    arrivals = []
    for event in ask(client, stream=True):
        arrivals.append((time.monotonic(), event.type))
    kinds = [kind for _, kind in arrivals]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    assert kinds.count("content_block_delta") == len(ANSWER.split())
    # The upstream waits gap_s before each event. Were they held back, they would arrive together.
    took = arrivals[-1][0] - arrivals[0][0]
    assert took >= 0.8 * stack.gap_s * (len(arrivals) - 1), f"{len(arrivals)} events within {took:.3f} s"


def test_stream_helper(client):
    with client.messages.stream(model=MODEL, max_tokens=64, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == ANSWER
        message = stream.get_final_message()
    assert message.usage.output_tokens == 9
    assert message.stop_reason == "end_turn"


def test_leaving_a_stream_early_leaves_the_gateway_well(client):
    with client.messages.stream(model=MODEL, max_tokens=64, messages=HELLO) as stream:
        next(iter(stream))
    assert text_of(ask(client)) == ANSWER


def test_many_streams_at_once(stack):
    async def one(client) -> str:
        async with client.messages.stream(model=MODEL, max_tokens=64, messages=HELLO) as stream:
            return await stream.get_final_text()

    async def many() -> list[str]:
        async with anthropic.AsyncAnthropic(api_key="sk-test", base_url=stack.gateway, max_retries=0) as client:
            return await asyncio.gather(*(one(client) for _ in range(50)))

    assert asyncio.run(many()) == [ANSWER] * 50


def test_count_tokens(client, stack, marker):
    count = client.messages.count_tokens(model=MODEL, messages=HELLO, system=[IDENTITY])
    assert count.input_tokens == 42
    assert stack.only(marker).json["system"] == [IDENTITY], "only POST /v1/messages is rewritten"


def test_models(client, stack, marker):
    models = list(client.models.list(limit=1000))
    assert [model.id for model in models] == [MODEL, "claude-sonnet-4-5-20250929"]
    assert stack.only(marker).line == "GET /v1/models?limit=1000 HTTP/1.1"


def test_beta_query_and_header(client, stack, marker):
    # anthropic 0 adds the query by itself, anthropic 2 does not.
    message = client.beta.messages.create(
        model=MODEL,
        max_tokens=64,
        messages=HELLO,
        betas=["claude-code-20250219", "context-1m-2025-08-07"],
        extra_query={"beta": "true"},
    )
    assert text_of(message) == ANSWER
    request = stack.only(marker)
    assert request.line == "POST /v1/messages?beta=true HTTP/1.1"
    assert ",".join(request.all("anthropic-beta")) == "claude-code-20250219,context-1m-2025-08-07"


def test_api_key(client, stack, marker):
    ask(client)
    request = stack.only(marker)
    if SENDS_X_API_KEY:
        assert (request.all("x-api-key"), request.all("authorization")) == (["sk-test"], [])
    else:
        assert (request.all("x-api-key"), request.all("authorization")) == ([], ["Bearer sk-test"])


def test_auth_token(stack, marker):
    headers = {"x-e2e-marker": marker}
    with anthropic.Anthropic(auth_token="token", base_url=stack.gateway, default_headers=headers) as client:
        ask(client)
    request = stack.only(marker)
    assert (request.all("x-api-key"), request.all("authorization")) == ([], ["Bearer token"])


def test_the_first_system_text_is_replaced_and_nothing_else(client, stack, marker):
    ask(client, system=[IDENTITY, STYLE], metadata={"user_id": "someone"})
    request = stack.only(marker)
    assert request.json == {
        "model": MODEL,
        "max_tokens": 64,
        "messages": HELLO,
        "metadata": {"user_id": "someone"},
        "system": [{"type": "text", "text": stack.replacement}, STYLE],
    }
    assert request.all("content-length") == [str(len(request.body))]


def test_the_replacement_in_a_stream_request(client, stack, marker):
    events = list(ask(client, system=[IDENTITY], stream=True))
    assert events[-1].type == "message_stop"
    assert stack.only(marker).json["system"] == [{"type": "text", "text": stack.replacement}]


@pytest.mark.parametrize("system", ["a string", [], None], ids=["string", "empty", "absent"])
def test_what_has_no_first_system_text_goes_through_unchanged(client, stack, marker, system):
    ask(client, **({} if system is None else {"system": system}))
    assert stack.only(marker).json.get("system") == system


def test_a_large_message_arrives_whole(client, stack, marker):
    text = "Größe 大 \U0001f600 \\ \" \u2028 " * 120_000
    ask(client, messages=[{"role": "user", "content": text}], system=[IDENTITY])
    request = stack.only(marker)
    assert len(request.body) > 3_000_000
    assert request.json["messages"][0]["content"] == text
    assert request.json["system"][0]["text"] == stack.replacement


def gateway_error(raised, status: int, kind: str):
    """Checks that an error which the gateway made has what the SDK shows to its user."""
    error = raised.value
    assert error.status_code == status
    assert error.body["type"] == "error"
    assert error.body["error"]["type"] == kind
    assert len(error.body["error"]["message"]) > 10
    assert error.body["request_id"]
    assert error.body["request_id"] == error.response.headers["x-request-id"]
    assert error.request_id, "the SDK's own request id, from the header request-id"


def test_too_large_is_a_413_of_the_gateway(client, stack, marker):
    text = "x" * (33 * 1024 * 1024)
    with pytest.raises(anthropic.APIStatusError) as raised:
        ask(client, messages=[{"role": "user", "content": text}])
    gateway_error(raised, 413, "request_too_large")
    assert stack.recorded(marker) == [], "nothing reached the upstream"


def test_a_malformed_host_is_a_400_of_the_gateway(client, stack, marker):
    with pytest.raises(anthropic.BadRequestError) as raised:
        ask(client, extra_headers={"Host": "not,a host"})
    gateway_error(raised, 400, "invalid_request_error")
    assert stack.recorded(marker) == [], "nothing reached the upstream"


def test_after_an_error_the_client_goes_on(client):
    with pytest.raises(anthropic.APIStatusError):
        ask(client, extra_headers={"Host": "not,a host"})
    assert text_of(ask(client)) == ANSWER


@pytest.mark.parametrize(
    ("status", "kind", "error_class"),
    [(529, "overloaded_error", anthropic.OverloadedError), (429, "rate_limit_error", anthropic.RateLimitError)],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_upstream_error_is_the_upstreams_own(faulty, status, kind, error_class, stream):
    with pytest.raises(error_class) as raised:
        ask(faulty, stream=stream, extra_headers={"x-mock-status": str(status)})
    error = raised.value
    assert error.status_code == status
    expected = {"type": "error", "error": {"type": kind, "message": "said by the upstream"}, "request_id": "req_faulty"}
    assert json.loads(error.response.content) == expected
    assert error.request_id == "req_faulty"
    assert (error.response.headers["retry-after"], error.response.headers["x-should-retry"]) == ("7", "false")


def test_an_unknown_path_and_its_query_go_through(stack, marker):
    with anthropic.Anthropic(api_key="sk-test", base_url=stack.gateway, max_retries=0) as client:
        with pytest.raises(anthropic.NotFoundError) as raised:
            client.get("/v1/nothing?a=1&a=2", cast_to=object, options={"headers": {"x-e2e-marker": marker}})
        assert raised.value.request_id == "req_mock0001"
    assert stack.only(marker).line == "GET /v1/nothing?a=1&a=2 HTTP/1.1"
