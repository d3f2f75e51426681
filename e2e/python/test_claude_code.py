"""Claude Code itself through the gateway, as a new user would try it: `claude -p hi`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Recorded

MODULES = Path(__file__).resolve().parent.parent / "node_modules"
LAUNCHER = MODULES / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"


def claude(stack, home: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess:
    command = [shutil.which("node"), str(LAUNCHER), *arguments]
    base = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "ANTHROPIC_BASE_URL": stack.gateway,
    }
    work = home / "work"
    work.mkdir()
    return subprocess.run(
        command, cwd=work, env=base | env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory):
    if not LAUNCHER.exists():
        pytest.fail("npm did not install @anthropic-ai/claude-code")
    home = tmp_path_factory.mktemp("version")
    command = ["node", str(LAUNCHER), "--version"]
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "DISABLE_AUTOUPDATER": "1"}
    tried = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if tried.returncode != 0:
        pytest.fail(f"Claude Code does not run here: {(tried.stderr or tried.stdout).strip()[:300]}")


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ({"ANTHROPIC_API_KEY": "sk-test"}, "x-api-key", "sk-test"),
        ({"ANTHROPIC_AUTH_TOKEN": "token"}, "authorization", "Bearer token"),
    ],
    ids=["api-key", "auth-token"],
)
def test_claude_says_what_the_upstream_answers(stack, tmp_path, key, field, value):
    seen = set(stack.heads())
    done = claude(stack, tmp_path, "-p", "hi", **key)
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
