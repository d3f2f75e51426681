#!/usr/bin/env python3
"""Builds the image of the Dockerfile and runs it as compose.yaml says, without Docker: test.py (root).

Needs debootstrap, iproute2, openssl, Rust and Node.js. What runs has a network of its own, in which this script
is the world outside of the container.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from container import INSIDE, OUTSIDE, Container
from image import ROOT, WORK, Failed, Image, build, debian, in_root, output, run

COMPOSE = ROOT / "compose.yaml"
KEY = "key-of-the-panel"
LARGEST_IMAGE = 40e6


def check(what: str, holds: bool, instead: object = "") -> None:
    if not holds:
        raise Failed(f"{what}: {instead}")
    print(f"  {what}", flush=True)


def seconds(time_of_docker: str) -> float:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([hms])", time_of_docker))


# --- compose.yaml -------------------------------------------------------------------------------------------------


def compose(*words: str, release: str = "trixie") -> str:
    """What Docker Compose says at the root, which it finds the file in: v2 of this machine or of Debian 13, or Debian 12's."""
    if release == "trixie":
        for command in (["docker", "compose"], ["docker-compose"]):
            said = subprocess.run([*command, "version"], capture_output=True, text=True) if shutil.which(command[0]) else None
            if said and said.returncode == 0 and re.search(r" v?[2-9]", said.stdout):
                return output(*command, *words)
    image = Image(debian(release, "ca-certificates", "docker-compose"), workdir=str(ROOT))
    return in_root(image, ["docker-compose", *words], [(str(ROOT), str(ROOT))], capture=True)


def as_json(*profile: str) -> dict:
    return json.loads(compose(*profile, "config", "--format", "json"))


def check_compose() -> dict:
    old = compose("--profile", "monitoring", "config", release="bookworm")
    version = compose("version", "--short", release="bookworm").strip()
    names = re.findall(r"^    name: (\S+)", old, re.MULTILINE)
    check(f"Debian 12's docker-compose {version} reads it too", version.startswith("1.29."), version)
    plain, full = as_json(), as_json("--profile", "monitoring")
    theirs = sorted(volume["name"] for volume in full["volumes"].values())
    check(f"both have the volumes {', '.join(theirs)}", sorted(names) == theirs, old)
    check("which are called as ever", theirs == [f"anyrouter-gateway_{name}" for name in sorted(full["volumes"])], theirs)
    check("the gateway alone", set(plain["services"]) == {"gateway"}, plain["services"].keys())
    everybody = {"gateway", "prometheus", "grafana"}
    check("with Prometheus and Grafana", set(full["services"]) == everybody, full["services"].keys())
    for name, service in full["services"].items():
        confined = service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
        check(f"{name} has no capabilities and gets none", confined)
        addresses = {port["host_ip"] for port in service["ports"]}
        check(f"{name} is published for this machine only", addresses == {"127.0.0.1"}, addresses)
        missing = [bind for bind in service["volumes"] if bind["type"] == "bind" and not os.path.exists(bind["source"])]
        check(f"what {name} mounts is there", not missing, missing)
    gateway = full["services"]["gateway"]
    check("the gateway's root is read-only", gateway["read_only"] is True)
    drain = re.search(r"^ +stop: (\w+)", (ROOT / "conf" / "gateway.yaml").read_text(), re.MULTILINE)[1]
    patience = gateway["stop_grace_period"]
    check(f"Docker waits {patience}, the gateway drains {drain}", seconds(patience) > seconds(drain))
    return gateway


# --- The container ------------------------------------------------------------------------------------------------


