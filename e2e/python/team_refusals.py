"""What Claude Code makes of the refusals of client tokens and their limits: how often it asks, and what it shows.

    team_refusals.py BINARIES            prints the table of docs/team.md
    team_refusals.py BINARIES --write    writes it there, in both languages
    team_refusals.py BINARIES NAME...    only these cases
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
import urllib.request
from contextlib import suppress

from refusals import Case, Team, ask, main
from stack import free_port

MODEL = "claude-opus-5-5"
# A place, or what is held of a limit, is free after so long.
FREE_AFTER_S = 8
STALL = [{"role": "user", "content": "[[stall]]"}]


def token(team: Team, options: str = "", user: str = "alice") -> str:
    """A token of a new user."""
    team.command(f"user create --name {user}")
    return team.command(f"token create --user {user} {options}".strip())


def spend(team: Team) -> None:
    status, _ = ask(team.url, team.token)
    assert status == "200", status


def limited(*limits: str, used: bool = True):
    """A token with these limits, of which the first request uses all."""

    def set_up(team: Team) -> None:
        team.token = token(team, " ".join(f"--limit {limit}" for limit in limits))
        if used:
            spend(team)

    return set_up


def stalled(limit: str, filler: int):
    """A token with this limit, of which a request that stalls holds most for some seconds."""

    def set_up(team: Team) -> None:
        team.token = token(team, f"--limit {limit}")
        body = {"model": MODEL, "max_tokens": 9, "stream": True, "messages": STALL, "metadata": {"user_id": "x" * filler}}
        headers = {"content-type": "application/json", "authorization": f"Bearer {team.token}"}
        request = urllib.request.Request(f"{team.url}/v1/messages", json.dumps(body).encode(), headers)
        answer = urllib.request.urlopen(request, timeout=60)
        timer = threading.Timer(FREE_AFTER_S, answer.close)
        timer.start()
        team.cleanup.callback(timer.join)

    return set_up


def revoked(team: Team) -> None:
    team.token = token(team)
    team.command("token revoke alice/default")


def suspended(team: Team) -> None:
    team.token = token(team)
    team.command("user suspend alice")


def expired(team: Team) -> None:
    team.token = token(team, "--expires 1s")
    time.sleep(1.2)


def mistyped(team: Team) -> None:
    issued = token(team)
    team.token = issued[:-1] + ("a" if issued[-1] != "a" else "b")


def no_token(team: Team) -> None:
    token(team)
    team.token = "sk-of-a-relay-0123456789"


def elsewhere(team: Team) -> None:
    team.token = token(team, "--address 192.0.2.0/24")


def other_model(team: Team) -> None:
    team.token = token(team, "--model claude-haiku-*")


def unpriced(team: Team) -> None:
    team.token = token(team, "--limit usd:day:5")
    team.arguments = ("hi", "--model", "claude-nobody-1")


def quoted(team: Team) -> None:
    """The conversation holds another token that works."""
    team.token = token(team)
    team.arguments = (f"What is {token(team, user='bob')}?",)


def no_upstream(team: Team) -> None:
    """The only upstream of the token is taken away."""
    team.token = token(team, "--upstream a")
    file = team.stack.folder / "gateway.yaml"
    upstream = {"name": "b", "base_url": f"http://127.0.0.1:{free_port()}", "api_key": "key-b"}
    file.write_text(json.dumps({"gateway": {"upstreams": [upstream]}}))
    team.command("reload")


def ledger_lost(team: Team) -> None:
    """The ledger's file cannot be opened, and of a new limit the gateway holds nothing."""
    state = team.stack.folder / "gateway" / "data"
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (state / name).unlink(missing_ok=True)
    (state / "ledger.db").mkdir()
    team.token = token(team, "--limit requests:day:100")
    team.cleanup.callback(shutil.rmtree, state / "ledger.db", ignore_errors=True)


def guessed(team: Team) -> None:
    """Somebody at the same address tries tokens that nobody issued, and never waits."""
    token(team)
    team.token = f"agw_{'0' * 49}"
    over = threading.Event()

    def guess() -> None:
        # What is counted are requests for messages.
        request = urllib.request.Request(f"{team.url}/v1/models", headers={"x-api-key": team.token})
        while not over.is_set():
            with suppress(OSError), urllib.request.urlopen(request, timeout=30):
                pass
            time.sleep(0.01)

    threads = [threading.Thread(target=guess, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    team.cleanup.callback(lambda: (over.set(), [thread.join(30) for thread in threads]))
    deadline = time.monotonic() + 60
    while ask(team.url, team.token)[0] != "429 rate_limit_error" and time.monotonic() < deadline:
        pass


REQUIRED = {"team": {"require_token": True}}


def case(name: str, says: str, says_zh: str, team, gateway: dict = {}) -> Case:
    return Case(name, f"`{name}`: {says}", f"`{name}`：{says_zh}", gateway, token=None, team=team)


CASES = [
    case("limit_rate", "four requests a minute, and one was just made", "每分钟四个请求，刚用过一个",
         limited("requests:minute:4")),
    case("limit_places", f"the only place is free after {FREE_AFTER_S} s", f"唯一的名额 {FREE_AFTER_S} 秒后空出",
         stalled("requests:now:1", 10)),
    case("limit_held", f"the rest is held, and free after {FREE_AFTER_S} s", f"余量被占用，{FREE_AFTER_S} 秒后释放",
         stalled("usd:day:0.95", 700_000)),
    case("limit_used", "a day's request was made", "当天的请求已用完", limited("requests:day:1")),
    case("limit_sessions", "a day's session was another one", "当天的会话已用完", limited("sessions:day:1")),
    case("limit_total", "the only request was made", "唯一的请求已用完", limited("requests:total:1")),
    case("limit_unpriced", "a limit in dollars, and a model without a price", "有美元限额，而模型没有价格", unpriced),
    case("limit_ledger", "`ledger.db` cannot be opened", "`ledger.db` 无法打开", ledger_lost),
    case("token_missing", "another key, with `require_token`", "开启了 `require_token`，而密钥不是令牌", no_token, REQUIRED),
    case("token_unknown", "a mistyped token", "令牌填写有误", mistyped),
    case("token_expired", "its time is over", "令牌已过有效期", expired),
    case("token_revoked", "it was revoked", "令牌已被吊销", revoked),
    case("token_suspended", "its user is suspended", "用户已被停用", suspended),
    case("token_address", "it is for other addresses", "令牌限定了其他地址", elsewhere),
    case("token_upstream", "its only upstream is gone", "令牌的上游已不在配置中", no_upstream),
    case("token_model", "it is for other models", "令牌限定了其他模型", other_model),
    case("token_exposed", "the prompt quotes another token", "提示词中有另一个令牌", quoted),
    case("token_guesses", "others at this address guess tokens", "同一地址有人在猜测令牌", guessed),
]

if __name__ == "__main__":
    sys.exit(main(CASES, "team"))
