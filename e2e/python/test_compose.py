"""compose.yaml as docker-compose 1.29, podman-compose and, where it is, Compose v2 read it; `make docker-test` has v2 always."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = Path(__file__).resolve().parents[1] / ".venv" / "compose"
# Newer Pythons dropped distutils, which setuptools has, and pipes, of which it uses what shlex has.
START = "import setuptools, shlex, sys; sys.modules['pipes'] = shlex; from compose.cli.main import main; main()"
DOCKER_COMPOSE = [sys.executable, "-W", "ignore", "-c", START]
# Volumes that were there when the file said `name: anyrouter-gateway`: what is in them must be found again.
VOLUMES = {"data": "anyrouter-gateway_data", "prometheus": "anyrouter-gateway_prometheus", "grafana": "anyrouter-gateway_grafana"}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(LIBRARIES)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)


def docker_compose(folder: Path) -> subprocess.CompletedProcess:
    return run([*DOCKER_COMPOSE, "--profile", "monitoring", "config"], folder)


def podman_compose(folder: Path) -> subprocess.CompletedProcess:
    # It asks Podman for its version first.
    podman = folder / "podman"
    podman.write_text("#!/bin/sh\necho 5.4.0\n")
    podman.chmod(0o755)
    return run([sys.executable, "-m", "podman_compose", "--podman-path", str(podman), "--profile", "monitoring", "config"], folder)


def compose_v2(folder: Path) -> subprocess.CompletedProcess:
    return run(["docker", "compose", "--profile", "monitoring", "config"], folder)


HAS_V2 = shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
PARSERS = [docker_compose, podman_compose, *([compose_v2] if HAS_V2 else [])]


@pytest.fixture
def clone(tmp_path) -> Path:
    """A clone in a folder that is not called as the project is."""
    folder = tmp_path / "my-gateway"
    folder.mkdir()
    for name in ("compose.yaml", "Dockerfile"):
        shutil.copy(ROOT / name, folder)
    for name in ("conf", "env"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".env"))
    return folder


@pytest.mark.parametrize("parser", PARSERS)
def test_it_is_found_and_read_from_the_root_without_a_warning(parser, clone):
    done = parser(clone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warn" not in done.stderr.lower(), done.stderr
    read = yaml.safe_load(done.stdout)
    assert read["services"].keys() == {"gateway", "prometheus", "grafana"}
    gateway = read["services"]["gateway"]
    assert (gateway["read_only"], gateway["cap_drop"], gateway["restart"]) == (True, ["ALL"], "unless-stopped")
    assert {name: volume["name"] for name, volume in read["volumes"].items()} == VOLUMES


def test_a_name_for_the_project_would_shut_debian_12_out(clone):
    file = clone / "compose.yaml"
    file.write_text("name: anyrouter-gateway\n" + file.read_text())
    done = docker_compose(clone)
    assert done.returncode != 0 and "'name' does not match" in done.stderr, done.stderr


def test_there_is_one_file_only_for_they_prefer_different_ones():
    found = [name for name in os.listdir(ROOT) if re.fullmatch(r"(docker-)?compose(\.override)?\.ya?ml", name)]
    assert [name for name in found if "override" not in name] == ["compose.yaml"], found


def test_the_image_is_built_without_buildkit_too():
    """Debian 12's Docker 20.10 has it, but does not use it unless told to."""
    text = (ROOT / "Dockerfile").read_text()
    buildkit = re.findall(r"^#\s*syntax=.*|^(?:RUN|COPY|ADD) --(?!from=|chown=)\S+|<<\S+", text, re.MULTILINE)
    assert not buildkit, buildkit


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_what_the_readme_types_fits_the_file(readme):
    text = (ROOT / readme).read_text()
    lines = [line.split("#")[0].split() for line in re.findall(r"^docker .*", text.replace("\\\n", " "), re.MULTILINE)]
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    gateway = services["gateway"]
    (start,) = [line for line in lines if line[1] == "run"]
    assert start[-1] == gateway["image"].removesuffix(":latest")
    assert start[start.index("-v") + 1] == f"{VOLUMES['data']}:/app/data", "both ways find the same data"
    assert start[start.index("-p") + 1] == gateway["ports"][0]
    profiles = {profile for service in services.values() for profile in service.get("profiles", [])}
    assert {line[line.index("--profile") + 1] for line in lines if "--profile" in line} == profiles
    executed = {line[line.index("exec") + 1] for line in lines if "exec" in line}
    assert executed == {"gateway", start[start.index("--name") + 1]}
    assert {"up", "logs", "down"} <= {word for line in lines for word in line}
