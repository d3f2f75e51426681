"""What load tests of a team's limits are made of: a relay that does as each request says, clients, and a gateway.

Relay and clients are in one process, so that both sides of a request are known, and its times by one clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stack import Stack, free_port

RELAY_KEY = "sk-relay-of-the-load-test-0123456789"
ANSWER_DEADLINE_S = 120
# Nano-dollars for a token: input, written to the cache, read from it, output.
PRICES = {
    "claude-opus-5": (5_000, 6_250, 500, 25_000),
    "claude-fable-5": (10_000, 12_500, 1_000, 50_000),
    "claude-opus-5-5": (4_000, 5_000, 200, 20_000),
    "claude-haiku-4-5-20251001": (1_000, 1_250, 100, 5_000),
}
PIECE = "x" * 40


@dataclass(frozen=True)
class Tokens:
    input: int
    cache_write: int
    cache_read: int
    output: int

    def cost(self, model: str) -> int:
        """In nano-dollars."""
        return sum(map(int.__mul__, (self.input, self.cache_write, self.cache_read, self.output), PRICES[model]))


@dataclass(frozen=True)
class Plan:
    """What a request is to use, and how it ends: `whole`, `json` (whole, and no stream), `abort` (the client leaves after
    the last piece), `cut`, `reset`, `error` (in the stream, after the last piece), `status` (an error instead), `echo` (a
    400, or without pieces a 401, that repeats the head of the request), `close`."""

    id: str
    owner: str
    model: str
    tokens: Tokens
    end: str = "whole"
    pieces: int = 3
    pause_s: float = 0.0
    filler: int = 200

    @property
    def has_told_all(self) -> bool:
        return self.end in ("whole", "json")

    def used(self, pieces: int | None = None) -> Tokens | None:
        """What it used, once the relay sent so many pieces; `None` if nothing was told."""
        if self.end in ("status", "echo", "close"):
            return None
        if self.has_told_all and pieces is None:
            return self.tokens
        sent = self.pieces if pieces is None else pieces
        output = max(1, -(-sent * len(PIECE) // 4))
        return Tokens(self.tokens.input, self.tokens.cache_write, self.tokens.cache_read, output)


@dataclass
class Arrival:
    """A request as the relay saw it. Times are the loop's; `over` is when it is no longer open, whoever ended it."""

    plan: Plan
    at: float
    wall_ms: int
    body_bytes: int
    over: float | None = None
    heard: float | None = None
    is_begun: bool = False
    sent: int = 0
    is_broken: bool = False

    @property
    def cost(self) -> int:
        """What it cost in nano-dollars, by all that was written for it."""
        if not self.is_begun:
            return 0
        used = self.plan.used(self.sent if self.is_broken else None)
        return used.cost(self.plan.model) if used else 0


class Gone(Exception):
    """The other side has closed the connection."""


