"""Starts the real gateway between the official clients and mock upstreams, runs every suite, and counts.

    run.py BINARIES     the folder that holds anyrouter-gateway and mock-upstream, such as target/debug

    clients -> gateway (a system prompt replacement is set) -> mock-upstream (records every request)
    clients -> gateway (nothing is set)                     -> a few lines of Python that answer with errors
    tests   -> gateway (request log, key, admin service)    -> the latter first, then the former
    Chromium -> panel of a gateway (a rule, a key)           -> mock-upstream
                                                                its log has a past of LOG_ROWS requests over LOG_DAYS days
    Chromium -> panel of a gateway at its first start        -> the same

The last line is `e2e: N passed, N failed, N skipped`; the exit code is 0 only when nothing failed and something ran.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree as ElementTree
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "python"))

from lost_caches import lose_caches  # noqa: E402
from stack import GAP_MS, Stack, free_port  # noqa: E402

REPLACEMENT = 'You are Claude Code, replaced by the "gateway".\n第二行'
SUITE_DEADLINE_S = 600
# Of a file of browser tests: three browsers that hang, and the rest.
FILE_DEADLINE_S = 480
# What failed, to stand at the end, where it is seen first.
FAILURES: list[str] = []
LOG_ROWS, LOG_DAYS = 100_000, 30


START = b'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-x","usage":{"input_tokens":3}}}\n\n'
ERROR = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"said by the upstream"}}\n\n'
STREAMS = {"cut": START, "error": START + ERROR}


class FaultyUpstream(BaseHTTPRequestHandler):
    """Answers every request with the status that its x-mock-status names, in the API's error shape, or with the stream
    that its x-mock-stream names."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one piece
    kinds = {429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if stream := STREAMS.get(self.headers.get("x-mock-stream")):
            return self.answer(200, {"Content-Type": "text/event-stream", "Content-Length": str(len(stream))}, stream)
        status = int(self.headers.get("x-mock-status", 500))
        error = {"type": self.kinds.get(status, "api_error"), "message": "said by the upstream"}
        body = json.dumps({"type": "error", "error": error, "request_id": "req_faulty"}).encode()
        fields = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "request-id": "req_faulty",
            "retry-after": self.headers.get("x-mock-retry-after", "7"),
            "x-should-retry": "false",
        }
        self.answer(status, fields, body)

    def do_GET(self) -> None:
        if self.path != "/balance":
            return self.send_error(501)
        body = json.dumps({"left": 12.5, "used": 7.5}).encode()
        self.answer(200, {"Content-Type": "application/json", "Content-Length": str(len(body))}, body)

    def answer(self, status: int, fields: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def faulty_upstream(cleanup: ExitStack) -> str:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FaultyUpstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cleanup.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}"


def observed_upstreams(faulty: str, upstream: str) -> str:
    """One that fails, one with two addresses that answers, and two with keys of their own, which only a client's key leads
    to that nobody has: one is tested, of the other the balance is known. And somebody who is told when something breaks."""
    balance = "kind: custom, path: /balance, remaining: /left, used: /used, unit: USD"
    line = upstream.removeprefix("http://").replace("127.0.0.1", "localhost")
    keys = "{key: sk-own-1, name: first}, {key: sk-own-2, name: second}"
    return f"""  upstreams:
    - {{name: faulty, base_url: {faulty}}}
    - {{name: mock, base_url: {upstream}, priority: 1, lines: ["{line}"]}}
    - {{name: keyed, base_url: {upstream}, priority: 2, test: {{every: 1h, model: claude-opus-5-5}}, api_keys: [{keys}]}}
    - {{name: billed, base_url: {faulty}, priority: 3, api_key: sk-own-3, balance: {{{balance}}}}}
  routes: [{{keys: sk-of-nobody, upstreams: [keyed, billed]}}]
  notify: {{targets: [{{kind: webhook, name: ops, url: "{upstream}/hook"}}]}}
"""


def past_log(stack: Stack) -> Path:
    """A request log with a long past."""
    log = stack.folder / "past.db"
    subprocess.run([stack.binaries / "examples" / "fill_log", log, str(LOG_ROWS), str(LOG_DAYS)], check=True)
    lose_caches(log)
    return log