class Relay(BaseHTTPRequestHandler):
    """An https upstream that streams for two seconds."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        events = [b'event: ping\ndata: {"type": "ping"}\n\n'] * 10
        events.append(b'event: message_stop\ndata: {"type": "message_stop"}\n\n')
        self.send_header("Content-Length", str(sum(map(len, events))))
        self.end_headers()
        for event in events:
            self.wfile.write(event)
            self.wfile.flush()
            time.sleep(0.2)

    def log_message(self, *_: object) -> None:
        pass


def ask(port: int, path: str, method: str = "GET", body: str | None = None, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(INSIDE, port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def await_health(container: Container, image: Image) -> float:
    began = time.monotonic()
    limit = seconds(image.health_flags["start-period"])
    while (said := container.exec(*image.healthcheck)).returncode != 0:
        if container.process.poll() is not None or time.monotonic() - began > limit:
            raise Failed(f"not healthy: {said.stdout}{said.stderr}\n{container.log.read_text()}")
        time.sleep(0.05)
    return time.monotonic() - began


def check_container(image: Image, gateway: dict) -> None:
    run("ip", "link", "set", "lo", "up")
    folder = WORK / "run"
    shutil.rmtree(folder, ignore_errors=True)
    env_folder = folder / "env"
    shutil.copytree(ROOT / "env", env_folder, ignore=lambda *_: [".env"])
    volumes = {it["target"]: folder / it["source"] for it in gateway["volumes"] if it["type"] == "volume"}
    binds = {it["target"]: Path(it["source"]) for it in gateway["volumes"] if it["type"] == "bind"}
    check(
        "all that is bound is read-only", all(it.get("read_only") for it in gateway["volumes"] if it["type"] == "bind")
    )
    check("the image's volumes have a name", set(image.volumes) == set(volumes), volumes)
    published = {port["target"] for port in gateway["ports"]}
    check("all ports of the image are published", set(image.ports) == published, published)
    binds["/app/env"] = env_folder
    environment = {name: value or "" for name, value in (gateway.get("environment") or {}).items()}
    new = lambda: Container(image, environment, volumes, binds)  # noqa: E731

    print("first start", flush=True)
    container = new()
    try:
        container.start()
        check(f"healthy after {await_health(container, image):.1f} s", True)
        status, text = ask(8088, "/health")
        check("/health", status == 200, text)
        status, page = ask(8088, "/admin")
        assets = re.findall(r'(?:src|href)="(/admin/[^"]+\.(?:js|css))"', page)
        check(f"/admin, and {len(assets)} files that it names", status == 200 and len(assets) > 1, page)
        check("they are there", all(ask(8088, path)[0] == 200 for path in assets), assets)
        status, text = ask(9188, "/metrics")
        check("/metrics", status == 200 and "gateway_build_info" in text, text)
        status, text = ask(8088, "/api/admin/health")
        check("nobody may look", status == 401 and "anyrouter-gateway panel" in text, (status, text))
        said = container.exec("anyrouter-gateway", "panel")
        link, _, key = said.stdout.strip().partition("#key=")
        is_link = link == "http://127.0.0.1:8088/admin" and key.startswith("once-")
        check("exec ... anyrouter-gateway panel", is_link, said)
        login = json.dumps({"key": key})
        status, text = ask(8088, "/api/admin/session", "POST", login, **{"Content-Type": "application/json"})
        check("its link logs in", status == 204, (status, text))
        check("the log does not hold it", key not in container.log.read_text())
        said = container.exec("anyrouter-gateway", "upgrade")
        check("process 1 is not replaced", said.returncode == 1 and "new image" in said.stderr, said)
        check("it goes on", container.exec(*image.healthcheck).returncode == 0)
        status_file = Path(f"/proc/{container.pid}/status").read_text()
        user = re.search(r"^Uid:\t(\d+)", status_file, re.MULTILINE)[1]
        check(f"its user is {user}", user == image.user.split(":")[0] and user != "0")
        powers = re.findall(r"^Cap(?:Prm|Eff|Bnd):\t(\w+)", status_file, re.MULTILINE)
        check("it has no capabilities", {int(value, 16) for value in powers} == {0}, powers)
        mounts = Path(f"/proc/{container.pid}/mounts").read_text()
        writable = re.findall(r"^\S+ (\S+) (?!proc|tmpfs|devtmpfs)\S+ rw\b", mounts, re.MULTILINE)
        check("it can write to its volume alone", writable == list(volumes), mounts)
        check(f"stopped in {container.stop(seconds(gateway['stop_grace_period'])):.1f} s", True)
    finally:
        container.kill()

    print("killed", flush=True)
    container = new()
    try:
        container.start()
        await_health(container, image)
    finally:
        container.kill()

    # From here on with the volume that it left. The relay's certificate takes the place of all authorities.
    authorities = "/etc/ssl/certs/ca-certificates.crt"
    known = (image.root / authorities.lstrip("/")).read_text().count("BEGIN CERTIFICATE")
    check(f"the image knows {known} authorities", known > 100)
    certificate, private_key = folder / "relay.pem", folder / "relay.key"
    run(
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=relay",
        "-addext",
        f"subjectAltName=IP:{OUTSIDE}",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        private_key,
        "-out",
        certificate,
    )
    binds[authorities] = certificate
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, private_key)
    print("with env/.env", flush=True)
    (env_folder / ".env").write_text(f"DASHBOARD_API_KEY={KEY}\nAPI_BASE_URL=https://{OUTSIDE}:8443\n")
    container = new()
    try:
        container.start()
        # Only now there is such an address.
        relay = ThreadingHTTPServer((OUTSIDE, 8443), Relay)
        relay.socket = tls.wrap_socket(relay.socket, server_side=True)
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        await_health(container, image)
        key = {"Authorization": f"Bearer {KEY}"}
        status, text = ask(8088, "/api/admin/health", **key)
        check("the key opens the panel", status == 200, (status, text))
        check("another one does not", ask(8088, "/api/admin/health", Authorization="Bearer x")[0] == 401)
        (env_folder / ".env").write_text(f"DASHBOARD_API_KEY={KEY}-2\nAPI_BASE_URL=https://{OUTSIDE}:8443\n")
        said = container.exec("anyrouter-gateway", "reload")
        check("anyrouter-gateway reload", said.returncode == 0, said)
        key = {"Authorization": f"Bearer {KEY}-2"}
        check("reads env/.env anew", ask(8088, "/api/admin/health", **key)[0] == 200)
        answers = []
        body = json.dumps({"model": "claude-x", "max_tokens": 1, "stream": True, "messages": []})
        client = threading.Thread(
            target=lambda: answers.append(
                ask(8088, "/v1/messages", "POST", body, **{"Content-Type": "application/json"})
            )
        )
        client.start()
        time.sleep(0.5)
        took = container.stop(seconds(gateway["stop_grace_period"]))
        client.join()
        check(f"stopped in {took:.1f} s", True)
        whole = bool(answers) and answers[0][0] == 200 and "message_stop" in answers[0][1]
        check("after the stream that was under way", whole and took > 1, answers)
    finally:
        container.kill()
    (data,) = volumes.values()
    check("the request log is in the volume", (data / "gateway.db").stat().st_size > 0)
    check_docker_run(image, folder)


def check_docker_run(image: Image, folder: Path) -> None:
    """`docker run` without Compose: a setting by -e, and either a volume without a name or a folder of the host."""
    environment = {"API_BASE_URL": f"https://{OUTSIDE}:8443"}
    print("docker run", flush=True)
    container = Container(image, environment, {path: folder / "nameless" for path in image.volumes}, {})
    try:
        container.start()
        await_health(container, image)
        said = container.exec("anyrouter-gateway", "panel")
        check("a link to the panel", said.stdout.startswith("http://127.0.0.1:8088/admin#key=once-"), said)
        said = container.exec("anyrouter-gateway", "check")
        check("API_BASE_URL is in force", f"https://{OUTSIDE}:8443" in said.stdout, said)
        container.stop(20)
    finally:
        container.kill()

    user = image.user.split(":")[0]
    data, env = folder / "data-of-root", folder / "env-of-root"
    data.mkdir()
    env.mkdir()
    (env / ".env").touch(mode=0o600)
    for what, volume, binds, command in (
        ("data", data, {}, f"chown -R {user} data"),
        ("env/.env", folder / "nameless", {"/app/env": env}, f"chown {user} env/.env"),
    ):
        print(f"docker run with a {what} of root's", flush=True)
        container = Container(image, environment, {path: volume for path in image.volumes}, binds)
        try:
            container.start()
            container.process.wait(20)
            said = container.log.read_text()
            check("it says what to type", command in said, said)
            check("and does not start", container.process.returncode != 0, said)
        finally:
            container.kill()


def main() -> None:
    if os.geteuid() != 0:
        raise Failed("only root can make namespaces")
    os.chdir(ROOT)
    print(COMPOSE.name, flush=True)
    gateway = check_compose()
    print("Dockerfile", flush=True)
    image = build(ROOT / "Dockerfile", ROOT)
    archive = WORK / "image.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(image.root, "/")
    size = f"{image.size() / 1e6:.1f} MB, {archive.stat().st_size / 1e6:.1f} MB compressed"
    check(f"the image: {size}", image.size() < LARGEST_IMAGE)
    # The network and all mounts end with the process.
    child = os.fork()
    if child == 0:
        os.execvp(
            "unshare",
            ["unshare", "--net", "--mount", sys.executable, __file__, json.dumps([vars(image), gateway], default=str)],
        )
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        sys.exit(1)
    print(f"passed in {time.monotonic() - BEGAN:.0f} s")


BEGAN = time.monotonic()

if __name__ == "__main__":
    try:
        if len(sys.argv) > 1:
            values, service = json.loads(sys.argv[1])
            check_container(Image(**values | {"root": Path(values["root"])}), service)
        else:
            main()
    except Failed as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        sys.exit(1)
