"""Requests while something happens, and a relay for them."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Not through the proxies that the environment names.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(address: str) -> int | None:
    """The status, or `None` where nobody responds."""
    try:
        with OPENER.open(address, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


class Traffic:
    """Asks again and again, on a new connection each time."""

    def __init__(self, address: str) -> None:
        self.address, self.asked, self.failed = address, 0, []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._ended.is_set():
            self.asked += 1
            if (status := get(self.address)) != 200:
                self.failed.append(status)
            # Often enough to meet any gap, and no load.
            self._ended.wait(0.005)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


class Relay:
    """An upstream."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def asked_through(self, gateway: str) -> bool:
        body = b'{"model":"claude-opus-4-8","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}'
        headers = {"content-type": "application/json", "authorization": "Bearer sk-test"}
        request = urllib.request.Request(f"{gateway}/v1/messages", body, headers)
        with OPENER.open(request, timeout=20) as answer:
            return answer.status == 200 and answer.read() == b"{}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
