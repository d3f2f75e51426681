"""Builds an image from a Dockerfile without Docker: each stage is a folder, each RUN a chroot in namespaces of its own.

What stands in for the images that Docker would fetch:

    debian:RELEASE-slim      debootstrap's minbase of that release
    node:VERSION-RELEASE-*   the same, and the Node.js of this machine, whatever its version
    rust:VERSION-RELEASE     the same, and gcc, g++, make, and the Rust of this machine, whatever its version
    scratch                  an empty folder

The clients of package registries use inside what they use outside: apt its mirrors and how it reaches them, npm its
registry, cargo its configuration, all of them proxies and certificates. Certificates and configuration are mounted
while a step runs, so nothing of them gets into an image.

What is not known here is an error, so that nothing of a Dockerfile is left out unnoticed. Stages are built anew each
time; the folders that debootstrap made, and what npm and cargo downloaded, stay below target/docker.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve() / "docker"
# Docker's own, for images that set none.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CERTIFICATES = "/.certificates-of-this-machine"


class Failed(Exception):
    """What is wrong, in words."""


@dataclass
class Image:
    root: Path
    env: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    args: dict[str, str] = field(default_factory=dict)
    binds: list[tuple[str, str]] = field(default_factory=list)
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    health_flags: dict[str, str] = field(default_factory=dict)
    stop_signal: str = "SIGTERM"
    volumes: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def size(self) -> int:
        return sum(path.lstat().st_size for path in self.root.rglob("*") if path.is_symlink() or path.is_file())


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def run(*command: str | Path, **more) -> None:
    """Runs a command; what it says is shown if it fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **more
    )
    if done.returncode != 0:
        raise Failed("\n".join(done.stdout.splitlines()[-40:]) + f"\n{command[0]} ended with {done.returncode}")


# --- The Dockerfile -----------------------------------------------------------------------------------------------


def instructions(text: str) -> list[tuple[int, str, str]]:
    """Each instruction with its line, continued lines put together."""
    found, pending, first = [], "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        first = first if pending else number
        pending += line.rstrip()
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        keyword, _, rest = pending.strip().partition(" ")
        found.append((first, keyword.upper(), rest.strip()))
        pending = ""
    return found


def flags(rest: str, *known: str) -> tuple[dict[str, list[str]], str]:
    found: dict[str, list[str]] = {}
    while flag := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
        if flag[1] not in known:
            raise Failed(f"--{flag[1]} is not known here")
        found.setdefault(flag[1], []).append(flag[2])
        rest = rest[flag.end() :]
    if rest.startswith("--"):
        raise Failed(f"{rest.split()[0]} is not known here")
    return found, rest


def expand(text: str, values: dict[str, str]) -> str:
    def value(match: re.Match) -> str:
        name, operator, other = match[1] or match[2], match[3], match[4]
        now = values.get(name, "")
        if operator == ":+":
            return other if now else ""
        return now or (other or "")

    return re.sub(r"\$(?:(\w+)|\{(\w+)(?:(:[-+])([^}]*))?\})", value, text)


def arguments(rest: str) -> list[str]:
    """A command in either of its forms."""
    return json.loads(rest) if rest.startswith("[") else ["/bin/sh", "-c", rest]


def build(dockerfile: Path, context: Path) -> Image:
    """Runs all stages; the last one is the image."""
    shutil.rmtree(WORK / "stages", ignore_errors=True)
    sent = send(context, dockerfile.with_name(".dockerignore"))
    stages: dict[str, Image] = {}
    image, shared = None, {}
    for number, keyword, rest in instructions(dockerfile.read_text()):
        began = time.monotonic()
        try:
            if keyword == "FROM":
                name, _, alias = expand(rest, shared).partition(" AS ")
                alias = alias.strip() or f"stage {len(stages)}"
                image = begin(name.strip(), stages, WORK / "stages" / alias.replace(" ", "-"))
                stages[alias] = image
            elif image is None and keyword == "ARG":
                shared |= argument(rest, shared)
            elif image is None:
                raise Failed("it comes before the first FROM")
            else:
                step(image, keyword, rest, stages, sent)
        except (Failed, OSError, ValueError, subprocess.CalledProcessError) as error:
            raise Failed(f"{dockerfile.name}:{number}: {keyword} {rest}\n{error}") from error
        print(f"  {time.monotonic() - began:6.1f} s  {keyword} {rest[:90]}", flush=True)
    if image is None:
        raise Failed(f"{dockerfile.name} has no FROM")
    return image


