"""What Claude Code makes of each of the gateway's own refusals: how often it asks, and what it shows.

    refusals.py BINARIES            prints the table of docs/clients.md
    refusals.py BINARIES --write    writes it there, in both languages
    refusals.py BINARIES NAME...    only these cases

It takes minutes: some of the answers are tried again until the deadline.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import claude
from bound_api import Account, Api
from stack import ROOT, Stack, free_port

DEADLINE_S = 180
AT_ONE_TIME = 3
LONGEST_SHOWN = 160
KEY, PANEL_KEY = "sk-known-to-the-gateway", "panel-key-of-the-gateway"
BIG = json.dumps({"model": "claude-opus-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "x" * 40_000}]})


def own_answer(status: int, kind: str, message: str, **headers: str) -> dict:
    body = {"type": "error", "error": {"type": kind, "message": message}}
    respond = {"status": status, "body": body} | ({"headers": headers} if headers else {})
    return {"rules": [{"name": "no", "match": {"path": "/v1/messages"}, "respond": respond}]}


@dataclass(frozen=True)
class Case:
    """A gateway that refuses, and how it comes to that."""

    name: str
    says: str
    says_zh: str
    gateway: dict = field(default_factory=dict)
    upstream: dict = field(default_factory=dict)
    token: str | None = KEY
    # What the upstream is: one that answers, a port where nobody listens, one that accepts and says nothing, one with a
    # certificate that nobody trusts, or a name that does not exist.
    behind: str = "answers"
    # What a proxy before it says to everything, if there is one.
    proxy_says: str = ""
    before: Callable[[Stack], None] | None = None
    # Gives the client a token of a team that is refused, instead of a key that a route lists.
    team: Callable[[Team], None] | None = None


@dataclass
class Team:
    """A gateway with client tokens, and what Claude Code is to be started with."""

    stack: Stack
    url: str
    api: Api
    cleanup: ExitStack
    token: str = ""
    arguments: tuple[str, ...] = ("hi",)

    def command(self, line: str) -> str:
        return self.stack.command("gateway", *line.split(" ")).strip()


def stop(stack: Stack) -> None:
    """Tells the gateway to stop while a request still runs."""
    process, log = stack.gateways["gateway"]
    url = stack.environments["gateway"]["LISTEN"]
    threading.Thread(target=lambda: ask(f"http://{url}"), daemon=True).start()
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 5
    while "drain" not in log.read_text() and "stop" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)


CASES = [
    Case("no_key", "Claude Code has no key", "Claude Code 没有密钥", token=None),
    Case("unknown_key", "a key that no route lists", "密钥不在任何路由中", token="sk-unknown"),
    Case("panel_key", "the panel's key instead of a client's", "误用了面板密钥", token=PANEL_KEY),
    Case("rule_402", "a rule's answer: 402", "规则返回 402", own_answer(402, "billing_error", "Your budget is used up.")),
    Case("rule_403", "a rule's answer: 403", "规则返回 403", own_answer(403, "permission_error", "Not from this network.")),
    Case("rule_404", "a rule's answer: 404", "规则返回 404", own_answer(404, "not_found_error", "No such model here.")),
    Case("rule_429", "a rule's answer: 429, `retry-after: 2`", "规则返回 429，`retry-after: 2`",
         own_answer(429, "rate_limit_error", "Twenty requests a minute, and no more.", **{"retry-after": "2"})),
    Case("rule_429_final", "the same with `x-should-retry: false`", "同上，另带 `x-should-retry: false`",
         own_answer(429, "rate_limit_error", "Twenty requests a minute.", **{"retry-after": "2", "x-should-retry": "false"})),
    Case("request_body", "a body beyond `limits.request_body`", "请求体超过 `limits.request_body`",
         {"limits": {"request_body": "20KiB"}}),
    Case("header_bytes", "a head beyond `limits.header_bytes`", "请求头超过 `limits.header_bytes`",
         {"limits": {"header_bytes": "512"}}),
    Case("connect_refused", "the upstream refuses the connection", "上游拒绝连接", behind="nobody"),
    Case("bad_certificate", "the upstream's certificate is not trusted", "上游的证书不受信任", behind="untrusted"),
    Case("proxy_407", "the outbound proxy answers 407", "出站代理返回 407", behind="name",
         proxy_says="407 Proxy Authentication Required"),
    Case("proxy_403", "the outbound proxy answers 403", "出站代理返回 403", behind="name", proxy_says="403 Forbidden"),
    Case("proxy_502", "the outbound proxy answers 502", "出站代理返回 502", behind="name", proxy_says="502 Bad Gateway"),
    Case("no_such_name", "the upstream's name does not exist (NXDOMAIN)", "上游的域名不存在（NXDOMAIN）", behind="name"),
    Case("no_name_server", "no name server answers", "DNS 服务器没有响应",
         {"dns": {"servers": "127.0.0.1:9"}, "timeouts": {"connect": "3s"}}, behind="lookup"),
    Case("upstream_full", "no slot at the upstream in time", "没有等到上游的名额",
         {"limits": {"queue": 0}}, {"max_in_flight": 1}, behind="silent", before=lambda stack: occupy(stack)),
    Case("first_byte_timeout", "the upstream is silent", "上游无响应", {}, {"first_byte_timeout": "1s"}, behind="silent"),
    Case("draining", "the gateway was told to stop", "网关已收到停止信号", behind="silent", before=stop),
]


def occupy(stack: Stack) -> None:
    """Takes the only slot at the upstream."""
    url = stack.environments["gateway"]["LISTEN"]
    threading.Thread(target=lambda: ask(f"http://{url}", size=10), daemon=True).start()
    time.sleep(0.5)


@dataclass(frozen=True)
class Seen:
    case: Case
    status: str
    should_retry: str
    retry_after: str
    requests: int
    seconds: float | None
    shown: str


def silent() -> socket.socket:
    """A listener that accepts connections and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        held = []
        try:
            while True:
                held.append(listener.accept()[0])
        except OSError:
            pass

    threading.Thread(target=accept, daemon=True).start()
    return listener


