"""What a gateway took requests for, worked out again from what a run has seen, and how much more they may have used.

The gateway learns of a response between the relay's last byte and the client's, and takes a request for what it has
learned between the client's first byte and the relay's. So the estimate of each request is known within bounds; the least
counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from team_load import PRICES, Arrival

SLOWEST = 32
FIRST_OUTPUT = 1_000


@dataclass(frozen=True)
class Served:
    """A request that reached the relay: from the client's first byte to its last."""

    arrival: Arrival
    began: float
    over: float

    @property
    def cost(self) -> int:
        return self.arrival.cost


def first(model: str, body_bytes: int) -> int:
    """What the first request of a model is taken for, in nano-dollars."""
    _, write, _, output = PRICES[model]
    return body_bytes // 4 * write + FIRST_OUTPUT * output


def later(model: str, body_bytes: int, mean: int) -> int:
    return max(mean + mean // 2, body_bytes // 4 * PRICES[model][2])


def means(costs: Iterable[int]) -> list[int | None]:
    """The mean after none of these, after one, and so on."""
    mean, found = 0, [None]
    for count, cost in enumerate(costs, 1):
        weight = min(count, SLOWEST)
        mean = mean + (cost - mean) // weight if cost >= mean else mean - (mean - cost) // weight
        found.append(mean)
    return found


class Estimates:
    """Of one token with one model, at one process, or at one of several that may have served."""

    def __init__(self, served: list[Served], learned: list[Served]) -> None:
        whole = [one for one in learned if one.arrival.plan.has_told_all]
        by_relay = sorted(whole, key=lambda one: one.arrival.over)
        by_client = sorted(whole, key=lambda one: one.over)
        self.told = [one.arrival.over for one in by_relay]
        self.heard = [one.over for one in by_client]
        self.means = [means(one.cost for one in order) for order in (by_relay, by_client)]
        self.least = {id(one): self.of(one) for one in served}

    def of(self, one: Served) -> int:
        """The least that this request can have been taken for."""
        # A client may have heard of an end that its relay has not noted yet.
        surely, perhaps = sorted(
            (sum(time <= one.began for time in self.heard), sum(time <= one.arrival.at for time in self.told))
        )
        plan, size = one.arrival.plan, one.arrival.body_bytes
        found = [mean for order in self.means for mean in order[surely : perhaps + 1]]
        known = [first(plan.model, size) if mean is None else later(plan.model, size, mean) for mean in found]
        return min(known)

    def beyond(self, flying: Iterable[Served], fresh: Iterable[Served] = ()) -> int:
        """What these may have used beyond what they were taken for, all together. Whoever took the `fresh` ones may not have
        learned anything."""
        first_of = {id(one): first(one.arrival.plan.model, one.arrival.body_bytes) for one in fresh}
        return sum(max(0, one.cost - min(self.least[id(one)], first_of.get(id(one), one.cost))) for one in flying)


def flying_at_the_last(served: list[Served]) -> list[Served]:
    """Those that may have been under way when the last one was let through: until then no limit was passed."""
    last = max(served, key=lambda one: one.arrival.at)
    return flying_since(served, last.began)


def flying_since(served: list[Served], at: float) -> list[Served]:
    """Those that were under way at that time, or came after it."""
    return [one for one in served if one.over >= at]