def argument(rest: str, values: dict[str, str]) -> dict[str, str]:
    name, _, default = rest.partition("=")
    return {name: expand(default, values).strip('"')}


def step(image: Image, keyword: str, rest: str, stages: dict[str, Image], context: Path) -> None:
    values = image.args | image.env
    match keyword:
        case "ARG":
            image.args |= argument(rest, values)
        case "ENV":
            for word in shlex.split(expand(rest, values)):
                name, equals, value = word.partition("=")
                if not equals:
                    raise Failed("only NAME=VALUE is known here")
                image.env[name] = value
        case "WORKDIR":
            image.workdir = os.path.join(image.workdir, expand(rest, values))
            inside(image.root, image.workdir).mkdir(parents=True, exist_ok=True)
        case "USER":
            image.user = numbers(image.root, expand(rest, values))
        case "RUN":
            _, command = flags(rest)
            if command.startswith("<<"):
                raise Failed("here-documents are not known here")
            in_root(image, arguments(command), [])
        case "COPY":
            given, rest = flags(expand(rest, values), "from", "chown")
            *sources, target = json.loads(rest) if rest.startswith("[") else rest.split()
            origin = given.get("from", [None])[0]
            if origin and origin not in stages:
                raise Failed(f"there is no stage {origin}")
            source = stages[origin].root if origin else context
            owner = numbers(image.root, given.get("chown", ["0:0"])[0])
            copy(source, sources, image, target, owner)
        case "HEALTHCHECK":
            given, command = flags(rest, "interval", "timeout", "start-period", "start-interval", "retries")
            keyword, _, command = command.partition(" ")
            if keyword != "CMD":
                raise Failed("only HEALTHCHECK CMD is known here")
            image.healthcheck = arguments(command.strip())
            image.health_flags = {name: found[-1] for name, found in given.items()}
        case "ENTRYPOINT":
            image.entrypoint = arguments(rest)
            image.cmd = []
        case "CMD":
            image.cmd = arguments(rest)
        case "STOPSIGNAL":
            image.stop_signal = expand(rest, values)
        case "VOLUME":
            image.volumes += json.loads(rest) if rest.startswith("[") else rest.split()
        case "EXPOSE":
            image.ports += [int(port.removesuffix("/tcp")) for port in expand(rest, values).split()]
        case _:
            raise Failed("this instruction is not known here")


# --- RUN ----------------------------------------------------------------------------------------------------------


def kept(target: str) -> tuple[str, str]:
    """A folder of what was downloaded, which stays, and where it is seen."""
    folder = WORK / "cache" / target.strip("/").replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder), target


def clients() -> tuple[dict[str, str], list[tuple[str, str]]]:
    """What clients of package registries use on this machine: environment, and files to mount."""
    wanted = re.compile(r"(https?|no|all)_proxy|CARGO_(REGISTR|SOURCE|HTTP|NET).*", re.IGNORECASE)
    env = {name: value for name, value in os.environ.items() if wanted.fullmatch(name)}
    binds = [("/etc/resolv.conf", "/etc/resolv.conf"), ("/etc/hosts", "/etc/hosts")]
    certificates = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    if Path(certificates).is_file():
        binds.append((certificates, CERTIFICATES))
        names = ("SSL_CERT_FILE", "CARGO_HTTP_CAINFO", "NODE_EXTRA_CA_CERTS", "npm_config_cafile")
        env |= dict.fromkeys(names, CERTIFICATES)
    if shutil.which("npm"):
        env["npm_config_registry"] = output("npm", "config", "get", "registry")
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    if (home / "config.toml").is_file():
        binds.append((str(home / "config.toml"), "/usr/local/cargo/config.toml"))
    return env, binds