def says(status: str) -> socket.socket:
    """A proxy that answers everything with this status."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        try:
            while True:
                with closing(listener.accept()[0]) as connection:
                    connection.recv(65536)
                    connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        except OSError:
            pass

    threading.Thread(target=accept, daemon=True).start()
    return listener


def untrusted(folder: Path) -> socket.socket:
    """A server whose certificate nobody has signed but itself."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cert, *subject]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while listener.fileno() >= 0:
            # The client hangs up in the handshake.
            with suppress(OSError), closing(listener.accept()[0]) as connection:
                context.wrap_socket(connection, server_side=True)

    threading.Thread(target=accept, daemon=True).start()
    return listener


def ask(
    url: str, token: str | None = KEY, size: int | None = None, session: str = "", **changes: object
) -> tuple[str, dict]:
    """Status and headers of the answer to a request of about the size of Claude Code's."""
    body = BIG if size is None else BIG.replace("x" * 40_000, "x" * size)
    body = json.dumps(json.loads(body) | changes)
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-filler": "x" * 1100}
    if token:
        headers["authorization"] = f"Bearer {token}"
    if session:
        headers["x-claude-code-session-id"] = session
    request = urllib.request.Request(f"{url}/v1/messages?beta=true", body.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.status), dict(answer.headers)
    except urllib.error.HTTPError as refused:
        kind = re.search(r'"error":\s*\{\s*"type":\s*"(\w+)"', refused.read().decode(errors="replace"))
        return f"{refused.code} {kind[1] if kind else ''}".strip(), dict(refused.headers)
    except OSError:
        return "", {}


def base_url(behind: str, folder: Path, cleanup: ExitStack, api: Api) -> str:
    if behind == "name":
        return "https://no-such-relay.invalid"
    if behind == "lookup":
        return "https://relay.example"
    if behind == "untrusted":
        return f"https://127.0.0.1:{cleanup.enter_context(closing(untrusted(folder))).getsockname()[1]}"
    if behind == "nobody":
        return f"http://127.0.0.1:{free_port()}"
    if behind == "silent":
        return f"http://127.0.0.1:{cleanup.enter_context(closing(silent())).getsockname()[1]}"
    account = Account(api, "a")
    cleanup.callback(account.die)
    return account.url


