"""A month of a team of twenty in some minutes: the real program, whose calendar is moved ahead (libfaketime).

    month.py BINARIES [DAYS [SEED [SHARE]]]     30 days, seed 1, all that people do (1.0), if not said

The trace is month_trace's. The log keeps a week, so that most of the month's rows go again; each week the gateway is
started anew. At the end statistics, sums by day, person and model, sessions, the rows that are kept, and what is used
of limits are compared with what clients and relay know. Budgets of a day open at midnight where the team is. The size
of the log's file, the process's memory and the times of the panel's queries may not grow once a week is full.
"""

from __future__ import annotations

import asyncio
import json
import signal
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from month_trace import BUDGETED, DAY_S, KINDS, PEOPLE, STEP_S, STEPS_A_DAY, Ask, Chain, days
from team_load import Client, Relay, Team

# Debian's package libfaketime.
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
ZONE, ZONE_S = "Asia/Shanghai", 8 * 3_600
KEPT_DAYS = 7
BUDGET = 15
NANO = 1_000_000_000
CLIENTS = 24
# How often the keeper of the ledger looks at the calendar.
TICK_S = 1
WRITTEN_DEADLINE_S = 60
# How much a later part of the month may be beyond the one before, and from which day on nothing may grow any more.
GROWTH = {"file": 1.25, "rss": 1.15, "statistics": 2.0, "requests": 2.0, "sessions": 2.0}
FULL_DAY = KEPT_DAYS + 3


@dataclass
class Truth:
    """What clients and relay know of some requests."""

    requests: int = 0
    completed: int = 0
    tokens: Counter = field(default_factory=Counter)
    cost: int = 0

    def add(self, heard_all: bool, used: object | None, cost: int) -> None:
        self.requests += 1
        self.completed += heard_all
        self.cost += cost
        if used is not None:
            self.tokens += Counter(
                {name: getattr(used, name) for name in ("input", "output", "cache_write", "cache_read")}
            )

    def differs(self, told: dict) -> list[str]:
        """`told`: a group, a point or the whole of the statistics."""
        completed = told["outcomes"]["completed"] if "outcomes" in told else told["completed"]
        tokens = {name: self.tokens[name] for name in ("input", "output", "cache_write", "cache_read")}
        found = {
            "requests": told["requests"],
            "completed": completed,
            "tokens": told["tokens"],
            "cost": round((told["cost_usd"] or 0) * NANO),
        }
        known = {"requests": self.requests, "completed": self.completed, "tokens": tokens, "cost": self.cost}
        # A sum of dollars has 15 digits.
        is_same = lambda name: abs(found[name] - known[name]) <= 1_000 if name == "cost" else found[name] == known[name]
        return [f"{name} is {found[name]}, not {known[name]}" for name in known if not is_same(name)]


class Calendar:
    """What the gateway takes for the time."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "calendar"
        # The next Monday of the team.
        today = (int(time.time()) + ZONE_S) // DAY_S
        self.first_s = (today + 7 - (today + 3) % 7) * DAY_S - ZONE_S
        self.offset_s = 0.0
        self.move(0)

    def move(self, seconds: float) -> None:
        """To so many seconds after the month's beginning."""
        self.offset_s = self.first_s + seconds + 0.5 - time.time()
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"+{self.offset_s:.6f}\n")
        fresh.rename(self.file)

    def env(self) -> dict[str, str]:
        assert LIBRARY, "libfaketime is missing: scripts/prepare.sh test installs it"
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def ms(self, day: float = 0) -> int:
        return round((self.first_s + day * DAY_S) * 1_000)

    def now_ms(self) -> int:
        return round((time.time() + self.offset_s) * 1_000)


