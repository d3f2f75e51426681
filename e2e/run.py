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
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
REPLACEMENT = 'You are Claude Code, replaced by the "gateway".\n第二行'
GAP_MS = 40
START_DEADLINE_S = 30
SUITE_DEADLINE_S = 600
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

    def answer(self, status: int, fields: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what: str, process: subprocess.Popen, log: Path, ready):
    """Polls `ready` until it gives something; stops with the process's log when it died or took too long."""
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        if value := ready():
            return value
        time.sleep(0.05)
    state = "still running" if process.poll() is None else f"exit code {process.returncode}"
    sys.exit(f"{what} did not become ready ({state}); its output:\n{log.read_text(errors='replace')[-4000:]}")


class Stack:
    """Everything that the suites talk to, and the children to end afterwards."""

    def __init__(self, binaries: Path, folder: Path, cleanup: ExitStack) -> None:
        self.binaries, self.folder, self.cleanup = binaries, folder, cleanup
        self.gateways: dict[str, tuple[subprocess.Popen, Path]] = {}
        self.environments: dict[str, dict[str, str]] = {}

    def spawn(self, name: str, command: list[str], env: dict[str, str]) -> tuple[subprocess.Popen, Path]:
        cwd = self.folder / name
        cwd.mkdir()
        log = cwd / "output.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        self.cleanup.callback(self.end, process)
        return process, log

    @staticmethod
    def end(process: subprocess.Popen) -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def mock_upstream(self, record: Path) -> str:
        command = [str(self.binaries / "mock-upstream"), "--record", str(record), "--gap-ms", str(GAP_MS)]
        process, log = self.spawn("mock-upstream", command, {"PATH": os.defpath})

        def address() -> str | None:
            found = re.search(r"listening on (\S+)\n", log.read_text(errors="replace"))
            return found and f"http://{found[1]}"

        return wait_for("mock-upstream", process, log, address)

    def faulty_upstream(self) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), FaultyUpstream)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.cleanup.callback(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    def gateway(self, name: str, upstream: str, config: Path = ROOT / "conf" / "gateway.yaml", **settings: str) -> str:
        """Starts a gateway with the shipped configuration, or another, in an empty folder and environment."""
        port = free_port()
        env = {
            "PATH": os.defpath,
            "LISTEN": f"127.0.0.1:{port}",
            "ADMIN_LISTEN": f"127.0.0.1:{free_port()}",
            "API_BASE_URL": upstream,
            "GATEWAY_DB": "off",
            **settings,
        }
        command = [str(self.binaries / "anyrouter-gateway"), "-c", str(config)]
        process, log = self.spawn(name, command, env)
        self.environments[name] = env
        address = f"http://127.0.0.1:{port}"

        def healthy() -> bool:
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
                    return answer.status == 200
            except (urllib.error.URLError, OSError):
                return False

        wait_for(name, process, log, healthy)
        self.gateways[name] = (process, log)
        return address

    def first_start(self, name: str, upstream: str, **settings: str) -> dict[str, str]:
        """Starts a gateway whose key nobody set, and asks it for links that log in."""
        self.gateway(name, upstream, **settings)
        command = [self.binaries / "anyrouter-gateway", "panel"]
        env, cwd = self.environments[name], self.folder / name
        panel = lambda: subprocess.run(command, cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout
        key = (cwd / "data" / "dashboard.key").read_text().strip()
        return {"PANEL_FIRST_LINKS": " ".join(panel().strip() for _ in range(3)), "PANEL_FIRST_KEY": key}

    def past_log(self) -> Path:
        """A request log with a long past."""
        log = self.folder / "past.db"
        subprocess.run([self.binaries / "examples" / "fill_log", log, str(LOG_ROWS), str(LOG_DAYS)], check=True)
        return log

    def complaints(self) -> list[str]:
        """What is wrong with the gateways after all the tests."""
        found = []
        for name, (process, log) in self.gateways.items():
            if process.poll() is not None:
                found.append(f"{name} died during the tests, exit code {process.returncode}")
            if panics := [line for line in log.read_text(errors="replace").splitlines() if "panicked at" in line]:
                found.append(f"{name} panicked: {panics[0]}")
        return found


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


def node(title: str, env: dict[str, str], report: Path, *files: str) -> tuple[int, int, int]:
    reporters = ["--test-reporter=spec", "--test-reporter-destination=stdout"]
    reporters += ["--test-reporter=tap", f"--test-reporter-destination={report}"]
    fine = run(title, ["node", "--test", *reporters, *files], env)
    text = report.read_text() if report.exists() else ""
    count = {name: int(number) for name, number in re.findall(r"^# (pass|fail|cancelled|skipped) (\d+)$", text, re.M)}
    failed = count.get("fail", 0) + count.get("cancelled", 0)
    return count.get("pass", 0), max(failed, int(not fine)), count.get("skipped", 0)


def panel(env: dict[str, str], folder: Path) -> tuple[int, int, int]:
    """The panel in Chromium: what people do, and some of its pages in every look (`make panel-test` has all)."""
    if not (ROOT / "static" / "dist" / "index.html").exists():
        print("-- the panel is not built: its tests are skipped", flush=True)
        return 0, 0, 1
    gateway = env["PANEL_URL"]
    if not run("traffic for the panel", ["node", "panel/traffic.mjs", gateway, "90"], env):
        return 0, 1, 0
    # Wrong keys are tried at the end of what people do, and make the answers to others slow.
    files = ["panel/pages.test.mjs", "panel/relay_pages.test.mjs", "panel/behaviour.test.mjs"]
    results = [
        node(f"the panel: {Path(file).name}", env, folder / f"panel-{index}.tap", "--test-concurrency=1", "--test-timeout=280000", file)
        for index, file in enumerate(files)
    ]
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
        faulty, admin, key = stack.faulty_upstream(), f"127.0.0.1:{free_port()}", "e2e-dashboard-key"
        observed = {"API_BASE_URL": "", "API_BASE_URLS": f"{faulty},{upstream}", "SYSTEM_PROMPT_REPLACEMENT": REPLACEMENT}
        observed |= {"GATEWAY_DB": "requests.db", "DASHBOARD_API_KEY": key, "ADMIN_LISTEN": admin}
        # Its upstream stands in its file: the panel cannot change one that the environment gives.
        panel_file = folder / "panel.yaml"
        panel_upstream = f"  upstreams:\n    - {{name: relay, base_url: {upstream}, profile: anyrouter}}\n"
        panel_file.write_text((HERE / "panel" / "gateway.yaml").read_text() + panel_upstream)
        panel_settings = {"API_BASE_URL": "", "DASHBOARD_API_KEY": key, "GATEWAY_DB": str(stack.past_log())}
        env |= {
            "E2E_GATEWAY": stack.gateway("gateway", upstream, SYSTEM_PROMPT_REPLACEMENT=REPLACEMENT),
            "E2E_FAULTY_GATEWAY": stack.gateway("faulty-gateway", faulty),
            "E2E_OBSERVED_GATEWAY": stack.gateway("observed-gateway", upstream, HERE / "observed.yaml", **observed),
            "E2E_OBSERVED_ADMIN": f"http://{admin}",
            "E2E_OBSERVED_KEY": key,
            "PANEL_URL": stack.gateway("panel-gateway", upstream, panel_file, **panel_settings),
            "PANEL_KEY": key,
            "PANEL_PAGES": os.environ.get("PANEL_PAGES", "dashboard,requests,config"),
            "E2E_RECORD": str(record),
            "E2E_REPLACEMENT": REPLACEMENT,
            "E2E_GAP_MS": str(GAP_MS),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        env |= stack.first_start("first-gateway", upstream, GATEWAY_DB="requests.db", HTTPS_PROXY="http://127.0.0.1:9")
        older = env | {"PYTHONPATH": str(HERE / ".venv" / "older")}
        results = [
            pytest("anthropic (PyPI)", env, folder / "python.xml", "python/test_sdk.py"),
            pytest("anthropic (PyPI), an older one", older, folder / "older.xml", "python/test_sdk.py"),
            node("@anthropic-ai/sdk (npm), current and older", env, folder / "node.tap", "js/sdk.test.mjs"),
            pytest("Claude Code (npm)", env, folder / "claude.xml", "python/test_claude_code.py"),
            pytest("Prometheus", env, folder / "prometheus.xml", "python/test_monitoring.py"),
            panel(env, folder),
            pytest("admin API against docs/openapi.yaml (schemathesis)", env, folder / "api.xml", "python/test_admin_api.py"),
        ]
        complaints = stack.complaints()
        passed, failed, skipped = map(sum, zip(*results))
        if complaints or failed:
            for name, (_, log) in stack.gateways.items():
                print(f"-- last lines of {name}:\n{log.read_text(errors='replace')[-3000:]}")
        for complaint in complaints:
            print(complaint)
        print(f"e2e: {passed} passed, {failed + len(complaints)} failed, {skipped} skipped", flush=True)
        return 0 if passed and not failed and not complaints else 1


if __name__ == "__main__":
    sys.exit(main())
