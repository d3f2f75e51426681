"""What it costs the gateway that somebody guesses tokens, from one address and from many.

    team_guesses.py BINARIES [GUESSES]     1,500 of each kind, if not said

Every address of 127.0.0.0/8 is one of this machine, and a client of its own to the gateway. Costs are processor time.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import sqlite3
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stack import free_port
from team_load import Client, Plan, Relay, Team, Tokens

MODEL = "claude-opus-5-5"
# Guesses within a minute that are answered at once: of one address, and of all.
FREE, FREE_IN_ALL = 5, 100
AT_ONE_TIME = 20
IDLE_S = 5
PANEL_KEY = "panel-key-of-the-guesses"
GROWTH_BYTES = 24 << 20


@dataclass
class Outcome:
    # Seconds of processor time for a request.
    cost: dict[str, float]
    statuses: dict[str, Counter]
    waited_behind: bool
    seconds: float
    rows: dict[str, int]
    grown_bytes: int
    series: tuple[int, int]

    def faults(self, slack: float = 1.0) -> list[str]:
        """What is wrong. `slack`: how many times as much a wrong token may cost as a right one."""
        wrong = []
        for kind in ("one address", "many addresses"):
            right, guess = self.cost[f"right, {kind}"], self.cost[f"wrong, {kind}"]
            if guess > slack * right:
                wrong.append(f"{kind}: a wrong token costs {guess * 1e6:.0f} us, a right one {right * 1e6:.0f}")
            if set(self.statuses[f"right, {kind}"]) != {200}:
                wrong.append(f"{kind}: right tokens: {self.statuses[f'right, {kind}']}")
            if not set(self.statuses[f"wrong, {kind}"]) <= {401, 429}:
                wrong.append(f"{kind}: wrong tokens: {self.statuses[f'wrong, {kind}']}")
        # A minute, and with it what is free, may begin anew in between.
        minutes = self.seconds // 60 + 2
        answered = self.statuses["wrong, one address"][401]
        if answered > FREE * minutes + self.seconds + 1:
            wrong.append(f"{answered} guesses of one address were answered in {self.seconds:.0f} s")
        if self.waited_behind:
            wrong.append("a right token waited for the answer to a wrong one")
        told = sum(counted[401] for counted in self.statuses.values())
        if self.rows["requests"] > told:
            wrong.append(f"{self.rows['requests']} rows of guesses, of which {told} were answered")
        wrong += [f"{count} more rows in {table}" for table, count in self.rows.items() if table != "requests" and count]
        if self.grown_bytes > GROWTH_BYTES:
            wrong.append(f"the process grew by {self.grown_bytes >> 20} MiB")
        if self.series[1] > self.series[0] + 8:
            wrong.append(f"{self.series[0]} lines of metrics before, {self.series[1]} after")
        return wrong


def guessed(chance: random.Random) -> str:
    """Of the right shape, but for the checksum."""
    return "agw_" + base64.b32encode(chance.randbytes(40)).decode().lower()[:49]


class Run:
    def __init__(self, team: Team, relay: Relay, admin: int, count: int) -> None:
        self.team, self.relay, self.admin, self.count = team, relay, admin, count
        self.chance, self.number = random.Random(count), 0
        self.statuses: dict[str, Counter] = {}
        self.idle = 0.0

    def plan(self) -> Plan:
        self.number += 1
        return Plan(str(self.number), "alice", MODEL, Tokens(10, 0, 0, 5), "json", 1, 0.0)

    def processor_s(self) -> float:
        fields = Path(f"/proc/{self.team.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.team.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def many(self, what: str, token, source) -> float:
        """Sends requests with tokens and addresses as they come; what each cost."""
        statuses = self.statuses[what] = Counter()
        left, loop = iter(range(self.count)), asyncio.get_running_loop()
        began, before = loop.time(), self.processor_s()

        async def client() -> None:
            kept: dict[str, Client] = {}
            for number in left:
                address = source(number)
                known = kept.get(address) or Client(self.team.port, self.relay, address)
                kept = {address: known}
                statuses[(await known.send(self.plan(), token())).status] += 1
                if source(number + 1) != address:
                    known.drop()
            for known in kept.values():
                known.drop()

        await asyncio.gather(*(client() for _ in range(AT_ONE_TIME)))
        return (self.processor_s() - before - self.idle * (loop.time() - began)) / self.count

    async def idles(self) -> float:
        """What the process takes of a second in which nobody asks anything: guesses that wait last much longer."""
        before = self.processor_s()
        await asyncio.sleep(IDLE_S)
        return (self.processor_s() - before) / IDLE_S

    async def go(self) -> Outcome:
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(None, self.team.token, "alice")
        spread = lambda base: lambda number: f"127.{base + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"
        kinds = {"one address": lambda base: lambda number: f"127.{base}.0.1", "many addresses": spread}
        # What is made once is made: threads, connections, tables.
        await self.many("warm", lambda: right, lambda number: "127.0.0.1")
        self.idle = await self.idles()
        before, series, memory, began = self.rows(), await self.series(), self.resident_bytes(), loop.time()
        cost = {}
        for kind, source in kinds.items():
            cost[f"right, {kind}"] = await self.many(f"right, {kind}", lambda: right, source(10))
            cost[f"wrong, {kind}"] = await self.many(f"wrong, {kind}", lambda: guessed(self.chance), source(10))
        waited, seconds = await self.waits(right), loop.time() - began
        await self.settled()
        rows = {name: count - before.get(name, 0) for name, count in self.rows().items()}
        grown = self.resident_bytes() - memory
        return Outcome(cost, self.statuses, waited, seconds, rows, grown, (series, await self.series()))

    async def waits(self, right: str) -> bool:
        """Whether a right token of the address that guesses is answered after the wrong one before it, which waits."""
        guesser, other = (Client(self.team.port, self.relay, "127.10.0.1") for _ in range(2))
        said = self.statuses["wrong, beside a right one"] = Counter()
        for _ in range(FREE):
            said[(await guesser.send(self.plan(), guessed(self.chance))).status] += 1
        late = asyncio.create_task(guesser.send(self.plan(), guessed(self.chance)))
        await asyncio.sleep(0.05)
        heard = await other.send(self.plan(), right)
        waited = heard.status != 200 or late.done() and (await late).status == 401
        said[(await late).status] += 1
        return waited

    async def series(self) -> int:
        heard = await Client(self.admin).ask("GET /metrics", {"authorization": f"Bearer {PANEL_KEY}"})
        return sum(not line.startswith(b"#") for line in heard.body.splitlines())

    async def settled(self) -> None:
        """Until the log is written."""
        before = None
        while (now := self.rows()["requests"]) != before:
            before = now
            await asyncio.sleep(1)

    def rows(self) -> dict[str, int]:
        """How many rows there are of what was refused for its token, and in all tables of the team and of the ledger."""
        refused = self.team.rows("requests.db", "SELECT COUNT(*) AS count FROM requests WHERE reason LIKE 'token_%'")
        found = {"requests": refused[0]["count"]}
        for file in ("team.db", "ledger.db"):
            path = self.team.folder / "data" / file
            if not path.exists():
                continue
            with sqlite3.connect(path) as database:
                names = [name for name, in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                for name in names:
                    found[f"{file} {name}"] = database.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0]
        return found


async def run(binaries: Path, count: int = 1_500) -> Outcome:
    with ExitStack() as cleanup:
        async with Relay() as relay:
            admin = free_port()
            settings = {"DASHBOARD_API_KEY": PANEL_KEY, "ADMIN_LISTEN": f"127.0.0.1:{admin}"}
            start = partial(Team.start, binaries, relay.url, cleanup, **settings)
            team = await asyncio.get_running_loop().run_in_executor(None, start)
            return await Run(team, relay, admin, count).go()


def main() -> int:
    binaries, *count = sys.argv[1:]
    outcome = asyncio.run(run(Path(binaries).resolve(), *map(int, count)))
    for kind, cost in outcome.cost.items():
        print(f"{kind}: {cost * 1e6:.0f} us of processor time, {dict(outcome.statuses[kind])}")
    print(f"{outcome.seconds:.0f} s; rows {outcome.rows}")
    print(f"grown by {outcome.grown_bytes >> 10} KiB; lines of metrics before and after {outcome.series}")
    print("\n".join(outcome.faults()) or "guesses cost no more than requests, and leave nothing behind")
    return int(bool(outcome.faults()))


if __name__ == "__main__":
    sys.exit(main())