def in_root(image: Image, command: list[str], mounts: list[tuple[str, str]], capture: bool = False) -> str:
    """Runs a command in an image as RUN does. The mounts end with their namespace."""
    env, binds = clients()
    uid, gid = image.user.split(":")
    lines = ["set -e", "mount --make-rprivate /"]
    made = []
    for source, target in [*binds, *image.binds, *mounts, ("/dev", "/dev")]:
        place = inside(image.root, target)
        if not place.exists():
            made.append(place)
            if Path(source).is_dir():
                place.mkdir(parents=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
        lines.append(f"mount --rbind {shlex.quote(source)} {shlex.quote(str(place))}")
    inside(image.root, "/proc").mkdir(exist_ok=True)
    lines.append(f"mount -t proc proc {shlex.quote(str(image.root / 'proc'))}")
    change = shlex.join(["chroot", f"--userspec={uid}:{gid}", str(image.root), "/bin/sh", "-c", 'cd "$0" && exec "$@"'])
    lines.append(f"exec {change} {shlex.quote(image.workdir)} {shlex.join(command)}")
    isolated = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--ipc",
        "--uts",
        "bash",
        "-c",
        "\n".join(lines),
    ]
    given = {"HOME": "/root"} | image.env | image.args | env
    try:
        if capture:
            return subprocess.run(
                isolated, env=given, stdin=subprocess.DEVNULL, check=True, capture_output=True, text=True
            ).stdout
        run(*isolated, env=given, stdin=subprocess.DEVNULL)
        return ""
    except subprocess.CalledProcessError as error:
        raise Failed(error.stderr) from error
    finally:
        # Docker leaves folders where something was mounted, and so do these, unless they are files.
        for place in made:
            if place.is_file():
                place.unlink()


# --- FROM ---------------------------------------------------------------------------------------------------------


def begin(name: str, stages: dict[str, Image], root: Path) -> Image:
    root.parent.mkdir(parents=True, exist_ok=True)
    if name == "scratch":
        root.mkdir()
        return Image(root)
    if name in stages:
        run("cp", "-a", "--reflink=auto", stages[name].root, root)
        return replace(stages[name], root=root, args={})
    repository, _, tag = name.partition(":")
    release = re.search(r"bookworm|trixie|forky", tag)
    if not release:
        raise Failed(f"nothing stands in for {name} here")
    packages = {"debian": (), "node": (), "rust": ("gcc", "g++", "libc6-dev", "make", "ca-certificates")}.get(
        repository
    )
    if packages is None:
        raise Failed(f"nothing stands in for {name} here")
    run("cp", "-a", "--reflink=auto", debian(release[0], *packages), root)
    image = Image(root)
    if repository == "rust":
        home = "/usr/local/rustup"
        image.binds += [(output("rustc", "--print", "sysroot"), home), kept("/usr/local/cargo/registry")]
        image.env |= {"CARGO_HOME": "/usr/local/cargo", "PATH": f"/usr/local/cargo/bin:{home}/bin:{PATH}"}
    if repository == "node":
        image.binds.append(kept("/root/.npm"))
        shutil.copy(output("node", "-p", "process.execPath"), root / "usr/local/bin/node")
        run("cp", "-a", f"{output('npm', 'root', '--global')}/npm", root / "usr/local/lib/npm")
        (root / "usr/local/bin/npm").symlink_to("../lib/npm/bin/npm-cli.js")
    return image


def debian(release: str, *packages: str) -> Path:
    """A root of that release, from where this machine has its own packages."""
    folder = WORK / "debian" / "-".join([release, *packages])
    if folder.exists():
        return folder
    targets = output("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(ORIGIN)", "Created-By: Packages")
    mirrors = sorted({tuple(line.split()[:2]) for line in targets.splitlines() if line.endswith(" Debian")})
    ours = min((suite for _, suite in mirrors), key=len, default="")
    if not ours:
        raise Failed("apt knows no mirror of Debian: apt-get update")
    site = next(site for site, suite in mirrors if suite == ours)
    trial = folder.with_name(folder.name + ".new")
    shutil.rmtree(trial, ignore_errors=True)
    trial.parent.mkdir(parents=True, exist_ok=True)
    include = [f"--include={','.join(packages)}"] if packages else []
    run("debootstrap", "--variant=minbase", *include, release, trial, site)
    sources = [f"deb {site} {suite.replace(ours, release)} main\n" for site, suite in mirrors]
    (trial / "etc/apt/sources.list").write_text("".join(sources))
    settings = [line for line in output("apt-config", "dump").splitlines() if line.startswith("Acquire::")]
    (trial / "etc/apt/apt.conf.d/90outside").write_text("\n".join(settings) + "\n")
    for scrap in (trial / "var/cache/apt/archives").glob("*.deb"):
        scrap.unlink()
    trial.rename(folder)
    return folder