def run(title: str, command: list[str], env: dict[str, str]) -> bool:
    print(f"-- {title}", flush=True)
    try:
        return subprocess.run(command, cwd=HERE, env=env, stdin=subprocess.DEVNULL, timeout=SUITE_DEADLINE_S).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"{title}: not done after {SUITE_DEADLINE_S} s", flush=True)
        return False


def pytest(title: str, env: dict[str, str], report: Path, *files: str) -> tuple[int, int, int]:
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={report}", *files]
    fine = run(title, command, env)
    if not report.exists():
        return 0, 1, 0
    suite = ElementTree.parse(report).getroot().find("testsuite").attrib
    failed, skipped = int(suite["failures"]) + int(suite["errors"]), int(suite["skipped"])
    return int(suite["tests"]) - failed - skipped, max(failed, int(not fine)), skipped


def failures(report: str) -> list[str]:
    """The names of the tests that failed in a TAP report, with what they said first."""
    failed = re.finditer(r"^ *not ok \d+ - (.*)\n((?:^(?! *(?:not )?ok ).*\n)*)", report, re.M)
    said = [(one[1], re.search(r"^ *error: *(?:\|-\n *)?(.*)", one[2], re.M)) for one in failed]
    return [f"{name}: {error[1] if error else 'no word of why'}" for name, error in said]


def node(title: str, env: dict[str, str], report: Path, *files: str) -> tuple[int, int, int]:
    reporters = ["--test-reporter=spec", "--test-reporter-destination=stdout"]
    reporters += ["--test-reporter=tap", f"--test-reporter-destination={report}"]
    fine = run(title, ["node", "--test", *reporters, *files], env)
    text = report.read_text() if report.exists() else ""
    FAILURES.extend(f"{title}: {failure}" for failure in failures(text))
    count = {name: int(number) for name, number in re.findall(r"^# (pass|fail|cancelled|skipped) (\d+)$", text, re.M)}
    failed = count.get("fail", 0) + count.get("cancelled", 0)
    return count.get("pass", 0), max(failed, int(not fine)), count.get("skipped", 0)


def browser_tests(env: dict[str, str], folder: Path, file: str) -> tuple[int, int, int]:
    own = env | {"DEBUG": "pw:api", "DEBUG_FILE": str(folder / f"{file}.calls")}
    flags = ["--test-concurrency=1", f"--test-timeout={FILE_DEADLINE_S}000"]
    return node(f"the panel: {file}", own, folder / f"{file}.tap", *flags, f"panel/{file}")


def panel(env: dict[str, str], folder: Path) -> tuple[int, int, int]:
    """The panel in Chromium: what people do, and every view in some looks (`make panel-views` has all)."""
    if not (ROOT / "static" / "dist" / "index.html").exists():
        print("-- the panel is not built: its tests are skipped", flush=True)
        return 0, 0, 1
    gateway = env["PANEL_URL"]
    if not run("traffic for the panel", ["node", "panel/traffic.mjs", gateway, "90"], env):
        return 0, 1, 0
    # Wrong keys are tried at the end of what people do, and make the answers to others slow.
    files = [
        "pages", "pictures", "shell", "relay_pages", "upstream_parts", "upstream_forms",
        "rule_forms", "notify", "team", "mine", "costs", "sessions", "waste", "error_rules", "faults", "habits", "links", "behaviour",
    ]
    results = [browser_tests(env, folder, f"{file}.test.mjs") for file in files]
    passed, failed, skipped = map(sum, zip(*results))
    return passed, failed, skipped


