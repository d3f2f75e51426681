"""A hunt for client tokens and relays' keys in all that a gateway writes, answers and sends.

    team_leaks.py BINARIES [TOKENS]     100, if not said

Every token is used in some way, right or wrong; users, groups and tokens are added, changed, rotated and revoked, by
commands and by the API; upstreams fail, and repeat the keys they were sent. Then all is searched: logs, every file of the
folder with the databases as they are on the disk, answers of the API, the panel's feed and the metrics, what commands
print, notifications, what clients got, and what reached the relay.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

from stack import free_port
from team_load import ANSWER_DEADLINE_S, Client, Plan, Relay, Team, Tokens
from team_secrets import Secrets
from team_uses import KINDS, MODEL, SERVED, WRONG, by_hand, misspelt

PANEL_KEY = "panel-key-of-the-hunt-9d1f7c2b"
KEYS = {
    "RELAY_FIRST": "sk-relay-first-4c9e1a77b2d05f38",
    "RELAY_SECOND": "sk-relay-second-81b6f0e3ad92c745",
    "RELAY_DEAD": "sk-relay-dead-2f7d90c1e86ba354",
    "HOOK_SECRET": "hook-secret-b83e5d0f16ac9742",
}
LIFE_S = 5
OPTIONS = {"model": " --model claude-haiku-*", "address": " --address 192.0.2.0/24", "expired": f" --expires {LIFE_S}s"}
PATHS = """stats stats/series stats/groups?by=user key-names requests?limit=200 sessions waste errors running upstreams
 rules config config/history config/schema users groups tokens audit me notify session health export?format=csv
 export?format=jsonl usage limits openapi.yaml""".split()
COMMANDS = """user list,user list --json,group list,token list,token list --json,limit list,usage,usage --json,check,
prices,doctor,explain""".replace("\n", "").split(",")
REACHED = "what reached the relay"


class Hunt:
    def __init__(self, team: Team, relay: Relay, admin: int, count: int) -> None:
        self.team, self.relay, self.admin, self.count = team, relay, admin, count
        self.secrets, self.client_secrets = Secrets(), Secrets()
        self.outputs: dict[str, list[bytes]] = defaultdict(list)
        self.statuses: dict[str, Counter] = defaultdict(Counter)
        self.texts: dict[int, str] = {}
        self.ids: dict[int, str] = {}
        for name, key in KEYS.items():
            self.secrets.add(name, key)
        self.secrets.add("the panel's key", PANEL_KEY)
        relay.looks.append(self.look)

    def look(self, head: bytes, body: bytes) -> None:
        self.outputs["notifications" if head.startswith(b"POST /hook") else REACHED].append(head + body)

    def know(self, name: str, text: str) -> str:
        self.secrets.add(name, text)
        self.client_secrets.add(name, text)
        return text

    # -- what people do

    def command(self, line: str, shows: str = "") -> str:
        """What a command says; if it `shows` a token, that is known from here on, and is no leak there."""
        told = subprocess.run([self.team.stack.binaries / "anyrouter-gateway", *line.split(" ")], cwd=self.team.folder,
                              env=self.team.stack.environments["gateway"], capture_output=True, text=True, timeout=60)
        if shows:
            assert told.returncode == 0, told
            text = json.loads(told.stdout)
            self.know(shows, text["token"])
            return told.stdout
        self.outputs["commands"].append((told.stdout + told.stderr).encode())
        return told.stdout

    def api(self, method: str, path: str, body: object = None, key: str = PANEL_KEY, shows: str = "") -> dict:
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text, status = answer.read(), answer.status
                fields = str(answer.headers)
        except urllib.error.HTTPError as refused:
            text, status, fields = refused.read(), refused.code, str(refused.headers)
        self.statuses[f"{method} {path.split('?')[0]}" if body is None else method][status] += 1
        if shows:
            assert status == 200, text
            self.know(shows, json.loads(text)["token"])
            return json.loads(text)
        self.outputs["the admin API"].append(fields.encode() + text)
        return json.loads(text) if text.startswith(b"{") else {}

    def set_up(self) -> None:
        self.command("group create --name dev --time-zone Asia/Shanghai")
        for number in range(self.count):
            kind, user, shows = KINDS[number % len(KINDS)], f"u{number}", f"token of u{number}"
            limits = ["requests:total:1"] if kind == "used" else ["usd:day:50", "requests:now:9"]
            if number % 2:
                options = "".join(f" --limit {limit}" for limit in limits) + OPTIONS.get(kind, "")
                self.command(f"user create --name {user} --group dev")
                issued = json.loads(self.command(f"token create --user {user} --json{options}", shows))
            else:
                wish = {"user": user, "limits": limits, "models": ["claude-haiku-*"] if kind == "model" else [],
                        "addresses": ["192.0.2.0/24"] if kind == "address" else []}
                role = "admin" if number == 0 else "member"
                self.api("POST", "/api/admin/users", {"name": user, "group": "dev", "role": role})
                wish |= {"expires_at_ms": time.time_ns() // 1_000_000 + LIFE_S * 1_000} if kind == "expired" else {}
                issued = self.api("POST", "/api/admin/tokens", wish, shows=shows)
            self.texts[number], self.ids[number] = issued["token"], issued["id"]
            self.change(number, kind, shows)

    def change(self, number: int, kind: str, shows: str) -> None:
        id, again = self.ids[number], f"{shows}, rotated"
        if kind == "revoked":
            self.api("DELETE", f"/api/admin/tokens/{id}")
        elif kind == "rotated":
            self.command(f"token rotate {id} --overlap 0s --json", again)
        elif number % 5 == 0:
            text = self.api("POST", f"/api/admin/tokens/{id}/rotate", {"overlap_ms": 3_600_000}, shows=again)
            self.texts[number] = text["token"] if number % 10 else self.texts[number]
        elif number % 5 == 1:
            self.command(f"token rotate {id} --json", again)

    async def use(self, number: int) -> None:
        """One request or two with this token, in the way of its kind."""
        kind, token, client = KINDS[number % len(KINDS)], self.texts[number], Client(self.team.port, self.relay)
        if kind in WRONG:
            self.know(f"wrong token of u{number}", misspelt(kind, token))
        plan = partial(Plan, f"{number}", f"u{number}", MODEL, Tokens(10, 0, 0, 5))
        if written := by_hand(kind, token, self.texts[0], asdict(plan("json", 1, 0.01))):
            heard = await client.ask(*written)
        else:
            heard = await client.send(plan(kind if kind in SERVED else "json", 2, 0.01), token)
        if kind == "used":
            self.statuses[kind][heard.status] += 1
            heard = await client.send(Plan(f"{number}-2", f"u{number}", MODEL, Tokens(10, 0, 0, 5), "json"), token)
        self.statuses[kind][heard.status] += 1
        self.outputs["answers to clients"].append(json.dumps(heard.fields).encode() + heard.body)
        client.drop()

    def look_at_all(self) -> None:
        """Everything that can be read, as the panel's key, an administrator and a member."""
        rows = self.api("GET", "/api/admin/requests?limit=200").get("requests", [])
        for key in (PANEL_KEY, self.texts[0], self.texts[1]):
            for path in PATHS:
                self.api("GET", f"/api/admin/{path}", key=key)
            for path in ("/metrics", "/health", "/healthz", "/readyz"):
                self.api("GET", path, key=key)
        for row in rows:
            self.api("GET", f"/api/admin/requests/{row['id']}")
            self.api("POST", "/api/admin/explain", {"request_id": row["id"]})
        for id in self.ids.values():
            self.api("GET", f"/api/admin/tokens/{id}")
        for name in ("relay", "dead"):
            self.api("POST", f"/api/admin/upstreams/{name}/test", {"model": MODEL})
            self.api("POST", f"/api/admin/upstreams/{name}/test", {"client_key": self.texts[0]})
        self.api("POST", "/api/admin/notify/test", {"target": "ops"})
        head = f"POST /v1/messages HTTP/1.1\r\nauthorization: Bearer {self.texts[0]}\r\n\r\n"
        self.api("POST", "/api/admin/explain", {"head": head, "body": json.dumps({"model": MODEL, "messages": []})})
        self.api("PATCH", f"/api/admin/tokens/{self.ids[0]}", {"name": "renamed", "models": ["claude-*"]})
        self.api("PATCH", "/api/admin/users/u2", {"email": "u2@example.com"})
        # What is no user and no name holds a token all the same.
        self.api("POST", "/api/admin/users", {"name": self.texts[0]})
        self.api("POST", "/api/admin/tokens", {"user": self.texts[0], "models": [self.texts[1]]})
        self.api("GET", f"/api/admin/tokens/{self.texts[0]}")
        self.api("GET", f"/api/admin/tokens?user={self.texts[1]}")
        wrong = (f"token show {self.texts[1]}", f"user create --name {self.texts[1]}")
        for line in (*COMMANDS, f"token show {self.ids[1]}", *wrong):
            self.command(line)

    def break_reloads(self) -> None:
        """A configuration with a key in it that is wrong, and back."""
        file = self.team.folder.parent / "gateway.yaml"
        whole = file.read_text()
        key = self.know("a key in a wrong file", "sk-relay-in-a-wrong-file-77e1c0d9")
        wrongs = (("${env.RELAY_DEAD}", f"{key}\\n {key}"), ('"api_keys"', f'"{key}"'), ("}", f"}}\n{key}: ["))
        for wrong in (whole.replace(old, new, 1) for old, new in wrongs):
            file.write_text(wrong)
            self.command("reload")
            self.command("check")
            self.api("POST", "/api/admin/reload", {})
        file.write_text(whole)
        self.command("reload")

    def files(self) -> Iterator[tuple[str, bytes]]:
        """All files of the gateway, and copies of its databases as a backup makes them."""
        for path in sorted(self.team.folder.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(self.team.folder)), path.read_bytes()
        for path in sorted(self.team.folder.rglob("*.db")):
            copy = self.team.folder.parent / f"backup-{path.name}"
            with sqlite3.connect(path) as database, sqlite3.connect(copy) as backup:
                database.backup(backup)
            yield f"backup of {path.name}", copy.read_bytes()

    async def go(self) -> list[str]:
        loop = asyncio.get_running_loop()
        do = lambda what, *arguments: loop.run_in_executor(None, what, *arguments)
        feed = asyncio.create_task(self.watch())
        await do(self.set_up)
        # The last token that expires was issued before this.
        await asyncio.sleep(LIFE_S)
        for number in range(self.count):
            await self.use(number)
            if number == self.count // 2:
                await do(self.command, "upgrade")
        # Only now: the relay's keys are out of use after it.
        for number in range(2):
            plan = Plan(f"0-{number}", "u0", MODEL, Tokens(1, 0, 0, 1), "echo", 0)
            await Client(self.team.port).send(plan, self.texts[0])
        await do(self.break_reloads)
        await do(self.look_at_all)
        # What waits to be told.
        deadline = loop.time() + ANSWER_DEADLINE_S
        while not self.outputs["notifications"] and loop.time() < deadline:
            await asyncio.sleep(0.1)
        feed.cancel()
        # A relay is sent its own keys.
        found = [(where, data) for where, pieces in self.outputs.items() for data in pieces if where != REACHED]
        faults = await do(lambda: self.secrets.faults([*found, *self.files()]))
        return faults + self.client_secrets.faults((REACHED, data) for data in self.outputs[REACHED])

    async def watch(self) -> None:
        """Has the panel's feed go on meanwhile, and at the successor after the upgrade."""
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.admin)
                fields = f"host: 127.0.0.1:{self.admin}\r\nauthorization: Bearer {PANEL_KEY}\r\n"
                writer.write(f"GET /api/admin/live HTTP/1.1\r\n{fields}\r\n".encode())
                while data := await reader.read(65536):
                    self.outputs["the panel's feed"].append(data)
                writer.close()
            await asyncio.sleep(0.1)

    def counts(self) -> dict[str, int]:
        """How much there was to search, so that nothing looks clean because it is empty."""
        sizes = {where: sum(map(len, pieces)) for where, pieces in self.outputs.items()}
        return sizes | {where: len(data) for where, data in self.files()}