class Month:
    def __init__(self, team: Team, relay: Relay, calendar: Calendar) -> None:
        self.team, self.relay, self.calendar = team, relay, calendar
        self.whole, self.by_day = Truth(), defaultdict(Truth)
        self.by_person, self.by_model = defaultdict(Truth), defaultdict(Truth)
        self.sessions: dict[int, set[str]] = defaultdict(set)
        self.spent: Counter = Counter()
        self.refused: set[tuple[int, str]] = set()
        self.served: set[tuple[int, str]] = set()
        self.faults: list[str] = []
        self.seen: dict[str, list[float]] = defaultdict(list)
        self.places = asyncio.Semaphore(CLIENTS)
        self.idle: list[Client] = []

    async def go(self, seed: int, count: int, share: float) -> None:
        for person in range(PEOPLE):
            limits = [f"usd:day:{BUDGET}"] if person < BUDGETED else ["usd:total:100000"]
            await self.aside(self.person, f"person-{person:02}", limits)
        for day, steps in enumerate(days(seed, count, share)):
            for step in range(STEPS_A_DAY):
                self.calendar.move(day * DAY_S + step * STEP_S)
                if step == 0:
                    # A lease ends by a clock that nobody moves: until the keeper's next tick it is yesterday's.
                    await asyncio.sleep(2 * TICK_S)
                if step in steps:
                    async with asyncio.TaskGroup() as group:
                        for chain in steps[step]:
                            group.create_task(self.chain(day, chain))
            await self.look(day)
            if day % 7 == 6:
                await self.aside(self.restart)

    async def aside(self, work: Callable, *arguments: object) -> object:
        return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)

    def person(self, name: str, limits: list[str]) -> None:
        self.team.command(f"user create --name {name} --group team")
        options = "".join(f" --limit {limit}" for limit in limits)
        self.team.tokens[name] = self.team.command(f"token create --user {name}{options}")

    async def chain(self, day: int, chain: Chain) -> None:
        async with self.places:
            client = self.idle.pop() if self.idle else Client(self.team.port, self.relay)
            for ask in chain:
                if not await self.ask(day, client, ask):
                    break
            self.idle.append(client)

    async def ask(self, day: int, client: Client, ask: Ask) -> bool:
        """Whether the one after it is sent."""
        plan, owner = ask.plan, (day, ask.plan.owner)
        fields, body = KINDS[ask.kind].of(plan, ask.session, ask.agent)
        own = {
            "authorization": f"Bearer {self.team.tokens[plan.owner]}",
            "content-type": "application/json",
            "x-plan": json.dumps(asdict(plan), separators=(",", ":")),
        }
        while True:
            leave = plan.pieces if plan.end == "abort" else None
            heard = await client.ask("POST /v1/messages?beta=true", {**fields, **own}, body, leave, plan.id)
            arrival = self.relay.arrivals.get(plan.id)
            if heard.status == 0 and arrival is None:
                # The connection had been idle for too long, and was closed.
                continue
            self.count(day, ask, heard.status == 200 and plan.has_told_all, arrival)
            if arrival is not None:
                self.served.add(owner)
                return True
            if heard.is_final:
                self.refused.add(owner)
                if owner not in self.served:
                    self.faults.append(
                        f"day {day}: the first request of {plan.owner} was refused: {heard.body[:200]!r}"
                    )
                return False
            if heard.status not in (429, 503):
                self.faults.append(f"day {day}: {plan.id} had status {heard.status}: {heard.body[:200]!r}")
                return False
            await asyncio.sleep(0.1)

    def count(self, day: int, ask: Ask, is_whole: bool, arrival: object | None) -> None:
        used = arrival.plan.used(arrival.sent if arrival.is_broken else None) if arrival and arrival.is_begun else None
        cost = arrival.cost if arrival else 0
        model = ask.plan.model
        for truth in (self.whole, self.by_day[day], self.by_person[ask.plan.owner], self.by_model[model]):
            truth.add(is_whole, used, cost)
        self.sessions[day].add(ask.session)
        self.spent[day, ask.plan.owner] += cost

    async def look(self, day: int) -> None:
        """What the panel asks at the end of a day, and what the process takes."""
        times = {
            "statistics": f"stats?from={self.calendar.ms(day - 6)}&to={self.calendar.now_ms()}",
            "requests": "requests?limit=100",
            "sessions": f"sessions?from={self.calendar.ms(day - 6)}&to={self.calendar.now_ms()}&limit=50",
        }
        for name, path in times.items():
            taken = []
            for _ in range(5):
                began = time.monotonic()
                await self.aside(self.get, path)
                taken.append(time.monotonic() - began)
            self.seen[name].append(statistics.median(taken) * 1_000)
        status = Path(f"/proc/{self.team.pid}/status").read_text()
        self.seen["rss"].append(int(status.partition("VmRSS:")[2].split()[0]) / 1_000)
        self.seen["file"].append((self.team.folder / "requests.db").stat().st_size / 1e6)
        shown = ", ".join(f"{name} {values[-1]:.1f}" for name, values in self.seen.items())
        print(f"day {day}: {self.by_day[day].requests} requests; {shown} (MB, ms)", flush=True)

    def get(self, path: str) -> dict:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.team.port}/api/admin/{path}",
            headers={"authorization": f"Bearer {self.team.env['DASHBOARD_API_KEY']}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def restart(self) -> None:
        for client in self.idle:
            client.drop()
        process, _ = self.team.stack.gateways["gateway"]
        process.send_signal(signal.SIGINT)
        process.wait(30)
        self.team.start_again()

    def compare(self, count: int) -> None:
        first, end = self.calendar.ms(), self.calendar.ms(count)
        span = f"from={first}&to={end}"
        deadline = time.monotonic() + WRITTEN_DEADLINE_S
        while (told := self.get(f"stats?{span}"))["requests"] < self.whole.requests and time.monotonic() < deadline:
            time.sleep(0.2)
        self.note("the month", self.whole.differs(told))
        for day, point in enumerate(self.get(f"stats/series?{span}&step={DAY_S * 1_000}")["points"]):
            self.note(f"day {day}", self.by_day[day].differs(point))
        for person, truth in self.by_person.items():
            self.note(person, truth.differs(self.get(f"stats?{span}&user={person}")))
        groups = {group["name"]: group for group in self.get(f"stats/groups?{span}&by=model")["groups"]}
        for model, truth in self.by_model.items():
            self.note(model, truth.differs(groups[model]))
        kept = range(max(0, count - KEPT_DAYS + 1), count)
        rows = self.team.rows(
            "requests.db", f"SELECT count(*) AS n FROM requests WHERE started_ms >= {self.calendar.ms(kept.start)}"
        )[0]["n"]
        if rows != (known := sum(self.by_day[day].requests for day in kept)):
            self.faults.append(f"{rows} rows are kept of the last days, not {known}")
        oldest = self.team.rows("requests.db", "SELECT min(started_ms) AS at FROM requests")[0]["at"]
        total = self.get(f"sessions?from={self.calendar.ms(kept.start)}&to={end}&limit=1")["total"]
        if total != (known := len(set().union(*(self.sessions[day] for day in kept)))):
            self.faults.append(f"{total} sessions of the last days, not {known}")
        print(
            f"{self.whole.requests} requests, {self.whole.cost / NANO:.2f} dollars, "
            f"{len(set().union(*self.sessions.values()))} sessions; "
            f"the oldest row is {(end - oldest) / 86_400_000:.1f} days old at the end",
            flush=True,
        )
        self.budgets(count)

    def note(self, what: str, wrong: list[str]) -> None:
        self.faults += [f"{what}: {fault}" for fault in wrong]

    def budgets(self, count: int) -> None:
        largest = max(arrival.cost for arrival in self.relay.arrivals.values())
        for day, owner in self.refused:
            # Refused is who may pass the budget with the next request, and what is beyond is beyond an estimate.
            spent = self.spent[day, owner]
            if not BUDGET * NANO - 2 * largest <= spent <= BUDGET * NANO + 2 * largest:
                self.faults.append(f"day {day}: {owner} was refused with {spent / NANO:.3f} dollars of {BUDGET}")
        deadline = time.monotonic() + WRITTEN_DEADLINE_S
        while (wrong := self.misused(count)) and time.monotonic() < deadline:
            time.sleep(0.5)
        self.faults += wrong
        print(
            f"{len(self.refused)} days of {BUDGETED} people with {BUDGET} dollars a day were refused; "
            f"{len(self.served)} days began anew",
            flush=True,
        )

    def misused(self, count: int) -> list[str]:
        """Limits of which another amount is used than the relay was paid in their window."""
        known = {
            "day": lambda owner: self.spent[count - 1, owner],
            "total": lambda owner: sum(self.spent[day, owner] for day in range(count)),
        }
        rows = [(row["name"].partition("/")[0], row) for row in json.loads(self.team.command("usage --json"))]
        return [
            f"{owner} has used {row['used']} dollars of {row['limit']}, not {paid / NANO}"
            for owner, row in rows
            if abs(row["used"] * NANO - (paid := known[row["window"]](owner))) > 1_000
        ]

    def flat(self, count: int) -> None:
        middle = (FULL_DAY + count) // 2
        if middle - FULL_DAY < 7:
            return
        for name, values in self.seen.items():
            before, after = statistics.median(values[FULL_DAY:middle]), statistics.median(values[middle:])
            print(f"{name}: {before:.1f}, then {after:.1f}: {after / before:.2f}", flush=True)
            if after > before * GROWTH[name]:
                self.faults.append(f"{name} grows: {before:.1f} on days {FULL_DAY} to {middle}, {after:.1f} after")


async def run(binaries: Path, count: int, seed: int, share: float) -> list[str]:
    with ExitStack() as cleanup:
        async with Relay() as relay:
            folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="gateway-month-")))
            calendar = Calendar(folder)
            more = {"log": {"keep": f"{KEPT_DAYS}d"}}
            team = await asyncio.get_running_loop().run_in_executor(
                None, partial(Team.start, binaries, relay.url, cleanup, more, **calendar.env())
            )
            team.command(f"group create --name team --time-zone {ZONE}")
            month = Month(team, relay, calendar)
            await month.go(seed, count, share)
            await month.aside(month.compare, count)
            month.flat(count)
            return month.faults


def main() -> int:
    binaries, count, seed, share = [*sys.argv[1:], *("30", "1", "1.0")[len(sys.argv) - 2 :]]
    began = time.monotonic()
    faults = asyncio.run(run(Path(binaries).resolve(), int(count), int(seed), float(share)))
    print(
        "\n".join(faults) or f"a month of {count} days in {time.monotonic() - began:.0f} s: all as it was", flush=True
    )
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
