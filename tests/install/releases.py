"""Releases on loopback, in the layout of a release page, made of what `make dist` made."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME = "anyrouter-gateway"


class Releases:
    """The newest one is what was published last."""

    def __init__(self, dist: Path) -> None:
        self.folder = dist
        archive = next(dist.glob("*.tar.gz"))
        first, self.architecture = archive.name.removeprefix(f"{NAME}-").removesuffix(".tar.gz").split("-linux-")
        with tarfile.open(archive) as tar:
            self._members = [(member, tar.extractfile(member)) for member in tar.getmembers()]
            self._members = [(member, data.read() if data else b"") for member, data in self._members]
        sums = (dist / "SHA256SUMS").read_bytes()
        self._files = {first: {archive.name: archive.read_bytes(), "SHA256SUMS": sums}}
        self._newest = first
        # What goes wrong with archives: "", "sum", "cut" or "cut without a length".
        self.broken = ""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{server.server_port}/releases"

    def program(self, version: str) -> bytes:
        """What a release has as its program: the same one, with another end."""
        of_first = next(data for member, data in self._members if member.name.endswith(f"/{NAME}"))
        return of_first + version.encode()

    def publish(self, version: str, program: bytes | None = None) -> None:
        name = f"{NAME}-{version}-linux-{self.architecture}"
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
            for member, data in self._members:
                if member.name.endswith(f"/{NAME}"):
                    data = self.program(version) if program is None else program
                renamed = tarfile.TarInfo(member.name.replace(member.name.split("/")[0], name, 1))
                renamed.type, renamed.mode, renamed.size = member.type, member.mode, len(data)
                tar.addfile(renamed, io.BytesIO(data))
        body = packed.getvalue()
        sums = f"{hashlib.sha256(body).hexdigest()}  {name}.tar.gz\n".encode()
        self._files[version] = {f"{name}.tar.gz": body, "SHA256SUMS": sums}
        self._newest = version

    def _handler(releases) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                match self.path.split("/")[1:]:
                    case ["releases", "latest", "download", file]:
                        body = releases._files[releases._newest].get(file)
                    case ["releases", "download", version, file]:
                        body = releases._files.get(version.removeprefix("v"), {}).get(file)
                    case _:
                        body = None
                if body is None:
                    self.send_error(404)
                    return
                broken = releases.broken if self.path.endswith(".tar.gz") else ""
                self.send_response(200)
                if broken != "cut without a length":
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if broken == "sum":
                    body = body[:-1] + bytes([body[-1] ^ 1])
                self.wfile.write(body[: len(body) // 2] if broken.startswith("cut") else body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
