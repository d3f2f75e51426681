"""The processes that the tests talk to: gateways and mock upstreams, each in a folder of its own, ended afterwards."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
START_DEADLINE_S = 30
GAP_MS = 40


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


def pid_of(cwd: Path) -> int | None:
    """The gateway that serves in this folder."""
    try:
        return int((cwd / "data" / "run" / "gateway.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


def end_successor(pid: int) -> None:
    """Ends a gateway that an upgrade has started, which is no child of ours."""
    deadline = time.monotonic() + 5
    try:
        os.kill(pid, signal.SIGINT)
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Stack:
    """Everything that the suites talk to, and the children to end afterwards."""

    def __init__(self, binaries: Path, folder: Path, cleanup: ExitStack) -> None:
        self.binaries, self.folder, self.cleanup = binaries, folder, cleanup
        self.gateways: dict[str, tuple[subprocess.Popen, Path]] = {}
        self.environments: dict[str, dict[str, str]] = {}
        self.configs: dict[str, Path] = {}

    def spawn(self, name: str, command: list[str], env: dict[str, str]) -> tuple[subprocess.Popen, Path]:
        cwd = self.folder / name
        cwd.mkdir(exist_ok=True)
        log = cwd / "output.log"
        with log.open("ab") as sink:
            process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        self.cleanup.callback(self.end, process, cwd)
        return process, log

    @staticmethod
    def end(process: subprocess.Popen, cwd: Path) -> None:
        """Ends a process, and the gateway that took its place."""
        if (successor := pid_of(cwd)) not in (None, process.pid):
            end_successor(successor)
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
        self.environments[name], self.configs[name] = env, config
        return self.start_again(name)

    def start_again(self, name: str) -> str:
        """Starts a gateway, or one that has ended, in its folder and at its address."""
        env = self.environments[name]
        command = [str(self.binaries / "anyrouter-gateway"), "-c", str(self.configs[name])]
        process, log = self.spawn(name, command, env)
        address = f"http://{env['LISTEN']}"

        def healthy() -> bool:
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
                    return answer.status == 200
            except (urllib.error.URLError, OSError):
                return False

        wait_for(name, process, log, healthy)
        self.gateways[name] = (process, log)
        return address

    def command(self, name: str, *arguments: str) -> str:
        """What the program says to a command at the place of this gateway, with its environment."""
        command = [self.binaries / "anyrouter-gateway", *arguments]
        env, cwd = self.environments[name], self.folder / name
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=START_DEADLINE_S)
        if done.returncode:
            raise RuntimeError(f"{name} {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def first_start(self, name: str, upstream: str, **settings: str) -> dict[str, str]:
        """Starts a gateway whose key nobody set, and asks it for links that log in."""
        self.gateway(name, upstream, **settings)
        links = [self.command(name, "panel").strip() for _ in range(3)]
        key = (self.folder / name / "data" / "dashboard.key").read_text().strip()
        return {"PANEL_FIRST_LINKS": " ".join(links), "PANEL_FIRST_KEY": key}

    def complaints(self) -> list[str]:
        """What is wrong with the gateways after all the tests."""
        found = []
        for name, (process, log) in self.gateways.items():
            if process.poll() is not None:
                found.append(f"{name} died during the tests, exit code {process.returncode}")
            if panics := [line for line in log.read_text(errors="replace").splitlines() if "panicked at" in line]:
                found.append(f"{name} panicked: {panics[0]}")
        return found
