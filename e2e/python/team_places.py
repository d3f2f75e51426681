"""How exactly limits of requests at one time are kept, by what the relay has open at one time of each token.

    team_places.py BINARIES [REQUESTS [BROKEN]]     100,000 that are served, if not said, 500 of which break off
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from team_load import ANSWER_DEADLINE_S, Client, Plan, Relay, Team, Tokens

PLACES = {"alice": 2, "bob": 8, "carol": 20}
# Clients for one place: some always find none.
CLIENTS = 1.5
MODEL = "claude-opus-5-5"
BROKEN = ("abort", "abort", "cut", "reset", "error", "close")
DEADLINE_S = 3600


@dataclass
class Outcome:
    served: Counter
    refused: int
    broken: Counter
    most: Counter
    left: dict[str, int]
    at_the_end: dict[str, tuple[int, int]]

    def faults(self) -> list[str]:
        wrong = [f"{who}: {most} at one time" for who, most in self.most.items() if most > PLACES[who]]
        wrong += [f"{who}: {held} held at the end" for who, held in self.left.items() if held]
        wanted = {who: (places, 429) for who, places in PLACES.items()}
        return wrong + ([f"at the end there were places for {self.at_the_end}"] if self.at_the_end != wanted else [])


def plans(count: int, broken: int) -> Iterator[Plan]:
    chance = random.Random(count)
    breaks = set(chance.sample(range(count), broken))
    for number in range(count):
        owner = chance.choices(list(PLACES), PLACES.values())[0]
        end = chance.choice(BROKEN) if number in breaks else chance.choices(("whole", "json"), (3, 1))[0]
        pause_s = chance.choice((0, 0.05, 0.2))
        yield Plan(str(number), owner, MODEL, Tokens(10, 0, 0, 5), end, chance.randint(1, 2), pause_s, filler=20)


class Run:
    def __init__(self, team: Team, relay: Relay, count: int, broken: int) -> None:
        self.team, self.relay, self.refused = team, relay, 0
        self.waiting: dict[str, list[Plan]] = {owner: [] for owner in PLACES}
        for plan in plans(count, broken):
            self.waiting[plan.owner].append(plan)

    async def client(self, number: int, owner: str) -> None:
        chance, client = random.Random(f"{owner}-{number}"), Client(self.team.port, self.relay)
        while self.waiting[owner]:
            plan = self.waiting[owner].pop()
            while plan.id not in self.relay.arrivals:
                heard = await client.send(plan, self.team.tokens[owner])
                if heard.status == 429:
                    self.refused += 1
                    await asyncio.sleep(chance.uniform(0.002, 0.03))
                elif plan.id not in self.relay.arrivals:
                    assert heard.status in (0, 502, 503), heard
        client.drop()

    async def go(self) -> Outcome:
        for owner, places in PLACES.items():
            self.team.token(owner, f"requests:now:{places}")
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
            for owner, places in PLACES.items():
                for number in range(round(places * CLIENTS)):
                    group.create_task(self.client(number, owner))
        most, left = Counter(self.relay.most), await self.left()
        broken = Counter(one.plan.end for one in self.relay.arrivals.values() if one.plan.end in BROKEN)
        served = Counter(one.plan.owner for one in self.relay.arrivals.values())
        at_the_end = dict(zip(PLACES, await asyncio.gather(*map(self.fill, PLACES))))
        return Outcome(served, self.refused, broken, most, left, at_the_end)

    async def left(self) -> dict[str, int]:
        """What is held when all is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ANSWER_DEADLINE_S
        while True:
            usage = await loop.run_in_executor(None, self.team.usage)
            left = {owner: row["used"] + row["held"] for owner, row in usage.items()}
            if not any(left.values()) or loop.time() > deadline:
                return left
            await asyncio.sleep(0.3)

    async def fill(self, owner: str) -> tuple[int, int]:
        """How many requests are served at one time, and the status of one more."""
        count = PLACES[owner]
        clients = [Client(self.team.port, self.relay) for _ in range(count)]
        plan = partial(Plan, owner=owner, model=MODEL, tokens=Tokens(1, 0, 0, 1), end="json", pieces=1)
        before = self.relay.open[owner]
        sent = [
            asyncio.create_task(client.send(plan(id=f"{owner}-last-{number}", pause_s=5), self.team.tokens[owner]))
            for number, client in enumerate(clients)
        ]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ANSWER_DEADLINE_S
        while self.relay.open[owner] - before < count and loop.time() < deadline and not any(one.done() for one in sent):
            await asyncio.sleep(0.01)
        served = self.relay.open[owner] - before
        more = await Client(self.team.port, self.relay).send(plan(id=f"{owner}-more"), self.team.tokens[owner])
        await asyncio.gather(*sent)
        for client in clients:
            client.drop()
        return served, more.status


async def run(binaries: Path, count: int = 100_000, broken: int = 500) -> Outcome:
    with ExitStack() as cleanup:
        async with Relay() as relay:
            start = partial(Team.start, binaries, relay.url, cleanup, GATEWAY_DB="off")
            team = await asyncio.get_running_loop().run_in_executor(None, start)
            return await Run(team, relay, count, broken).go()


def main() -> int:
    binaries, *numbers = sys.argv[1:]
    outcome = asyncio.run(run(Path(binaries).resolve(), *map(int, numbers)))
    print(f"{sum(outcome.served.values())} served, {outcome.refused} refused, {dict(outcome.broken)} broken off")
    print(f"at one time {dict(outcome.most)} of {PLACES}; held at the end {outcome.left}; then {outcome.at_the_end}")
    print("\n".join(outcome.faults()) or "the places are exact")
    return int(bool(outcome.faults()))


if __name__ == "__main__":
    sys.exit(main())
