"""A small form of `make month`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import month
from month_trace import days


def requests(seed: int) -> list[str]:
    return [
        ask.plan.id for steps in days(seed, 7, 1.0) for chains in steps.values() for chain in chains for ask in chain
    ]


def test_a_trace_is_made_of_its_seed_alone_and_no_request_is_in_it_twice():
    one = requests(1)
    assert one == requests(1) != requests(2)
    assert len(one) == len(set(one)) > 10_000


def test_statistics_and_limits_are_those_of_the_trace_after_nine_days():
    faults = asyncio.run(month.run(Path(os.environ["E2E_BINARIES"]), count=9, seed=1, share=0.03))
    assert not faults