class Relay:
    """Does what the field `x-plan` of each request says, and counts what is open at one time."""

    def __init__(self) -> None:
        self.arrivals: dict[str, Arrival] = {}
        self.repeated = 0
        self.open: Counter = Counter()
        self.most: Counter = Counter()
        self.spent: Counter = Counter()
        self.heads: dict[str, str] = {}
        self.looks: list[Callable[[bytes, bytes], None]] = []
        self.spending = asyncio.Event()
        self.spending_at = float("inf")

    async def __aenter__(self) -> Relay:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(Gone, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = fields_of(head)
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                for look in self.looks:
                    look(head, body)
                if "x-plan" not in fields:
                    writer.write(response(200, b"{}"))
                    continue
                plan = read_plan(fields["x-plan"])
                if plan.end == "echo":
                    self.heads[plan.id] = head.decode("latin-1")
                if not await self.answer(plan, len(body), reader, writer):
                    break
        writer.close()

    async def answer(self, plan: Plan, size: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        loop = asyncio.get_running_loop()
        arrival = Arrival(plan, loop.time(), time.time_ns() // 1_000_000, size)
        if plan.id in self.arrivals:
            self.repeated += 1
        self.arrivals[plan.id] = arrival
        self.open[plan.owner] += 1
        self.most[plan.owner] = max(self.most[plan.owner], self.open[plan.owner])
        try:
            return await self.say(arrival, reader, writer)
        except BaseException:
            arrival.is_broken = True
            raise
        finally:
            self.close(arrival)

    def close(self, arrival: Arrival) -> None:
        """It is over: told before the last byte is sent, since another one may come as soon as the gateway has that."""
        if arrival.over is None:
            arrival.over = asyncio.get_running_loop().time()
            self.open[arrival.plan.owner] -= 1
            self.spent[arrival.plan.owner] += arrival.cost
            if sum(self.spent.values()) >= self.spending_at:
                self.spending.set()

    async def say(self, arrival: Arrival, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        plan = arrival.plan
        if plan.end == "echo":
            self.close(arrival)
            status, kind = (400, "invalid_request_error") if plan.pieces else (401, "authentication_error")
            error = {"type": kind, "message": f"not so: {self.heads[plan.id]}"}
            writer.write(response(status, json.dumps({"type": "error", "error": error}).encode()))
            return True
        if plan.end in ("status", "close"):
            await asyncio.sleep(plan.pause_s)
            self.close(arrival)
            if plan.end == "close":
                return False
            writer.write(response(529, b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'))
            return True
        arrival.is_begun = True
        if plan.end == "json":
            await asyncio.sleep(plan.pause_s * plan.pieces)
            self.close(arrival)
            writer.write(response(200, message(plan)))
            return True
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(chunk(event({"type": "message_start", "message": begun(plan)})))
        for _ in range(plan.pieces):
            if plan.pause_s:
                await asyncio.sleep(plan.pause_s)
            if writer.is_closing() or reader.at_eof():
                raise Gone
            delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": PIECE}}
            writer.write(chunk(event(delta)))
            await writer.drain()
            arrival.sent += 1
        if plan.end == "abort":
            # The client leaves, and with it the gateway.
            if await asyncio.wait_for(reader.read(1), ANSWER_DEADLINE_S):
                raise AssertionError("the gateway sent more")
            return False
        self.close(arrival)
        if plan.end == "reset":
            writer.transport.abort()
        if plan.end in ("cut", "reset"):
            return False
        last = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
        if plan.end == "whole":
            usage = {"output_tokens": plan.tokens.output}
            writer.write(chunk(event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage})))
            last = {"type": "message_stop"}
        writer.write(chunk(event(last)) + b"0\r\n\r\n")
        return True


def begun(plan: Plan) -> dict:
    told = plan.tokens
    usage = {"input_tokens": told.input, "cache_creation_input_tokens": told.cache_write,
             "cache_read_input_tokens": told.cache_read, "output_tokens": 1}
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": plan.model, "content": [], "usage": usage}


def message(plan: Plan) -> bytes:
    whole = begun(plan)
    whole["usage"]["output_tokens"] = plan.tokens.output
    whole |= {"content": [{"type": "text", "text": PIECE}], "stop_reason": "end_turn", "stop_sequence": None}
    return json.dumps(whole).encode()


def event(data: dict) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def response(status: int, body: bytes) -> bytes:
    fields = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    return b"HTTP/1.1 %d X\r\n%s\r\n%s" % (status, fields, body)


def fields_of(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}


def read_plan(text: str) -> Plan:
    plan = json.loads(text)
    return Plan(**{**plan, "tokens": Tokens(**plan["tokens"])})


@dataclass
class Heard:
    """What a client had for an answer; status 0 for none. `began` and `over` are times of the loop."""

    status: int
    fields: dict[str, str]
    body: bytes
    began: float
    over: float

    @property
    def is_final(self) -> bool:
        return self.fields.get("x-should-retry") == "false"


class Client:
    """A connection that is kept, and made anew if need be."""

    def __init__(self, port: int, relay: Relay | None = None, source: str = "127.0.0.1") -> None:
        self.port, self.relay, self.source = port, relay, source
        self.reader: asyncio.StreamReader | None = None

    async def send(self, plan: Plan, token: str) -> Heard:
        """Sends the request, and leaves it if its plan says so."""
        body = {"model": plan.model, "max_tokens": 128_000, "stream": plan.end != "json",
                "messages": [{"role": "user", "content": "x" * plan.filler}]}
        fields = {"authorization": f"Bearer {token}", "x-plan": json.dumps(asdict(plan), separators=(",", ":"))}
        leave = plan.pieces if plan.end == "abort" else None
        return await self.ask("POST /v1/messages", fields, json.dumps(body).encode(), leave, plan.id)

    async def ask(
        self, what: str, fields: dict[str, str], body: bytes = b"", leave: int | None = None, id: str = ""
    ) -> Heard:
        """`leave`: after so many pieces of the stream."""
        loop = asyncio.get_running_loop()
        began, got = loop.time(), bytearray()
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        length = f"content-length: {len(body)}\r\ncontent-type: application/json\r\n" if body else ""
        head = f"{what} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n{length}{lines}\r\n".encode()
        status, known = 0, {}
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                if self.reader is None:
                    opened = asyncio.open_connection("127.0.0.1", self.port, local_addr=(self.source, 0), limit=1 << 22)
                    self.reader, self.writer = await opened
                self.writer.write(head + body)
                text = await self.reader.readuntil(b"\r\n\r\n")
                status, known = int(text[9:12]), fields_of(text)
                if "content-length" in known:
                    got += await self.reader.readexactly(int(known["content-length"]))
                elif known.get("transfer-encoding") == "chunked":
                    while size := int(await self.reader.readuntil(b"\r\n"), 16):
                        got += (await self.reader.readexactly(size + 2))[:-2]
                        if leave is not None and got.count(b'"text_delta"') >= leave:
                            self.leave(id)
                            break
                    else:
                        await self.reader.readexactly(2)
        except (OSError, asyncio.IncompleteReadError):
            self.drop()
        except TimeoutError as late:
            raise AssertionError(f"no answer within {ANSWER_DEADLINE_S} s: {what} {id}") from late
        if known.get("connection") == "close":
            self.drop()
        heard = Heard(status, known, bytes(got), began, loop.time())
        if self.relay and (arrival := self.relay.arrivals.get(id)):
            arrival.heard = heard.over
        return heard

    def leave(self, id: str) -> None:
        # Over from here on for who counts: the gateway learns of it later, and frees the place after that.
        if self.relay and (arrival := self.relay.arrivals.get(id)):
            self.relay.close(arrival)
        self.writer.transport.abort()
        self.reader = None

    def drop(self) -> None:
        if self.reader is not None:
            self.writer.close()
            self.reader = None


@dataclass
class Team:
    """A gateway with the relay behind it, and its commands."""

    stack: Stack
    port: int
    folder: Path
    env: dict[str, str]
    tokens: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(cls, binaries: Path, relay: str, cleanup: ExitStack, more: dict | None = None, **env: str) -> Team:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="gateway-team-")))
        stack = Stack(binaries, folder, cleanup)
        config = {"upstreams": [{"name": "relay", "base_url": relay, "api_key": RELAY_KEY}],
                  "team": {"require_token": True}, **(more or {})}
        (folder / "gateway.yaml").write_text(json.dumps({"grace_period_seconds": 1, "gateway": config}))
        settings = {"API_BASE_URL": "", "GATEWAY_DB": "requests.db", "DASHBOARD_API_KEY": "panel-key-of-the-load", **env}
        url = stack.gateway("gateway", "", folder / "gateway.yaml", **settings)
        team = cls(stack, int(url.rpartition(":")[2]), folder / "gateway", settings)
        cleanup.callback(team.no_panic)
        return team

    def command(self, line: str) -> str:
        return self.stack.command("gateway", *line.split(" ")).strip()

    def token(self, user: str, *limits: str) -> str:
        self.command(f"user create --name {user}")
        options = "".join(f" --limit {limit}" for limit in limits)
        self.tokens[user] = self.command(f"token create --user {user}{options}")
        return self.tokens[user]

    def usage(self) -> dict[str, dict]:
        """What is used of each user's token's only limit."""
        return {row["name"].partition("/")[0]: row for row in json.loads(self.command("usage --json"))}

    @property
    def pid(self) -> int:
        return int((self.folder / "data" / "run" / "gateway.pid").read_text())

    def kill(self) -> dict[str, Lease]:
        """Ends the process at once; what the ledger's file has then, by user."""
        process, _ = self.stack.gateways["gateway"]
        os.kill(self.pid, signal.SIGKILL)
        process.wait(10)
        return self.leases()

    def leases(self) -> dict[str, Lease]:
        names = {row["id"]: row["user"] for row in self.rows("team.db", NAMES)}
        rows = self.rows("ledger.db", LEASES)
        return {names[row["subject"]]: Lease(row["charged"], row["ticked_ms"] or 0) for row in rows}

    def rows(self, file: str, sql: str) -> list[sqlite3.Row]:
        path = self.folder / (file if file == "requests.db" else f"data/{file}")
        with sqlite3.connect(path) as database:
            database.row_factory = sqlite3.Row
            return database.execute(sql).fetchall()

    def start_again(self) -> None:
        self.stack.start_again("gateway")

    def processes(self) -> int:
        """How many gateways run with this configuration."""
        config, count = os.fsencode(self.folder.parent / "gateway.yaml"), 0
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                count += config in line.read_bytes()
        return count

    def no_panic(self) -> None:
        log = (self.folder / "output.log").read_text(errors="replace")
        panics = [line for line in log.splitlines() if "panicked at" in line]
        assert not panics, panics


@dataclass(frozen=True)
class Lease:
    """What the ledger has counted, and will count for what was held, and when it was last told."""

    charged: int
    ticked_ms: int


NAMES = "SELECT tokens.id AS id, users.name AS user FROM tokens JOIN users ON users.id = tokens.user_id"
LEASES = """SELECT windows.subject_id AS subject, spent_closed + COALESCE(SUM(leases.spent + leases.held), 0) AS charged,
 MAX(ticked_ms) AS ticked_ms FROM windows LEFT JOIN leases ON window_id = windows.id AND leases.charged IS NULL
 WHERE subject_kind = 'token' GROUP BY windows.id"""
