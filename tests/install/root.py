"""A bare root of Debian, in which commands run; what they write is thrown away."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docker"))
from image import PATH, debian  # noqa: E402


class Root:
    """With a user, who is called somebody. Its mounts are in the namespace of this process."""

    def __init__(self, release: str, *packages: str, user: int = 0) -> None:
        self._lower, self._user = debian(release, "ca-certificates", *packages), user
        self._started: list[subprocess.Popen] = []

    def __enter__(self) -> Root:
        self._scratch = Path(tempfile.mkdtemp(dir="/dev/shm"))
        self.path = self._scratch / "root"
        for folder in ("root", "new", "work"):
            (self._scratch / folder).mkdir()
        layers = f"lowerdir={self._lower},upperdir={self._scratch}/new,workdir={self._scratch}/work"
        mount("-t", "overlay", "root", "-o", layers, self.path)
        mount("-t", "proc", "proc", self.path / "proc")
        mount("--rbind", "/dev", self.path / "dev")
        if self._user:
            with open(self.path / "etc/passwd", "a") as passwd:
                passwd.write(f"somebody:x:{self._user}:{self._user}::/home/somebody:/bin/sh\n")
            (self.path / "home/somebody").mkdir()
            os.chown(self.path / "home/somebody", self._user, self._user)
        return self

    def __exit__(self, *_: object) -> None:
        # A process that took over is nobody's child here: it is known by its root.
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if os.readlink(process / "root") == str(self.path):
                    os.kill(int(process.name), 9)
        for process in self._started:
            process.wait()
        subprocess.run(["umount", "--recursive", "--lazy", self.path], check=True)
        shutil.rmtree(self._scratch)

    def _command(self, command: tuple[str, ...], uid: int, cwd: str) -> list[str]:
        change = ["chroot", f"--userspec={uid}:{uid}", "--groups=", str(self.path)]
        return [*change, "/bin/sh", "-c", 'cd "$0" && exec "$@"', cwd, *command]

    def run(
        self, *command: str, uid: int, cwd: str = "/", env: dict[str, str] | None = None, stdin: Path | None = None
    ) -> tuple[int, str]:
        """The status of a command, and all that it says."""
        with open(stdin or "/dev/null") as given:
            done = subprocess.run(
                self._command(command, uid, cwd),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={"PATH": PATH} | (env or {}),
            )
        return done.returncode, done.stdout

    def start(self, *command: str, uid: int, cwd: str, env: dict[str, str]) -> subprocess.Popen:
        started = subprocess.Popen(
            self._command(command, uid, cwd),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": PATH} | env,
        )
        self._started.append(started)
        return started

    @contextlib.contextmanager
    def full_disk(self, path: str) -> Iterator[None]:
        place = self._at(path)
        if not place.exists():
            place.mkdir()
            os.chown(place, self._user, self._user)
        mount("-t", "tmpfs", "-o", "size=1m,mode=1777", "full", place)
        try:
            yield
        finally:
            subprocess.run(["umount", place], check=True)

    def _at(self, path: str) -> Path:
        return self.path / path.lstrip("/")

    def has(self, path: str) -> bool:
        return self._at(path).exists()

    def list(self, *folders: str) -> list[str]:
        return [f"{folder}/{name}" for folder in folders for name in os.listdir(self._at(folder))]

    def read(self, path: str) -> str:
        return self._at(path).read_text()

    def bytes(self, path: str) -> bytes:
        return self._at(path).read_bytes()

    def write(self, path: str, content: str | bytes, mode: int | None = None) -> None:
        place = self._at(path)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        if mode is not None:
            place.chmod(mode)

    def remove(self, path: str) -> None:
        self._at(path).unlink(missing_ok=True)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)