def run(case: Case, binaries: Path) -> Seen:
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="gateway-refusal-")))
        api = Api()
        upstream = {"name": "a", "base_url": base_url(case.behind, folder, cleanup, api), "api_key": "key-a", **case.upstream}
        if case.proxy_says:
            port = cleanup.enter_context(closing(says(case.proxy_says))).getsockname()[1]
            upstream["proxy"] = f"http://127.0.0.1:{port}"
        routes = [] if case.team else [{"keys": [KEY], "upstream": "a"}]
        config = folder / "gateway.yaml"
        config.write_text(json.dumps({"gateway": {"upstreams": [upstream], "routes": routes, **case.gateway}}))
        stack = Stack(binaries, folder, cleanup)
        settings = {"DASHBOARD_API_KEY": PANEL_KEY, "ADMIN_LISTEN": f"127.0.0.1:{free_port()}"}
        url = stack.gateway("gateway", "", config, API_BASE_URL="", **settings)
        if case.before:
            case.before(stack)
        log, token, arguments = stack.gateways["gateway"][1], case.token, ("hi",)
        answer = None
        if case.team:
            team = Team(stack, url, api, cleanup)
            case.team(team)
            token, arguments = team.token, team.arguments
            # Asked before: some of these end by themselves.
            answer = ask(url, token, session="ours", **asked(arguments))
        before = requests_in(log)
        env = {"ANTHROPIC_AUTH_TOKEN": token} if token else {}
        began = time.monotonic()
        try:
            done = claude.printed(claude.NEWEST, folder / "home", url, *arguments, deadline_s=DEADLINE_S, **env)
            shown, seconds = (done.stdout + done.stderr).strip(), time.monotonic() - began
        except subprocess.TimeoutExpired as stopped:
            shown, seconds = b"".join(filter(None, (stopped.stdout, stopped.stderr))).decode(errors="replace").strip(), None
        requests = requests_in(log) - before
        status, headers = answer or ask(url, token)
        low = {name.lower(): value for name, value in headers.items()}
        shown = re.sub(r"\s+", " ", shown.replace(url, "http://GATEWAY").replace(str(folder), ""))
        return Seen(case, status, low.get("x-should-retry", ""), low.get("retry-after", ""), requests, seconds, shown)


def asked(arguments: tuple[str, ...]) -> dict:
    """What a request of ours has to have in common with Claude Code's."""
    prompt, *rest = arguments
    model = {"model": rest[rest.index("--model") + 1]} if "--model" in rest else {}
    return model | {"messages": [{"role": "user", "content": prompt + BIG}]}


def requests_in(log: Path) -> int:
    """How many the log has, once the last one is in it: it is written a little later."""
    before, deadline = None, time.monotonic() + 10
    while (count := lines_in(log)) != before and time.monotonic() < deadline:
        before = count
        time.sleep(0.5)
    return count


def lines_in(log: Path) -> int:
    # What was refused very early, or holds the panel's key, has no method that is known.
    lines = [line for line in log.read_text(errors="replace").splitlines() if " access request_id=" in line]
    return sum(not re.search(" method=(GET|HEAD) ", line) for line in lines)


def safely(case: Case, binaries: Path) -> Seen:
    try:
        return run(case, binaries)
    except (Exception, SystemExit) as failure:
        return Seen(case, "", "", "", 0, 0.0, f"the case itself failed: {failure}")


def table(seen: list[Seen], is_chinese: bool) -> str:
    """The table of the docs."""
    if is_chinese:
        lines = ["| 情形 | 响应 | `x-should-retry` | `retry-after` | 请求数 | 耗时 | Claude Code 显示 |"]
        still, none = f"{DEADLINE_S} 秒后仍在重试", "（无）"
    else:
        lines = ["| Case | Answer | `x-should-retry` | `retry-after` | Requests | Time | What Claude Code shows |"]
        still, none = f"still trying after {DEADLINE_S} s", "nothing"
    lines.append("|---|---|---|---|---|---|---|")
    for one in seen:
        took = f"{one.seconds:.0f} s" if one.seconds is not None else still
        shown = one.shown if len(one.shown) <= LONGEST_SHOWN else f"{one.shown[:LONGEST_SHOWN]}…"
        cells = [one.case.says_zh if is_chinese else one.case.says, one.status, one.should_retry, one.retry_after]
        cells += [str(one.requests), took.replace(" s", " 秒") if is_chinese else took, shown.replace("|", "\\|") or none]
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    return "\n".join(lines)


def write(seen: list[Seen], page: str) -> None:
    for name, is_chinese in ((f"{page}.md", False), (f"{page}.zh-CN.md", True)):
        page = ROOT / "docs" / name
        before, _, rest = page.read_text().partition("<!-- refusals -->")
        after = rest.partition("<!-- /refusals -->")[2]
        page.write_text(f"{before}<!-- refusals -->\n{table(seen, is_chinese)}\n<!-- /refusals -->{after}")


def main(cases: list[Case], page: str) -> int:
    binaries, *rest = sys.argv[1:]
    names = [name for name in rest if name != "--write"]
    wanted = [case for case in cases if not names or case.name in names]
    with ThreadPoolExecutor(AT_ONE_TIME) as pool:
        seen = list(pool.map(lambda case: safely(case, Path(binaries).resolve()), wanted))
    print(table(seen, is_chinese=False))
    if "--write" in rest:
        write(seen, page)
    return 0


if __name__ == "__main__":
    sys.exit(main(CASES, "clients"))
