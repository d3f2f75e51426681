"""Runs an image as Docker would: own namespaces, its user, a read-only root, no capabilities, no new privileges."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from image import PATH, WORK, Failed, Image, inside, run

# Addresses for documentation: they are nobody's. Docker's bridge has the first one, the container the second.
OUTSIDE, INSIDE = "192.0.2.1", "192.0.2.2"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38


class Container:
    def __init__(self, image: Image, env: dict[str, str], volumes: dict[str, Path], binds: dict[str, Path]) -> None:
        """Volumes can be written to and begin with what the image has there; other files are mounted read-only."""
        self.image = image
        self.env = {"PATH": PATH} | image.env | env
        self.root = WORK / "container"
        self.log = WORK / "container.log"
        shutil.rmtree(self.root, ignore_errors=True)
        run("cp", "-a", image.root, self.root)
        mounts = []
        for target, source in volumes.items():
            if not source.exists():
                run("cp", "-a", inside(self.root, target), source)
            mounts.append((str(source), target, "rw"))
        # Docker gives each container these, with its own DNS server.
        (WORK / "resolv.conf").write_text("nameserver 127.0.0.11\n")
        (WORK / "hosts").write_text(f"127.0.0.1 localhost\n{INSIDE} container\n")
        binds = binds | {f"/etc/{name}": WORK / name for name in ("resolv.conf", "hosts")}
        mounts += [(str(source), target, "ro") for target, source in binds.items()]
        for source, target, _ in mounts:
            place = inside(self.root, target)
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.mkdir() if Path(source).is_dir() else place.touch()
        for folder in ("dev", "proc"):
            (self.root / folder).mkdir(exist_ok=True)
        self.pid = 0
        self.spec = {
            "root": str(self.root),
            "mounts": mounts,
            "env": self.env,
            "user": [int(number) for number in image.user.split(":")],
            "workdir": image.workdir,
            "command": image.entrypoint + image.cmd,
        }

    def start(self) -> None:
        kinds = ("mount", "pid", "net", "ipc", "uts", "cgroup")
        command = ["unshare", *(f"--{kind}" for kind in kinds), "--fork", "--kill-child", sys.executable, __file__]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        deadline = time.monotonic() + 10
        while not (found := children.read_text().split()):
            if time.monotonic() > deadline:
                raise Failed("the namespaces did not come up")
            time.sleep(0.01)
        self.pid = int(found[0])
        run("ip", "link", "add", "bridge", "type", "veth", "peer", "name", "eth0", "netns", found[0])
        run("ip", "addr", "add", f"{OUTSIDE}/30", "dev", "bridge")
        run("ip", "link", "set", "bridge", "up")
        for words in (f"addr add {INSIDE}/30 dev eth0", "link set eth0 up", "link set lo up"):
            run("nsenter", f"--target={self.pid}", "--net", "ip", *words.split())
        self.process.stdin.write(json.dumps(self.spec))
        self.process.stdin.close()

    def exec(self, *command: str) -> subprocess.CompletedProcess:
        """docker exec."""
        uid, gid = self.spec["user"]
        kinds = ("mount", "pid", "net", "ipc", "uts", "cgroup", "root")
        enter = ["nsenter", f"--target={self.pid}", *(f"--{kind}" for kind in kinds), f"--wd=/proc/{self.pid}/cwd"]
        enter += [f"--setuid={uid}", f"--setgid={gid}", "--", *command]
        return subprocess.run(enter, env=self.env, capture_output=True, text=True, timeout=30)

    def stop(self, patience: float) -> float:
        """docker stop: the time that it took; killed, or an exit status other than 0, is a failure."""
        began = time.monotonic()
        os.kill(self.pid, signal.Signals[self.image.stop_signal])
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"it does not end within {patience} s\n{self.log.read_text()}") from None
        if status != 0:
            raise Failed(f"it ended with {status}\n{self.log.read_text()}")
        self.kill()
        return time.monotonic() - began

    def kill(self) -> None:
        """docker kill, if it is still running."""
        if self.pid:
            # unshare's own --kill-child is forgotten when the child changes its user.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        # It may have gone with its other end already.
        subprocess.run(["ip", "link", "delete", "bridge"], capture_output=True)


def become(spec: dict) -> None:
    """What runs first in the new namespaces, as process 1: becomes the container."""
    root = spec["root"]
    mount = lambda *words: subprocess.run(["mount", *words], check=True)  # noqa: E731
    mount("--make-rprivate", "/")
    mount("--bind", root, root)
    mount("-t", "proc", "proc", f"{root}/proc")
    mount("-t", "tmpfs", "-o", "mode=755", "dev", f"{root}/dev")
    for name in DEVICES:
        Path(root, "dev", name).touch()
        mount("--bind", f"/dev/{name}", f"{root}/dev/{name}")
    for source, target, mode in spec["mounts"]:
        mount("--bind", source, root + target)
        mount("-o", f"remount,bind,{mode}", root + target)
    mount("-o", "remount,bind,ro", root)

    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no new privileges")
    os.chroot(root)
    os.chdir(spec["workdir"])
    os.setgroups([])
    os.setgid(spec["user"][1])
    os.setuid(spec["user"][0])
    os.execvpe(spec["command"][0], spec["command"], spec["env"])


if __name__ == "__main__":
    become(json.load(sys.stdin))