def main() -> int:
    binaries = Path(sys.argv[1]).resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="anyrouter-gateway-e2e-")))
        record = folder / "record"
        stack = Stack(binaries, folder, cleanup)
        upstream = stack.mock_upstream(record)
        # Nothing of the user's own set-up may reach the clients: keys, base URLs, proxies.
        foreign = re.compile(r"^(ANTHROPIC|CLAUDE|OTEL)_|^(HTTPS?|ALL|NO)_PROXY$", re.I)
        env = {name: value for name, value in os.environ.items() if not foreign.search(name)}
        faulty, admin, key = faulty_upstream(cleanup), f"127.0.0.1:{free_port()}", "e2e-dashboard-key"
        observed = {"API_BASE_URL": "", "SYSTEM_PROMPT_REPLACEMENT": REPLACEMENT}
        observed_file = folder / "observed.yaml"
        observed_file.write_text((HERE / "observed.yaml").read_text() + observed_upstreams(faulty, upstream))
        observed |= {"GATEWAY_DB": "requests.db", "DASHBOARD_API_KEY": key, "ADMIN_LISTEN": admin}
        # Its upstream stands in its file: the panel cannot change one that the environment gives.
        panel_file = folder / "panel.yaml"
        panel_upstream = f"  upstreams:\n    - {{name: relay, base_url: {upstream}, profile: anyrouter}}\n"
        panel_file.write_text((HERE / "panel" / "gateway.yaml").read_text() + panel_upstream)
        panel_settings = {"API_BASE_URL": "", "DASHBOARD_API_KEY": key, "GATEWAY_DB": str(past_log(stack))}
        env |= {
            "E2E_GATEWAY": stack.gateway("gateway", upstream, SYSTEM_PROMPT_REPLACEMENT=REPLACEMENT),
            "E2E_FAULTY_GATEWAY": stack.gateway("faulty-gateway", faulty),
            "E2E_OBSERVED_GATEWAY": stack.gateway("observed-gateway", upstream, observed_file, **observed),
            "E2E_OBSERVED_ADMIN": f"http://{admin}",
            "E2E_OBSERVED_KEY": key,
            "PANEL_URL": stack.gateway("panel-gateway", upstream, panel_file, **panel_settings),
            "PANEL_KEY": key,
            "E2E_RECORD": str(record),
            "E2E_REPLACEMENT": REPLACEMENT,
            "E2E_GAP_MS": str(GAP_MS),
            "E2E_BINARIES": str(binaries),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        env |= stack.first_start("first-gateway", upstream, GATEWAY_DB="requests.db", HTTPS_PROXY="http://127.0.0.1:9")
        older = env | {"PYTHONPATH": str(HERE / ".venv" / "older")}
        results = [
            pytest("anthropic (PyPI)", env, folder / "python.xml", "python/test_sdk.py"),
            pytest("anthropic (PyPI), an older one", older, folder / "older.xml", "python/test_sdk.py"),
            node("@anthropic-ai/sdk (npm), current and older", env, folder / "node.tap", "js/sdk.test.mjs"),
            pytest("Claude Code (npm)", env, folder / "claude.xml", "python/test_claude_code.py"),
            pytest("Claude Code and refusals of a team", env, folder / "refusals.xml", "python/test_team_refusals.py"),
            pytest("limits and secrets of a team under load", env, folder / "load.xml", "python/test_team_load.py"),
            pytest("a month of a team", env, folder / "month.xml", "python/test_month.py"),
            pytest("conversations of Claude Code", env, folder / "conversations.xml", "python/test_conversations.py"),
            pytest("Prometheus", env, folder / "prometheus.xml", "python/test_monitoring.py"),
            pytest("README's terminal", env, folder / "cast.xml", "python/test_cast.py"),
            pytest("Docker Compose", env, folder / "compose.xml", "python/test_compose.py"),
            panel(env, folder),
            pytest("admin API against docs/openapi.yaml (schemathesis)", env, folder / "api.xml", "python/test_admin_api.py"),
        ]
        complaints = stack.complaints()
        passed, failed, skipped = map(sum, zip(*results))
        if complaints or failed:
            for name, (_, log) in stack.gateways.items():
                print(f"-- last lines of {name}:\n{log.read_text(errors='replace')[-3000:]}")
        for line in [*FAILURES, *complaints]:
            print(line)
        print(f"e2e: {passed} passed, {failed + len(complaints)} failed, {skipped} skipped", flush=True)
        return 0 if passed and not failed and not complaints else 1


if __name__ == "__main__":
    sys.exit(main())
