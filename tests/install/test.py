#!/usr/bin/env python3
"""install.sh with what `make dist` made: test.py DIST (root; it takes a network of its own).

Each test has a bare root of Debian, over which an overlay lies that is thrown away afterwards, and releases that are
served on loopback. Those of the service run under a systemd of their own (tests/systemd/boot.sh).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from releases import Releases
from root import PATH, Root
from traffic import Relay, Traffic, get

NAME = "anyrouter-gateway"
REPOSITORY = Path(__file__).resolve().parents[2]
USER = 1000
HOME = "/home/somebody"
BIN, DATA = f"{HOME}/.local/bin/{NAME}", f"{HOME}/.local/share/{NAME}"
HEALTH = "http://127.0.0.1:8088/health"


def holds(what: str, so: bool, instead: object = "") -> None:
    if not so:
        raise SystemExit(f"FAILED: {what}\n{instead}")
    print(f"  {what}", flush=True)


def install(root: Root, releases: Releases, *arguments: str, uid: int = USER, **env: str) -> tuple[int, str]:
    """Runs install.sh as a user types it, from a pipe."""
    given = {"HOME": HOME if uid else "/root", "ANYROUTER_GATEWAY_RELEASES": releases.address} | env
    return root.run("sh", "-s", "--", *arguments, uid=uid, env=given, stdin=REPOSITORY / "install.sh")


def until(what: str, so, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not so():
        if time.monotonic() > end:
            raise SystemExit(f"FAILED: {what} within {seconds} s")
        time.sleep(0.05)


# --- Without root -------------------------------------------------------------------------------------------------


def a_user_installs_updates_and_removes(root: Root, releases: Releases) -> None:
    status, said = install(root, releases)
    holds("a user installs", status == 0 and f"cd {DATA} && {NAME}" in said, said)
    holds("and is told that ~/.local/bin is not on the PATH", 'export PATH="' in said, said)
    version, _ = root.run(BIN, "--version", uid=USER)
    holds("the program runs", version == 0)

    relay = Relay()
    root.write("/etc/hosts", "127.0.0.1 localhost relay.test\n")
    env = {"HOME": HOME, "API_BASE_URL": f"http://relay.test:{relay.port}"}
    gateway = root.start(BIN, uid=USER, cwd=DATA, env=env)
    until("it serves", lambda: get(HEALTH) == 200)
    holds("a request goes to an upstream whose name /etc/hosts has", relay.asked_through("http://127.0.0.1:8088"))

    root.write(f"{DATA}/conf/gateway.yaml", root.read(f"{DATA}/conf/gateway.yaml") + "# mine\n")
    releases.publish("0.1.1")
    with Traffic(HEALTH) as traffic:
        status, said = install(root, releases)
        holds("an update has the running one replaced", status == 0 and "upgraded" in said, said)
        holds("and says from what to what", f"{NAME} in {HOME}/.local/bin is updated from 0.1.0 to 0.1.1." in said, said)
        # The old process closes its listeners five seconds after the hand-over.
        gateway.wait(30)
    holds(
        f"none of {traffic.asked} requests failed meanwhile", traffic.asked > 100 and not traffic.failed, traffic.failed
    )
    holds("the configuration stays", "# mine" in root.read(f"{DATA}/conf/gateway.yaml"))

    releases.publish("0.1.2", program=b'#!/bin/sh\n[ "$1" = --version ] && echo 0.1.2\n')
    status, said = install(root, releases)
    holds("a version that does not take over is put back", status == 1 and "goes on serving" in said, said)
    holds("and is not said to be there", "is updated" not in said, said)
    holds("and the one that runs is the one on the disk", root.bytes(BIN) == releases.program("0.1.1"))
    holds("it serves", get(HEALTH) == 200)

    # The number of a gateway that was killed, which another program of the user has by now.
    mine = root.read(f"{DATA}/data/run/gateway.pid")
    other = root.start("sleep", "60", uid=USER, cwd="/", env={})
    root.write(f"{DATA}/data/run/gateway.pid", f"{other.pid}\n")
    status, said = install(root, releases, "--version", "0.1.1")
    holds("another program with its number is not the gateway", status == 0 and "cd " in said, said)
    root.write(f"{DATA}/data/run/gateway.pid", mine)

    status, said = install(root, releases, "--uninstall")
    holds("and is not ended with it", other.poll() is None)
    other.kill()
    holds("a removal says what stays", status == 0 and DATA in said and not root.has(BIN), said)
    holds("ends the running one", get(HEALTH) is None)
    holds(
        "and keeps configuration and data",
        root.has(f"{DATA}/conf/gateway.yaml") and root.has(f"{DATA}/data/gateway.db"),
    )
    status, said = install(root, releases, "--uninstall", "--purge")
    holds("--purge deletes them", status == 0 and not root.has(DATA), said)
    status, said = install(root, releases, "--uninstall")
    holds("and nothing is left to tell of", status == 0 and f"{NAME} is not installed" in said and DATA not in said, said)
    relay.close()


def what_is_wrong_is_told(root: Root, releases: Releases) -> None:
    def refuses(what: str, expected: str, *arguments: str, **env: str) -> None:
        status, said = install(root, releases, *arguments, **env)
        holds(what, status == 1 and expected in said, f"{status}: {said}")
        holds(
            "  nothing was installed, and nothing left", not root.has(BIN) and not root.list("/tmp"), root.list("/tmp")
        )

    releases.broken = "sum"
    refuses("a wrong sum", "is not what SHA256SUMS says")
    refuses("a wrong sum, in Chinese", "与 SHA256SUMS 不符", LANG="zh_CN.UTF-8")
    refuses("  on a system that names no language", "与 SHA256SUMS 不符", LANG="C.UTF-8", GATEWAY_LANGUAGE="zh")
    releases.broken = "cut"
    refuses("a download that is cut off", "Not downloaded: http://")
    releases.broken = "cut without a length"
    refuses("one of which nobody told the length", "is not what SHA256SUMS says")
    releases.broken = ""
    refuses("a version that does not exist", "is there a version 9.9.9, and", "--version", "9.9.9")
    mirror = "curl ... | ANYROUTER_GATEWAY_RELEASES=https://HOST/PATH/releases sh"
    refuses("no address of releases, out of a pipe", mirror, ANYROUTER_GATEWAY_RELEASES="")
    refuses(
        "an address where nobody listens", "Not downloaded", ANYROUTER_GATEWAY_RELEASES="http://127.0.0.1:1/releases"
    )
    refuses("an argument that is not known", "--upgrade is not known", "--upgrade")
    refuses("--purge alone", "goes with --uninstall", "--purge")
    root.write("/usr/local/bin/uname", '#!/bin/sh\n[ "$1" = -s ] && echo Linux || echo riscv64\n', 0o755)
    refuses("a processor without a build", "There is no build for the processor riscv64")
    root.write("/usr/local/bin/uname", '#!/bin/sh\n[ "$1" = -s ] && echo Linux || echo aarch64\n', 0o755)
    refuses("a processor that this release leaves out", "has nothing for aarch64")
    root.write("/usr/local/bin/uname", "#!/bin/sh\necho Darwin\n", 0o755)
    refuses("another system", "This is for Linux. On Darwin")
    root.remove("/usr/local/bin/uname")
    with root.full_disk("/tmp"):
        refuses("no room for the download", "Make room, then try again")
    with root.full_disk(f"{HOME}/.local"):
        refuses("no room for the program", "Make room, then try again")
    releases.publish("0.1.3", program=b"\x7fELF of another machine")
    refuses("a program that does not run here", "does not run on this machine")
    for tool in ("curl", "wget"):
        root.remove(f"/usr/bin/{tool}")
    refuses("neither curl nor wget", "apt install curl")


def root_without_systemd(root: Root, releases: Releases) -> None:
    status, said = install(root, releases, "--uninstall", uid=0)
    holds("where nothing was installed there is nothing to remove", status == 0 and "nothing to remove" in said, said)
    status, said = install(root, releases, uid=0, LANG="zh_CN.UTF-8")
    holds("root without systemd is told how to start it", status == 0 and "这里没有 systemd" in said, said)
    holds("what it starts speaks Chinese too", "\nGATEWAY_LANGUAGE=zh\n" in root.read(f"/etc/{NAME}/environment"))
    status, said = install(root, releases, uid=0, GATEWAY_LANGUAGE="en")
    holds("the same version is installed again", status == 0 and " is installed again in " in said, said)
    last = root.read(f"/etc/{NAME}/environment").split()[-1]
    holds("and a language that is named then counts from then on", last == "GATEWAY_LANGUAGE=en", last)
    holds("the program is on everybody's PATH", root.run(NAME, "--version", uid=USER)[0] == 0)
    holds(
        "the unit starts that program",
        f"ExecStart=/usr/local/bin/{NAME}" in root.read(f"/etc/systemd/system/{NAME}.service"),
    )
    unit = root.read(f"/etc/systemd/system/{NAME}.service")
    holds("and names no manual page, which only the Debian package has", "man:" not in unit, unit)
    status, said = install(root, releases, "--uninstall", "--purge", uid=0)
    left = [path for path in root.list("/etc", "/etc/systemd/system", "/usr/local/bin") if NAME in path]
    holds("and removes all of it", status == 0 and not left, f"{said}{left}")
    status, said = install(root, releases, uid=0, ANYROUTER_GATEWAY_RELEASES="")
    holds("root types sudo", status == 1 and "curl ... | sudo ANYROUTER_GATEWAY_RELEASES=https://" in said, said)


def the_debian_package_installs(root: Root, releases: Releases) -> None:
    package = next(releases.folder.glob("*.deb"))
    root.write("/package.deb", package.read_bytes())
    status, said = root.run("dpkg", "--install", "/package.deb", uid=0)
    holds("the Debian package installs", status == 0, said)
    status, said = root.run(NAME, "check", uid=USER, cwd="/")
    holds("and its program runs", status == 0, said)
    status, said = install(root, releases, uid=0)
    holds("install.sh does nothing beside it", status == 1 and "apt install ./" in said, said)


def the_program_needs_no_library(releases: Releases) -> None:
    """A root in which nothing else is: what runs there runs beside any C library, or none."""
    with tempfile.TemporaryDirectory() as empty:
        os.chmod(empty, 0o755)
        program = Path(empty) / NAME
        program.write_bytes(releases.program("0.1.0"))
        program.chmod(0o755)
        done = subprocess.run(
            ["chroot", "--userspec=1:1", empty, f"/{NAME}", "check"], env={"PATH": PATH}, capture_output=True, text=True
        )
        holds("the program runs where there is nothing else", done.returncode == 0, done.stderr)


# --- The service, under systemd -----------------------------------------------------------------------------------


def the_service(releases: Releases) -> None:
    """Inside of tests/systemd/boot.sh."""
    # A folder that was removed from an overlay leaves a name that can be found.
    subprocess.run(["mount", "-t", "tmpfs", "state", "/var/lib"], check=True)
    env = {"PATH": os.environ["PATH"], "HOME": "/root", "ANYROUTER_GATEWAY_RELEASES": releases.address}

    def sh(*arguments: str, **more: str) -> tuple[int, str]:
        with open(REPOSITORY / "install.sh") as script:
            command = ["sh", "-s", "--", *arguments]
            done = subprocess.run(command, stdin=script, env=env | more, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def shown(name: str) -> str:
        command = ["systemctl", "show", "--property", name, "--value", NAME]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    status, said = sh()
    holds(
        "root gets a service that runs", status == 0 and shown("ActiveState") == "active" and get(HEALTH) == 200, said
    )
    holds("and starts with the machine", shown("UnitFileState") == "enabled")
    environment = Path(f"/etc/{NAME}/environment")
    environment.write_text("API_BASE_URL=http://127.0.0.1:9\n")
    first = shown("MainPID")
    releases.publish("0.1.1")
    with Traffic(HEALTH) as traffic:
        status, said = sh()
        holds("an update has the service replaced", status == 0 and shown("MainPID") != first, said)
        time.sleep(6)  # the old process closes its listeners five seconds after the hand-over
    holds(
        f"none of {traffic.asked} requests failed meanwhile", traffic.asked > 100 and not traffic.failed, traffic.failed
    )
    holds("its settings stay", environment.exists())

    releases.publish("0.1.2", program=b'#!/bin/sh\n[ "$1" = --version ] && echo 0.1.2\n')
    status, said = sh()
    holds("a version that does not take over is put back", status == 1 and "goes on serving" in said, said)
    installed = Path(f"/usr/local/bin/{NAME}").read_bytes()
    holds("and the service goes on", get(HEALTH) == 200 and installed == releases.program("0.1.1"))

    # Its own language, where the shell names none; with none of its own, English.
    environment.write_text("API_BASE_URL=http://127.0.0.1:9\nGATEWAY_LANGUAGE=zh\n")
    status, said = sh("--version", "0.1.0")
    holds("an update speaks the service's language", status == 0 and "0.1.0 已重新安装到" in said and "服务已在运行" in said, said)
    status, said = sh("--version", "0.1.1", LANG="en_US.UTF-8")
    holds("unless the shell names one", status == 0 and "to 0.1.1" in said and "The service runs" in said, said)
    environment.write_text("API_BASE_URL=http://127.0.0.1:9\n")
    status, said = sh("--version", "0.1.0", LANG="C.UTF-8")
    holds("and English where nobody names any", status == 0 and "0.1.0 is installed again" in said, said)

    subprocess.run(["systemctl", "stop", NAME], check=True)
    status, said = sh("--version", "0.1.0")
    holds("a service that was stopped stays so", status == 0 and shown("ActiveState") == "inactive", said)
    # One that systemd could not start was not stopped by anybody: it is started again, once it can be.
    for port in ("first", "second"):
        environment.write_text(f"PORT={port}\n")
        subprocess.run(["systemctl", "start", NAME], capture_output=True)
        status, said = sh("--version", "0.1.0")
        holds(f"a service that does not start is told ({port})", status == 1 and "It does not start. Why:" in said, said)
        holds("with what it said in this run", f'"{port}" is not a port' in said, said)
    holds("and nothing of the runs before", "first" not in said, said)
    environment.write_text("")
    status, said = sh("--version", "0.1.0")
    holds("mended, it is started", status == 0 and shown("ActiveState") == "active" and get(HEALTH) == 200, said)

    status, said = sh("--uninstall")
    holds("a removal ends it", status == 0 and get(HEALTH) is None, said)
    holds("and keeps settings and data", environment.exists() and Path(f"/var/lib/private/{NAME}").exists())
    kept = f"/etc/{NAME} /var/lib/{NAME} /var/lib/private/{NAME}"
    holds("and says where", f"Configuration and data stay: {kept}. Delete" in said, said)
    status, said = sh("--uninstall")
    holds("once more, it says that they are still there", f"not installed. Configuration and data are still there: {kept}" in said, said)
    status, said = sh("--uninstall", "--purge")
    # Listed, not looked up: on overlays a folder that was removed can still be found by its name.
    folders = ["/etc", "/etc/systemd/system", "/usr/local/bin", "/var/lib", "/var/lib/private"]
    left = [f"{folder}/{name}" for folder in folders for name in os.listdir(folder) if NAME in name]
    holds("--purge leaves nothing", not left, f"{status}: {said}{left}")
    status, said = sh("--uninstall")
    holds("and nothing is left to tell of", status == 0 and f"{NAME} is not installed: there was nothing" in said, said)
    status, said = sh("--uninstall", "--purge", GATEWAY_LANGUAGE="zh")
    holds("in Chinese too", status == 0 and f"没有安装 {NAME}" in said and "/etc" not in said, said)


TESTS = (
    a_user_installs_updates_and_removes,
    what_is_wrong_is_told,
    root_without_systemd,
    the_debian_package_installs,
)
ROOTS = (("bullseye", "curl"), ("bookworm", "wget"))


def main() -> None:
    dist = Path(sys.argv[1]).resolve()
    match sys.argv[2:]:
        case []:
            # What the roots are made of comes from mirrors.
            for release, client in ROOTS:
                Root(release, client)
            again = [sys.executable, "-B", __file__, str(dist), "isolated"]
            os.execvp(
                "unshare", ["unshare", "--net", "--mount", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *again]
            )
        case ["isolated"]:
            the_program_needs_no_library(Releases(dist))
            for release, client in ROOTS:
                print(f"{release}, {client}", flush=True)
                for test in TESTS:
                    with Root(release, client, user=USER) as root:
                        test(root, Releases(dist))
            again = [sys.executable, "-B", __file__, str(dist), "service"]
            status = subprocess.run([REPOSITORY / "tests/systemd/boot.sh", *again]).returncode
            if status != 97:
                sys.exit(status)
            print("the service was not tested: there is no systemd of its own here")
        case ["service"]:
            print("systemd", flush=True)
            the_service(Releases(dist))


main()
