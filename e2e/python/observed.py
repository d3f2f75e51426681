"""Traffic of every kind through the gateway whose admin API and metrics are looked at."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

DEADLINE_S = 20
MODEL = "claude-sonnet-4-5"
SESSION = "e2e-session"


def wait(what: str, ready, deadline_s: float = DEADLINE_S):
    """Polls until `ready` gives something."""
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        if value := ready():
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {deadline_s} s")


@dataclass(frozen=True)
class Observed:
    gateway: str
    admin: str
    key: str

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=DEADLINE_S) as answer:
            return answer.read().decode()

    @contextmanager
    def answer(self, path: str = "/v1/messages", model: str = MODEL, stream: bool = False, **fields: str):
        """The answer to a request, as far as its head."""
        body = {"model": model, "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
        body["system"] = [{"type": "text", "text": "You are Claude Code, Anthropic's official CLI for Claude."}]
        headers = {
            "Content-Type": "application/json",
            "anthropic-version": "2023-06-01",
            # A key of its own: clients stay at the upstream that answered them.
            "x-api-key": f"sk-{uuid.uuid4().hex}",
            # An upstream that says when to come back is left alone until then.
            "x-mock-retry-after": "0",
        }
        headers |= {name.replace("_", "-"): value for name, value in fields.items()}
        connection = http.client.HTTPConnection(urlsplit(self.gateway).netloc, timeout=DEADLINE_S)
        try:
            connection.request("POST", path, json.dumps(body), headers)
            yield connection.getresponse()
        finally:
            connection.close()

    def ask(self, **request) -> int:
        """The status of the answer to a request; its body is read to the end, wherever that is."""
        with self.answer(**request) as answer:
            answer.read()
            return answer.status

    def give_up(self) -> None:
        """A client that goes away in the middle of a stream."""
        with self.answer(stream=True) as answer:
            assert answer.status == 200 and answer.readline().startswith(b"event:")
            answer.close()

    def rejected(self) -> None:
        """A request that no upstream sees."""
        address = urlsplit(self.gateway)
        with socket.create_connection((address.hostname, address.port), timeout=DEADLINE_S) as client:
            client.sendall(b"GET /v1/messages HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 400 ")

    def traffic(self) -> int:
        """Requests that end in every way that can be had quickly; how many they are."""
        asked = [
            (200, {"stream": True}),  # the first upstream fails, the second one answers
            (200, {"x_claude_code_session_id": SESSION}),
            (200, {"stream": True, "x_claude_code_session_id": SESSION, "x_claude_code_agent_id": "agent-1"}),
            (200, {"model": "a-model-without-a-price"}),
            (400, {"x_mock_status": "400"}),
            (401, {"x_mock_status": "401", "path": "/relay/v1/messages"}),
            (200, {"stream": True, "x_mock_stream": "cut"}),
            (200, {"stream": True, "x_mock_stream": "error"}),
        ]
        for status, request in asked:
            assert self.ask(**request) == status, request
        self.give_up()
        self.rejected()
        return len(asked) + 2

    def token(self, user: str, *limits: str) -> str:
        """A new client token of a new user, for the upstream that has keys of its own."""
        self.made("users", name=user)
        return self.made("tokens", user=user, name="default", upstreams=["keyed"], limits=list(limits))["token"]

    def made(self, what: str, **fields) -> dict:
        """What the admin API answers when it makes something."""
        head = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(f"{self.admin}/api/admin/{what}", json.dumps(fields).encode(), head)
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            return json.load(answer)

    def written(self) -> int:
        """Rows of the request log."""
        return int(re.search(r'^gateway_request_log_records_total{result="written"} (\d+)$', self.metrics(), re.M)[1])
