"""Claude Code itself through the gateway, as a new user would try it: `claude -p hi`."""

from __future__ import annotations

import subprocess

import claude
import pytest
from conftest import Recorded

RELEASES = pytest.mark.parametrize("release", claude.RELEASES)


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory):
    for release in claude.RELEASES:
        env = claude.environment(tmp_path_factory.mktemp("version"), "http://127.0.0.1:9")
        command = [*claude.command(release), "--version"]
        tried = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        if tried.returncode or not tried.stdout.startswith(f"{release} "):
            pytest.fail(f"Claude Code {release} does not run here: {(tried.stderr or tried.stdout).strip()[:300]}")


@RELEASES
@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ({"ANTHROPIC_API_KEY": "sk-test"}, "x-api-key", "sk-test"),
        ({"ANTHROPIC_AUTH_TOKEN": "token"}, "authorization", "Bearer token"),
    ],
    ids=["api-key", "auth-token"],
)
def test_claude_says_what_the_upstream_answers(stack, tmp_path, release, key, field, value):
    seen = set(stack.heads())
    done = claude.printed(release, tmp_path, stack.gateway, "hi", **key)
    assert (done.returncode, done.stdout.strip()) == (0, "Hello from the mock"), done.stderr
    new = [Recorded.read(head) for head in stack.heads() if head not in seen]
    requests = [request for request in new if "/v1/messages" in request.line]
    assert requests, "nothing reached the upstream"
    for request in requests:
        assert request.all(field) == [value]
        assert request.all("content-length") == [str(len(request.body))]
        assert request.json["stream"] is True
    # Its first system block is the attribution or the identity, by release; the setting replaces the first one.
    assert any(request.json["system"][0]["text"] == stack.replacement for request in requests)
    assert any("claude-code-20250219" in ",".join(request.all("anthropic-beta")) for request in requests)