# --- COPY ---------------------------------------------------------------------------------------------------------


def inside(root: Path, path: str) -> Path:
    """Where a path of an image is on this machine."""
    place = (root / path.lstrip("/")).resolve()
    if not place.is_relative_to(root.resolve()):
        raise Failed(f"{path} is a link that leads out of the image")
    return place


def numbers(root: Path, user: str) -> str:
    """USER[:GROUP] as numbers; names are looked up in the image."""
    name, _, group = user.partition(":")

    def look_up(file: str, name: str, columns: tuple[int, ...]) -> list[str]:
        for line in (root / "etc" / file).read_text().splitlines():
            fields = line.split(":")
            if fields[0] == name:
                return [fields[column] for column in columns]
        raise Failed(f"{name} is not in /etc/{file} of the image")

    uid, of_user = (name, "0") if name.isdigit() else look_up("passwd", name, (2, 3))
    gid = group if group.isdigit() else look_up("group", group, (2,))[0] if group else of_user
    return f"{uid}:{gid}"


def copy(source: Path, patterns: list[str], image: Image, target: str, owner: str) -> None:
    found = [path for pattern in patterns for path in sorted(source.glob(pattern.strip("/") or "."))]
    for pattern in patterns:
        if not list(source.glob(pattern.strip("/") or ".")):
            raise Failed(f"{pattern} is not there (perhaps .dockerignore keeps it out)")
    into = inside(image.root, os.path.join(image.workdir, target))
    into_folder = target.endswith(("/", ".")) or len(found) > 1 or into.is_dir()
    for path in found:
        with tempfile.TemporaryDirectory(dir=WORK) as folder:
            # What is copied gets a new owner, what lies there already keeps its own.
            staged = Path(folder) / path.name
            run("cp", "-a", path, staged)
            run("chown", "-Rh", owner, staged)
            into.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                into.mkdir(exist_ok=True)
                run("cp", "-a", f"{staged}/.", f"{into}/")
            elif into_folder:
                into.mkdir(exist_ok=True)
                run("cp", "-a", staged, f"{into}/")
            else:
                run("cp", "-a", staged, into)


def send(context: Path, ignore: Path) -> Path:
    """What Docker would get of the context: all that .dockerignore does not keep out."""
    lines = ignore.read_text().splitlines() if ignore.exists() else []
    rules = []
    for line in (line.strip() for line in lines):
        if line and not line.startswith("#"):
            pattern = line.lstrip("!").strip("/")
            rules.append((re.compile(regex(pattern)), line.startswith("!"), pattern))

    def is_kept(path: str) -> bool:
        # The last rule that names the path, or a folder above it, decides.
        ways = [path, *map(str, Path(path).parents)]
        return next((keep for rule, keep, _ in reversed(rules) if any(map(rule.fullmatch, ways))), True)

    def may_hold(folder: str) -> bool:
        return is_kept(folder) or any(keep and f"{pattern}/".startswith(f"{folder}/") for _, keep, pattern in rules)

    if any(keep and re.search(r"[*?]", pattern) for _, keep, pattern in rules):
        raise Failed(".dockerignore: exceptions with wildcards are not known here")
    sent = WORK / "context"
    shutil.rmtree(sent, ignore_errors=True)
    sent.mkdir(parents=True)
    for folder, folders, files in os.walk(context):
        here = os.path.relpath(folder, context)
        folders[:] = [name for name in folders if may_hold(os.path.normpath(f"{here}/{name}"))]
        for name in files:
            path = os.path.normpath(f"{here}/{name}")
            if is_kept(path):
                (sent / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(context / path, sent / path, follow_symlinks=False)
    return sent


def regex(pattern: str) -> str:
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.sub(r"\*\*/|\*\*|\*|\?|[^*?]+", lambda part: parts.get(part[0]) or re.escape(part[0]), pattern)
