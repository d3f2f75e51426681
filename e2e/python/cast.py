"""Records what a terminal shows while the real programs are typed at: the gateway's start, `doctor`, Claude Code, the panel.

    cast.py BINARIES [FOLDER]     writes FOLDER/cast-en.svg and cast-zh.svg (docs/images); `make pictures`

What differs from run to run has a fixed stand-in (ports, times, milliseconds, the ticket in a link), so that two runs
write the same bytes. A command that fails, or does not say what it is shown for, ends the recording.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import claude
import pyte
from relay import Relay
from stack import ROOT, free_port
from terminal_svg import Line, Run, Scene, draw

COLUMNS, MOST_LINES = 96, 60
DEADLINE_S = 60
TICKET = "once-hR4vJ0sXk2mWq7TzYb9eNc3fLd8uPa5iGo1x_VtE6yQ"
MILLISECONDS = ("0.3", "0.8", "24.6")
MOMENT = "2026-11-27T09:30:00.000Z"


@dataclass(frozen=True)
class Words:
    """What is typed and read in a language."""

    locale: str
    question: str
    answer: str
    other_terminal: str
    title: str
    works: str


# Up to what it says of the relay; the settings for Claude Code follow.
DOCTOR_LINES = 11

LANGUAGES = {
    "en": Words(
        locale="en_US.UTF-8",
        question="In one line: what does a gateway do?",
        answer="It takes each request to a relay that works, and brings the answer back.",
        other_terminal="in another terminal",
        title="anyrouter-gateway: start, doctor, Claude Code through it, and the link to its panel",
        works="ok",
    ),
    "zh": Words(
        locale="zh_CN.UTF-8",
        question="用一句话说明网关做什么",
        answer="把每个请求送到可用的中转站，再把回答带回来。",
        other_terminal="另一个终端",
        title="anyrouter-gateway：启动、doctor 诊断、让 Claude Code 经由网关工作、打开面板",
        works="正常",
    ),
}


class Session:
    """A folder, a relay, and the variables that the commands run with."""

    def __init__(self, binaries: Path, folder: Path, words: Words, relay: str) -> None:
        self.words, self.folder, self.relay = words, folder, relay
        self.port, self.admin = free_port(), free_port()
        commands = folder / "bin"
        commands.mkdir()
        (commands / "anyrouter-gateway").symlink_to(binaries / "anyrouter-gateway")
        launcher = commands / "claude"
        launcher.write_text("#!/bin/sh\nexec " + " ".join(claude.command(claude.NEWEST)) + ' "$@"\n')
        launcher.chmod(0o755)
        self.work = claude.home_of(folder / "home")
        (self.work / "env").mkdir()
        here = f"http://127.0.0.1:{self.port}"
        self.env = claude.environment(folder / "home", here, LANG=words.locale, TERM="xterm-256color")
        # Outbound proxies are for Claude Code alone, which must reach nothing else; doctor would try them.
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ANTHROPIC_BASE_URL"):
            self.env.pop(name)
        self.env |= {"PATH": f"{commands}:{os.environ['PATH']}", "COLUMNS": str(COLUMNS)}
        self.env |= {"LISTEN": f"127.0.0.1:{self.port}", "ADMIN_LISTEN": f"127.0.0.1:{self.admin}"}

    def as_typed(self, text: str) -> str:
        """What a reader would type on a machine of their own, as this machine has to run it."""
        return text.replace("http://127.0.0.1:8088", f"http://127.0.0.1:{self.port}").replace("http://127.0.0.1:9000", self.relay)

    def as_shown(self, text: str) -> str:
        """What is the same in each run."""
        text = text.replace(self.relay.removeprefix("http://"), "127.0.0.1:9000")
        text = text.replace(f":{self.port}", ":8088").replace(f":{self.admin}", ":9188")
        text = text.replace(str(self.work), "~/gateway")
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", MOMENT, text)
        text = re.sub(r"once-[\w-]{43}", TICKET, text)
        times = iter(MILLISECONDS)
        return re.sub(r"(?<=[ ])[ \d]*\d\.\d(?= ms)", lambda found: next(times, "1.0").rjust(len(found[0])), text)

    @contextmanager
    def terminal(self, command: str) -> Iterator[tuple[subprocess.Popen, int]]:
        parent, child = os.openpty()
        process = subprocess.Popen(
            ["bash", "-c", self.as_typed(command)],
            cwd=self.work, env=self.env, stdin=child, stdout=child, stderr=child, start_new_session=True,
        )
        os.close(child)
        try:
            yield process, parent
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            os.close(parent)

    def run(self, command: str, expected: str) -> list[Line]:
        """What the command prints until it ends, which must be well."""
        with self.terminal(command) as (process, terminal):
            text = read(terminal)
            status = process.wait(DEADLINE_S)
        return self.checked(command, text, expected, status)

    def checked(self, command: str, text: str, expected: str, status: int = 0) -> list[Line]:
        shown = self.as_shown(text)
        if status != 0 or not re.search(expected, shown):
            raise SystemExit(f"cast: `{command}` ended with {status} and did not say {expected!r}:\n{shown}")
        return lines(shown)


def read(terminal: int, enough: str | None = None) -> str:
    """What comes until the end, or until it holds `enough`."""
    deadline = time.monotonic() + DEADLINE_S
    text = b""
    while time.monotonic() < deadline:
        if enough is not None and re.search(enough, text.decode(errors="replace")):
            return text.decode(errors="replace")
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            more = os.read(terminal, 65536)
        except OSError:
            break
        if not more:
            break
        text += more
    return text.decode(errors="replace")


def lines(text: str) -> list[Line]:
    """The text as a terminal shows it: colours, and long lines over several."""
    screen = pyte.Screen(COLUMNS, MOST_LINES)
    pyte.Stream(screen).feed(text)
    shown = []
    for row in range(MOST_LINES):
        runs: list[Run] = []
        for column in range(COLUMNS):
            cell = screen.buffer[row][column]
            # The right half of a wide character has no data.
            if cell.data == "":
                continue
            colour = f"bold {cell.fg}" if cell.bold else cell.fg
            if runs and runs[-1].colour == colour:
                runs[-1] = Run(runs[-1].text + cell.data, colour, runs[-1].column)
            else:
                runs.append(Run(cell.data, colour, column))
        runs = [run for run in runs if run.text.strip()]
        shown.append([Run(run.text.rstrip() if run is runs[-1] else run.text, run.colour, run.column) for run in runs])
    while shown and not shown[-1]:
        shown.pop()
    return shown


def record(binaries: Path, words: Words) -> str:
    with tempfile.TemporaryDirectory(prefix="cast-") as folder, Relay(words.answer) as relay:
        session = Session(binaries, Path(folder), words, relay)
        scene = Scene()
        scene.type("echo API_BASE_URL=http://127.0.0.1:9000 > env/.env")
        session.run("echo API_BASE_URL=http://127.0.0.1:9000 > env/.env", "^$")
        scene.type("anyrouter-gateway")
        ready = rf"listens on http://127.0.0.1:{session.port}[^\n]*\n"
        with session.terminal("exec anyrouter-gateway") as (_, terminal):
            started = read(terminal, ready)
            scene.show(session.checked("anyrouter-gateway", started, r"http://127\.0\.0\.1:8088/admin#key=once-"), rest=3.0)
            scene.part(words.other_terminal)
            for command, expected, wait, rest in (
                (f"anyrouter-gateway doctor | head -{DOCTOR_LINES}", rf"HTTP +{words.works} .*\b200\b", 0.6, 5.0),
                ("export ANTHROPIC_BASE_URL=http://127.0.0.1:8088 ANTHROPIC_AUTH_TOKEN=sk-your-key", "^$", 0, 0.4),
                (f'claude -p "{words.question}"', re.escape(words.answer), 1.6, 3.0),
                ("anyrouter-gateway panel", r"^http://127\.0\.0\.1:8088/admin#key=once-", 0.2, 5.0),
            ):
                scene.type(command)
                given = command
                if command.startswith("claude"):
                    there = "HTTP_PROXY=http://127.0.0.1:9 HTTPS_PROXY=http://127.0.0.1:9 NO_PROXY=127.0.0.1"
                    given = f"{there} ANTHROPIC_BASE_URL=http://127.0.0.1:8088 ANTHROPIC_AUTH_TOKEN=sk-your-key {command} </dev/null"
                scene.show(session.run(given, expected), wait=wait, rest=rest)
        return draw(scene, words.title, COLUMNS)


def main() -> None:
    binaries = Path(sys.argv[1]).resolve()
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "docs" / "images"
    for language, words in LANGUAGES.items():
        file = folder / f"cast-{language}.svg"
        file.write_text(record(binaries, words))
        print(f"{file.name}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
