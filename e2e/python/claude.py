"""Claude Code as its users start it: `claude -p`, or at a terminal. It reaches nothing but this machine."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pyte

MODULES = Path(__file__).resolve().parent.parent / "node_modules"
# The newest release, one from before preserved thinking, and one from before the attribution block.
RELEASES = {"2.1.332": "@anthropic-ai/claude-code", "2.1.197": "claude-code-2-1-197", "2.0.76": "claude-code-2-0-76"}
NEWEST = "2.1.332"
LINES, COLUMNS = 50, 120


def command(release: str) -> list[str]:
    """The command that starts this release."""
    package = MODULES / RELEASES[release]
    script = next((package / name for name in ("cli-wrapper.cjs", "cli.js") if (package / name).exists()), None)
    if script is None:
        raise FileNotFoundError(f"npm did not install Claude Code {release} in {package}")
    return [shutil.which("node"), str(script)]


def home_of(folder: Path) -> Path:
    """A new home whose owner has been asked everything that Claude Code asks first."""
    work = folder / "work"
    work.mkdir(parents=True)
    (work / "notes.txt").write_text("".join(f"line {number}\n" for number in range(1, 101)))
    known = {"hasCompletedOnboarding": True, "theme": "dark", "projects": {str(work): {"hasTrustDialogAccepted": True}}}
    (folder / ".claude.json").write_text(json.dumps(known))
    return work


def environment(home: Path, gateway: str, **more: str) -> dict[str, str]:
    """Nothing of the user's own set-up, and for all that is not on this machine a proxy that is not there."""
    nowhere = "http://127.0.0.1:9"
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
        "NO_PROXY": "127.0.0.1",
        "ANTHROPIC_BASE_URL": gateway,
        **more,
    }


def printed(release: str, home: Path, gateway: str, *arguments: str, deadline_s: float = 120, **env: str):
    """`claude -p` with these arguments, to its end, or to the deadline with `TimeoutExpired`."""
    work = home / "work" if (home / "work").exists() else home_of(home)
    full = [*command(release), "-p", *arguments]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    settings = environment(home, gateway, **env)
    with subprocess.Popen(full, cwd=work, env=settings, start_new_session=True, **pipes) as process:
        try:
            out, err = process.communicate(timeout=deadline_s)
        finally:
            end_group(process)
    return subprocess.CompletedProcess(full, process.returncode, out, err)


def end_group(process: subprocess.Popen) -> None:
    """Ends what a launcher has started, too."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Terminal:
    """Claude Code at a terminal."""

    def __init__(self, release: str, home: Path, gateway: str, *arguments: str, **env: str) -> None:
        work = home_of(home)
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        settings = environment(home, gateway, TERM="xterm-256color", **env)
        full = [*command(release), *arguments]
        self.process = subprocess.Popen(
            full, cwd=work, env=settings, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.master = master
        self.display = pyte.HistoryScreen(COLUMNS, LINES, history=1000)
        self.stream = pyte.ByteStream(self.display)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        end_group(self.process)
        self.process.wait(10)
        os.close(self.master)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.display.display)

    def wait(self, what: str, ready, deadline_s: float = 60) -> None:
        """Lets it write until `ready`."""
        deadline = time.monotonic() + deadline_s
        while not ready():
            assert time.monotonic() < deadline, f"{what}: not within {deadline_s} s\n{self.text}"
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.stream.feed(os.read(self.master, 65536))
                except OSError as gone:
                    raise AssertionError(f"{what}: Claude Code is gone\n{self.text}") from gone

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def enter(self, line: str, taken) -> None:
        """Types a line and sends it. An Enter that comes too soon is the end of a line: it is pressed until `taken`."""
        self.press(line)
        self.wait(f"{line!r} is typed", lambda: line in self.text)
        deadline = time.monotonic() + 30
        while not taken():
            assert time.monotonic() < deadline, f"{line!r} is not taken\n{self.text}"
            self.press("\r")
            pause = time.monotonic() + 1
            self.wait("a pause", lambda: taken() or time.monotonic() > pause)
