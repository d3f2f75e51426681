"""A relay that has one answer, for what is shown to people: `with Relay(answer) as address`; at its own `pace_s` by the event."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = {"type": "model", "id": "claude-sonnet-5-5", "display_name": "Claude Sonnet 5.5", "created_at": "2026-10-07T00:00:00Z"}


def events(answer: str, model: str) -> list[dict]:
    usage = {"input_tokens": 2140, "output_tokens": 24}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "usage": usage}
    return [
        {"type": "message_start", "message": message | {"stop_reason": None, "stop_sequence": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": answer}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]


class Relay(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: str, pace_s: float = 0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.pace_s = answer, pace_s

    def __enter__(self) -> str:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server_port}"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one piece

    def do_GET(self) -> None:
        self.reply("application/json", json.dumps({"data": [MODEL], "has_more": False}))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = events(self.server.answer, asked["model"])
        self.reply("text/event-stream", *(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in said))

    def reply(self, kind: str, *pieces: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(sum(len(piece.encode()) for piece in pieces)))
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece.encode())
            self.wfile.flush()
            time.sleep(self.server.pace_s)

    def log_message(self, *_: object) -> None:
        pass
