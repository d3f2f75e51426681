"""A Messages API of several accounts that checks thinking blocks and the gateway's contract, and notes what it sees."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import contract
from binding import THINKING, Dropped, Refused, Signer, blocks, digest
from model import Said, answer_to

STALL_S = 60
USAGE = {"input_tokens": 20, "output_tokens": 9, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}


@dataclass
class Turn:
    """A request for a message, and what became of it."""

    account: str
    conversation: tuple[str, ...]
    body: dict
    prompt: str
    returned: int
    status: int = 200
    error: str = ""
    dropped: list[Dropped] = field(default_factory=list)
    controls: bool = False
    # blocks that this account handed out before, in this conversation, after the same prompt; whose fault a 400 is
    minted: int = 0
    of_client: bool = False
    # pending, stalling, or over
    state: str = "pending"

    @property
    def has_tools(self) -> bool:
        return bool(self.body.get("tools"))


class Api:
    """What all accounts share: the model, the notes, and what happens at which turn."""

    def __init__(self, notes: str = "notes.txt") -> None:
        self.notes, self.turns, self.violations = notes, [], []
        self.lock = threading.Lock()
        self.minted: Counter = Counter()
        # Called before the answer, with the account and the number of requests with tools. True: it breaks off instead.
        self.before_answer: Callable[[Account, int], bool] = lambda account, number: False
        self.failure: BaseException | None = None

    def with_tools(self) -> list[Turn]:
        with self.lock:
            return [turn for turn in self.turns if turn.has_tools]


class Account:
    """A listener of its own with a key of its own; it can die, and come back at the same port."""

    def __init__(self, api: Api, name: str) -> None:
        self.api, self.name, self.port, self.server = api, name, 0, None
        self.signer = Signer(name)
        self.open: set[socket.socket] = set()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        handler = type("Handler", (Handler,), {"account": self})
        self.server = Server(("127.0.0.1", self.port), handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def die(self) -> None:
        """Nobody listens any more, and every connection breaks off."""
        server, self.server = self.server, None
        if not server:
            return
        # From another thread: `shutdown` waits for the loop, which may wait for nothing of ours.
        server.shutdown()
        server.server_close()
        with self.api.lock:
            held = list(self.open)
        for connection in held:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True
    # `server_close` would wait for the threads that still answer.
    block_on_close = False


class Handler(BaseHTTPRequestHandler):
    account: Account
    protocol_version = "HTTP/1.1"
    timeout = 120

    def setup(self) -> None:
        super().setup()
        with self.account.api.lock:
            self.account.open.add(self.connection)

    def finish(self) -> None:
        with self.account.api.lock:
            self.account.open.discard(self.connection)
        try:
            super().finish()
        except OSError:
            pass

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.reply(200, {})

    def do_GET(self) -> None:
        self.reply(404, error("not_found_error", self.path))

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if "/count_tokens" in self.path:
            return self.reply(200, {"input_tokens": 1000})
        turn = self.take(text)
        api = self.account.api
        with api.lock:
            api.turns.append(turn)
            number = sum(seen.has_tools for seen in api.turns)
        try:
            if turn.has_tools and api.before_answer(self.account, number):
                turn.status, self.close_connection = 0, True
                return
        except Exception as failure:
            api.failure = failure
        try:
            self.answer(turn)
        except (BrokenPipeError, ConnectionError):
            turn.error = turn.error or "the other side left"
            if not self.account.server:
                # The account has died meanwhile, for another request: this one has no answer either.
                turn.status = 0
            self.close_connection = True
        finally:
            turn.state = "over"

    def take(self, text: str) -> Turn:
        body = json.loads(text)
        name = lambda field: self.headers.get(field, "")
        returned = sum(block["type"] in THINKING for message in body["messages"] for block in blocks(message))
        session = (name("x-claude-code-session-id"), name("x-claude-code-agent-id"))
        # Releases before 2.1 name no session; and the old way to compact has a tool list, and so a prompt, of its own.
        tools = " ".join(tool["name"] for tool in body.get("tools") or [])
        conversation = (*(session if session[0] else [digest(body["messages"][:1])]), tools)
        return Turn(self.account.name, conversation, body, contract.prompt_digest(text), returned)

    def answer(self, turn: Turn) -> None:
        body, api = turn.body, self.account.api
        flags = [flag.strip() for line in self.headers.get_all("anthropic-beta", []) for flag in line.split(",")]
        turn.controls = contract.CONTROLS in flags
        if fault := contract.misplaced_attribution(body.get("system")):
            api.violations.append(fault)
        if self.headers.get("authorization", "") != f"Bearer key-{self.account.name}":
            api.violations.append(f"account {self.account.name} got another key")
        try:
            if words := contract.half_pair(body, flags):
                api.violations.append(words)
                raise Refused(words)
            turn.dropped, last = self.account.signer.check(body)
        except Refused as refused:
            turn.status, turn.error, turn.of_client = 400, str(refused), refused.of_client
            return self.reply(400, error("invalid_request_error", str(refused)))
        said = answer_to(body, api.notes)
        content = []
        mine = (self.account.name, turn.conversation, turn.prompt)
        turn.minted = api.minted[mine]
        if said.thinks and (body.get("thinking") or {}).get("type") in ("adaptive", "enabled"):
            api.minted[mine] += 1
            step = len(body["messages"])
            content.append(self.account.signer.block(body, f"Thought {step}.", last, redacted=step % 5 == 4))
        if said.tool:
            tool = {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:20]}", "name": said.tool, "input": said.input}
            content.append(tool)
        else:
            content.append({"type": "text", "text": said.text})
        message = {
            "id": f"msg_{uuid.uuid4().hex[:20]}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": "tool_use" if said.tool else "end_turn",
            "stop_sequence": None,
            "usage": USAGE,
        }
        if turn.controls:
            message["input_transformations"] = [
                {"type": "thinking_dropped", "path": dropped.path, "reason": dropped.reason} for dropped in turn.dropped
            ]
        if body.get("stream"):
            return self.stream(turn, message, said)
        self.reply(200, message)

    def reply(self, status: int, body: dict) -> None:
        sent = json.dumps(body).encode() if self.command != "HEAD" else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.send_header("request-id", f"req_{uuid.uuid4().hex[:20]}")
        self.end_headers()
        self.wfile.write(sent)

    def stream(self, turn: Turn, message: dict, said: Said) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        content, stop = message["content"], message["stop_reason"]
        self.event("message_start", message=message | {"content": [], "stop_reason": None})
        for index, block in enumerate(content):
            self.block(index, block)
            if said.stalls and block["type"] == "text":
                turn.state = "stalling"
                return self.stall()
        self.event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage=message["usage"])
        self.event("message_stop")
        self.wfile.write(b"0\r\n\r\n")

    def block(self, index: int, block: dict) -> None:
        kind = block["type"]
        empty = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}, "tool_use": {"input": {}}}
        self.event("content_block_start", index=index, content_block=block | empty.get(kind, {}))
        delta = lambda **part: self.event("content_block_delta", index=index, delta=part)
        if kind == "thinking":
            delta(type="thinking_delta", thinking=block["thinking"])
            delta(type="signature_delta", signature=block["signature"])
        elif kind == "text":
            delta(type="text_delta", text=block["text"])
        elif kind == "tool_use":
            delta(type="input_json_delta", partial_json=json.dumps(block["input"]))
        self.event("content_block_stop", index=index)

    def stall(self) -> None:
        """Pings, until the client has left."""
        deadline = time.monotonic() + STALL_S
        while time.monotonic() < deadline:
            self.event("ping")
            time.sleep(0.1)

    def event(self, kind: str, **data: object) -> None:
        event = f"event: {kind}\ndata: {json.dumps({'type': kind} | data)}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))


def error(kind: str, message: str) -> dict:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{uuid.uuid4().hex[:20]}"}
