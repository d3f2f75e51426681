"""How exactly budgets are kept: 200 clients, three tokens with 50 dollars each, costs as requests of Claude Code have
them, and among these clients that leave, streams that break off, and errors.

    team_overspend.py BINARIES [SEEDS [FORM...]]     ten seeds of each form, if not said: calm, upgrade, kill

What is overspent is what the relay was paid beyond the budget. It may be no more than what requests cost beyond what
they were taken for, of those that were under way when the last one was let through, while two processes serve in an
upgrade too: they tell each other of debts within some hundredths of a second. After `kill -9` it is also what was settled
since the ledger was told the last time, and what requests that were under way then cost beyond what they held.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from team_estimate import Estimates, Served, flying_at_the_last, flying_since
from team_load import ANSWER_DEADLINE_S, PRICES, Client, Lease, Plan, Relay, Team, Tokens

USABLE = 0.95
NANO = 1_000_000_000
DEADLINE_S = 900
# For so long after a change the process that is new may not have learned what requests of a model use.
FRESH_S = 3
OWNERS = dict(zip(("alice", "bob", "carol"), PRICES))
ENDS = {"whole": 70, "json": 6, "abort": 9, "cut": 5, "error": 3, "status": 5, "close": 2}
FORMS = ("calm", "upgrade", "kill")


@dataclass(frozen=True)
class Size:
    """How many clients there are in all, and each budget in dollars."""

    clients: int = 200
    budget: int = 50


def drawn(chance: random.Random, number: int, client: int, owner: str) -> Plan:
    """A request as Claude Code sends them: most of the prompt is read from the cache, sometimes it is written anew."""
    tailed = lambda median, sigma: max(1, round(median * math.exp(chance.gauss(0, sigma))))
    prompt = min(tailed(55_000, 0.6), 190_000)
    is_cold = chance.random() < 0.05
    written = prompt if is_cold else min(tailed(1_800, 1.2), prompt)
    tokens = Tokens(tailed(12, 1.0), written, prompt - written, min(tailed(420, 1.1), 32_000))
    end = chance.choices(list(ENDS), ENDS.values())[0]
    pause_s = chance.uniform(0.01, 0.15)
    pieces = chance.randint(1, 5)
    return Plan(f"{client}-{number}", owner, OWNERS[owner], tokens, end, pieces, pause_s, filler=prompt // 8)


@dataclass
class Outcome:
    """Of one token, in nano-dollars."""

    owner: str
    budget: int
    paid: int
    charged: int
    logged: int
    bound: int
    requests: int
    lost: int = 0
    lost_bound: int = 0

    @property
    def overspent(self) -> int:
        return self.paid - self.budget

    @property
    def used(self) -> float:
        return self.charged / self.budget

    def faults(self, form: str) -> list[str]:
        wrong = []
        dollars = lambda amount: f"{amount / NANO:.6f}"
        if self.overspent > self.bound + self.lost_bound:
            wrong.append(f"{dollars(self.overspent)} beyond the budget, of {dollars(self.bound + self.lost_bound)}")
        if self.lost > self.lost_bound:
            wrong.append(f"{dollars(self.lost)} lost by the kill, of {dollars(self.lost_bound)}")
        if self.used < USABLE:
            wrong.append(f"only {dollars(self.charged)} could be used")
        if form != "kill" and self.paid != self.charged:
            wrong.append(f"the relay was paid {dollars(self.paid)}, the ledger has {dollars(self.charged)}")
        if form != "kill" and self.paid != self.logged:
            wrong.append(f"the relay was paid {dollars(self.paid)}, the request log has {dollars(self.logged)}")
        return [f"{self.owner}: {fault}" for fault in wrong]


class Run:
    """One seed."""

    def __init__(self, seed: int, form: str, size: Size, team: Team, relay: Relay) -> None:
        self.seed, self.form, self.size, self.team, self.relay = seed, form, size, team, relay
        self.served: list[Served] = []
        # When the process was killed, or its upgrade began; of a kill also what the ledger had then, and how far the
        # loop's clock is ahead of the calendar's.
        self.changed_at: float | None = None
        self.leases: dict[str, Lease] = {}
        self.ahead_s = 0.0

    async def client(self, number: int, owner: str) -> None:
        """Sends one request after the other, until one is refused for good."""
        chance = random.Random(f"{self.seed}-{number}")
        client = Client(self.team.port, self.relay)
        for count in itertools.count():
            plan = drawn(chance, count, number, owner)
            heard = await client.send(plan, self.team.tokens[owner])
            while (arrival := self.relay.arrivals.get(plan.id)) is None:
                if heard.is_final:
                    client.drop()
                    return
                assert heard.status in (0, 429, 502, 503), heard
                await asyncio.sleep(chance.uniform(0.1, 0.3))
                heard = await client.send(plan, self.team.tokens[owner])
            self.served.append(Served(arrival, heard.began, heard.over))

    async def change(self) -> None:
        """In the middle of it, the process is replaced, or killed."""
        await self.relay.spending.wait()
        loop = asyncio.get_running_loop()
        self.changed_at = loop.time()
        if self.form == "upgrade":
            await loop.run_in_executor(None, self.team.command, "upgrade")
            while await loop.run_in_executor(None, self.team.processes) > 1:
                await asyncio.sleep(0.1)
        else:
            self.leases = await loop.run_in_executor(None, self.team.kill)
            self.changed_at = loop.time()
            self.ahead_s = loop.time() - time.time()
            await loop.run_in_executor(None, self.team.start_again)

    async def go(self) -> list[Outcome]:
        for owner in OWNERS:
            self.team.token(owner, f"usd:total:{self.size.budget}")
        self.relay.spending_at = len(OWNERS) * self.size.budget * NANO // 2
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
            if self.form != "calm":
                group.create_task(self.change())
            for number, owner in zip(range(self.size.clients), itertools.cycle(OWNERS)):
                group.create_task(self.client(number, owner))
        return await self.outcomes()

    async def outcomes(self) -> list[Outcome]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ANSWER_DEADLINE_S
        while True:
            usage, logged = await loop.run_in_executor(None, lambda: (self.team.usage(), self.logged()))
            found = [self.outcome(owner, usage[owner], logged.get(owner, 0)) for owner in OWNERS]
            is_told = all(row["held"] == 0 for row in usage.values())
            # What a process that was killed had not written is not in the log, and never comes.
            is_written = self.form == "kill" or all(one.paid == one.logged for one in found)
            if is_told and is_written or loop.time() > deadline:
                return found
            await asyncio.sleep(0.5)

    def logged(self) -> dict[str, int]:
        sql = 'SELECT user_name AS user, COALESCE(SUM(cost_nano), 0) AS cost FROM requests GROUP BY user_name'
        return {row["user"]: row["cost"] for row in self.team.rows("requests.db", sql)}

    def outcome(self, owner: str, usage: dict, logged: int) -> Outcome:
        served = [one for one in self.served if one.arrival.plan.owner == owner]
        paid, charged = sum(one.cost for one in served), round(usage["used"] * NANO)
        last = flying_at_the_last(served)
        # Whoever serves after a change has learned of nothing before it.
        learned, fresh = [served], []
        if self.changed_at is not None:
            learned.append(flying_since(served, self.changed_at))
            fresh = [one for one in last if self.changed_at <= one.arrival.at <= self.changed_at + FRESH_S]
        bound = max(Estimates(last, seen).beyond(last, fresh) for seen in learned)
        lost = self.lost(served, self.leases[owner]) if owner in self.leases else (0, 0)
        return Outcome(owner, self.size.budget * NANO, paid, charged, logged, bound, len(served), *lost)

    def lost(self, served: list[Served], lease: Lease) -> tuple[int, int]:
        """What requests before the kill cost that nobody counts, and the most that this may be."""
        before = [one for one in served if one.arrival.at <= self.changed_at]
        untold = [one for one in before if one.arrival.wall_ms >= lease.ticked_ms]
        under_way = flying_since(before, lease.ticked_ms / 1_000 + self.ahead_s)
        held = [one for one in under_way if one.arrival.wall_ms < lease.ticked_ms]
        most = sum(one.cost for one in untold) + Estimates(before, before).beyond(held)
        return sum(one.cost for one in before) - lease.charged, most


async def run(seed: int, form: str, binaries: Path, size: Size = Size()) -> list[Outcome]:
    with ExitStack() as cleanup:
        async with Relay() as relay:
            start = partial(Team.start, binaries, relay.url, cleanup)
            team = await asyncio.get_running_loop().run_in_executor(None, start)
            return await Run(seed, form, size, team, relay).go()


def shown(form: str, seed: int, outcomes: list[Outcome]) -> str:
    def told(one: Outcome) -> str:
        beyond = f"{one.overspent / NANO:+.3f} of {(one.bound + one.lost_bound) / NANO:.3f}"
        lost = f", {one.lost / NANO:+.3f} lost of {one.lost_bound / NANO:.3f}" if form == "kill" else ""
        return f"{beyond}, {one.used:.2%} used, {one.requests} requests{lost}"

    return f"{form} {seed}: {'; '.join(map(told, outcomes))}"


def main() -> int:
    binaries, seeds, *forms = [*sys.argv[1:], "10"][: max(2, len(sys.argv) - 1)]
    faults = []
    for form in forms or FORMS:
        beyond, used = [], []
        for seed in range(int(seeds)):
            outcomes = asyncio.run(run(seed, form, Path(binaries).resolve()))
            print(shown(form, seed, outcomes), flush=True)
            faults += [f"{form} {seed}: {fault}" for one in outcomes for fault in one.faults(form)]
            beyond += [one.overspent / NANO for one in outcomes]
            used += [one.used for one in outcomes]
        print(f"{form}: overspent {statistics.median(beyond):+.3f} (median), {max(beyond):+.3f} (most); "
              f"used {min(used):.2%} (least)", flush=True)
    print("\n".join(faults) or "every budget was kept, and could be used", flush=True)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
