"""What a team of twenty does in a month: who asks what when, and what each request uses, made of a seed alone.

Working days have mornings, a break at noon, afternoons and some evenings; on a weekend few work. A session begins with
its title, then come prompts, each with several turns, whose prompt grows and is mostly read from the cache; some
prompts have a sub-agent. Bodies and heads are those of tests/fixtures.
"""

from __future__ import annotations

import json
import math
import random
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from team_load import Plan, Tokens

FIXTURES = Path(__file__).resolve().parent.parent.parent / "tests" / "fixtures"
STEP_S = 900
DAY_S = 86_400
STEPS_A_DAY = DAY_S // STEP_S
PEOPLE = 20
# Who has a budget for each day; some of their days need more than that.
BUDGETED = 5
MAIN = ("claude-opus-5-5", "claude-opus-5", "claude-fable-5")
SMALL = "claude-haiku-4-5-20251001"
ENDS = {"whole": 962, "status": 15, "abort": 12, "cut": 6, "json": 5}
# The share of a working day's sessions that begin in each hour.
HOURS = {9: 12, 10: 16, 11: 12, 12: 3, 13: 8, 14: 15, 15: 14, 16: 12, 17: 8, 18: 3, 20: 3, 21: 3, 22: 2, 23: 1}
WEEKEND = 0.1


@dataclass(frozen=True)
class Kind:
    """A request as a client sends it: its fields and its body, and what in them is to be replaced."""

    fields: dict[str, str]
    body: bytes
    model: bytes

    @classmethod
    def read(cls, name: str) -> Kind:
        lines = (FIXTURES / f"{name}.head").read_text().splitlines()[1:]
        known = dict(line.split(": ", 1) for line in lines if line)
        own = {"host", "content-length", "connection", "x-api-key", "content-type", "authorization", "accept-encoding"}
        body = (FIXTURES / f"{name}.json").read_bytes()
        return cls(
            {key: value for key, value in known.items() if key.lower() not in own},
            body,
            json.loads(body)["model"].encode(),
        )

    def of(self, plan: Plan, session: str, agent: str | None) -> tuple[dict[str, str], bytes]:
        fields = {**self.fields, "X-Claude-Code-Session-Id": session}
        if agent:
            fields["x-claude-code-agent-id"] = agent
        body = self.body.replace(b'"' + self.model + b'"', b'"' + plan.model.encode() + b'"', 1)
        if plan.end == "json":
            body = body.replace(b'"stream":true', b'"stream":false')
        return fields, body


KINDS = {
    "title": Kind.read("cli-2.1.197-title"),
    "first": Kind.read("sdk-cli-2.1.330-turn1"),
    "next": Kind.read("sdk-cli-2.1.330-tool-result"),
    "agent": Kind.read("cli-2.0.76-subagent"),
}


@dataclass(frozen=True)
class Ask:
    kind: str
    plan: Plan
    session: str
    agent: str | None


# Requests of which each waits for the one before.
Chain = list[Ask]


def days(seed: int, count: int, share: float) -> Iterator[dict[int, list[Chain]]]:
    """Of each day, from a Monday on, what begins in which of its steps. `share`: of all that people do."""
    chance = random.Random(seed)
    pace = [math.exp(chance.gauss(0, 0.4)) for _ in range(PEOPLE)]
    for day in range(count):
        steps: dict[int, list[Chain]] = defaultdict(list)
        for person in range(PEOPLE):
            wanted = 3.5 * pace[person] * share * (WEEKEND if day % 7 >= 5 else 1)
            for number in range(int(wanted) + (chance.random() < wanted % 1)):
                hour = chance.choices(list(HOURS), HOURS.values())[0]
                begin = (hour * 3_600 + chance.randrange(3_600)) // STEP_S
                for step, chain in session(chance, f"{day}-{person}-{number}", f"person-{person:02}", begin):
                    steps[min(step, STEPS_A_DAY - 1)].append(chain)
        yield steps


def session(chance: random.Random, name: str, owner: str, begin: int) -> Iterator[tuple[int, Chain]]:
    """The prompts of a conversation, each with its turns, and its sub-agents beside them."""
    id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    model = chance.choices(MAIN, (6, 3, 1))[0]
    step, prompt = begin, 22_000 + chance.randrange(8_000)
    for count in range(tailed(chance, 5, 0.6)):
        turns: Chain = []
        if count == 0:
            turns.append(
                ask(chance, "title", f"{name}-title", owner, SMALL, Tokens(700, 0, 0, tailed(chance, 20, 0.4)), id)
            )
        for turn in range(tailed(chance, 6, 0.7)):
            is_cold = count == turn == 0 or turn == 0 and chance.random() < 0.3
            written = prompt if is_cold else min(tailed(chance, 1_800, 1.0), 40_000)
            read = 0 if is_cold else prompt
            prompt = min(prompt + (0 if is_cold else written), 190_000)
            tokens = Tokens(tailed(chance, 8, 0.8), written, read, tailed(chance, 420, 1.0))
            turns.append(ask(chance, "next" if turn else "first", f"{name}-{count}-{turn}", owner, model, tokens, id))
        yield step, turns
        if chance.random() < 0.25:
            agent = f"agent-{name}-{count}"
            seen = 9_000
            chain: Chain = []
            for turn in range(tailed(chance, 5, 0.6)):
                grown = tailed(chance, 2_500, 0.8)
                tokens = Tokens(
                    tailed(chance, 8, 0.8), grown if turn else seen, seen if turn else 0, tailed(chance, 300, 0.8)
                )
                seen += grown if turn else 0
                chain.append(ask(chance, "agent", f"{agent}-{turn}", owner, SMALL, tokens, id, agent))
            yield step, chain
        step += chance.choices((0, 1, 2, 5), (5, 4, 2, 1))[0]


def ask(
    chance: random.Random,
    kind: str,
    id: str,
    owner: str,
    model: str,
    tokens: Tokens,
    session: str,
    agent: str | None = None,
) -> Ask:
    end = chance.choices(list(ENDS), ENDS.values())[0]
    return Ask(kind, Plan(id, owner, model, tokens, end, pieces=chance.randint(1, 4)), session, agent)


def tailed(chance: random.Random, median: float, sigma: float) -> int:
    return max(1, round(median * math.exp(chance.gauss(0, sigma))))