def config(relay: str) -> dict:
    keys = [{"key": "${env.RELAY_FIRST}", "name": "first"}, {"key": "${env.RELAY_SECOND}", "name": "second"}]
    nobody = f"http://127.0.0.1:{free_port()}"
    who = {"set": {"x-team": "${group}/${user}/${token}"}}
    hook = {"kind": "webhook", "name": "ops", "url": f"{relay}/hook", "secret": "${env.HOOK_SECRET}"}
    return {
        "upstreams": [
            {"name": "relay", "base_url": relay, "api_keys": keys},
            {"name": "dead", "base_url": nobody, "api_key": "${env.RELAY_DEAD}", "priority": 1},
        ],
        "rules": [{"name": "who", "match": {"group": "dev"}, "headers": who}],
        "health": {"failures": 10_000, "min_requests": 10_000},
        "log": {"capture": "all"},
        "debug": True,
        "notify": {"quiet": "1s", "targets": [hook]},
    }


async def run(binaries: Path, count: int) -> tuple[list[str], Hunt]:
    with ExitStack() as cleanup:
        async with Relay() as relay:
            admin = free_port()
            settings = {"DASHBOARD_API_KEY": PANEL_KEY, "ADMIN_LISTEN": f"127.0.0.1:{admin}", **KEYS}
            start = partial(Team.start, binaries, relay.url, cleanup, config(relay.url), **settings)
            team = await asyncio.get_running_loop().run_in_executor(None, start)
            hunt = Hunt(team, relay, admin, count)
            faults = await hunt.go()
            hunt.sizes = hunt.counts()
            return faults, hunt


def main() -> int:
    binaries, *count = sys.argv[1:]
    faults, hunt = asyncio.run(run(Path(binaries).resolve(), int(*count or ("100",))))
    for where, size in hunt.sizes.items():
        print(f"{size:10} bytes: {where}")
    for kind in KINDS:
        print(f"{kind}: {dict(hunt.statuses[kind])}")
    print("\n".join(faults) or "no token and no key anywhere")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
