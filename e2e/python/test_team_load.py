"""Small forms of the load tests of a team's limits; `make team-load` runs them whole."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
import team_guesses
import team_leaks
import team_overspend
import team_places
import team_uses
from team_estimate import first, later, means
from team_secrets import Secrets, codings


@pytest.fixture
def binaries() -> Path:
    return Path(os.environ["E2E_BINARIES"])


def test_estimates_are_worked_out_as_the_gateway_does():
    assert first("claude-opus-5", 127_000) == 31_750 * 6_250 + 25_000_000
    assert later("claude-opus-5", 4_000, 40_000_000) == 60_000_000
    assert later("claude-opus-5", 4_000_000, 40_000_000) == 500_000_000
    assert means([40, 80, 0]) == [None, 40, 60, 40]
    assert means([1_000_000] * 100 + [0])[-1] == 1_000_000 - 31_250


@pytest.mark.parametrize("form", team_overspend.FORMS)
def test_a_budget_is_kept_and_can_be_used(binaries, form):
    outcomes = asyncio.run(team_overspend.run(0, form, binaries, team_overspend.Size(clients=45, budget=20)))
    faults = [fault for one in outcomes for fault in one.faults(form)]
    assert not faults, (faults, outcomes)


def test_places_are_exact_and_all_free_at_the_end(binaries):
    outcome = asyncio.run(team_places.run(binaries, count=800, broken=120))
    assert not outcome.faults(), outcome
    assert sum(outcome.broken.values()) >= 120


@pytest.mark.parametrize("coding", codings("x" * 40))
def test_a_part_of_a_secret_is_found_in_each_coding(coding):
    secret, secrets = "agw_5fGh7JkL9mNp2QrS4tUv6WxY8zAb1CdE3fGh5JkL7mNp0a1b2c", Secrets()
    secrets.add("it", secret)
    coded = codings(secret)[coding][0]
    middle = coded[len(coded) // 4 : -len(coded) // 4]
    assert secrets.found_in(b"a" * 7 + middle + b"b" * 9)
    assert not secrets.found_in(f"agw_{'0' * 49} {secret[:4]}...{secret[-4:]}".encode())


def test_no_token_and_no_key_is_where_it_must_not_be(binaries):
    faults, hunt = asyncio.run(team_leaks.run(binaries, count=len(team_uses.KINDS)))
    assert not faults
    large = ("output.log", "requests.db-wal", "data/team.db", "the admin API")
    empty = [where for where in large if hunt.sizes[where] < 10_000]
    empty += [where for where in ("commands", "notifications", "the panel's feed") if not hunt.sizes[where]]
    assert not empty, hunt.sizes
    served = {kind: set(hunt.statuses[kind]) for kind in team_uses.SERVED}
    assert served.pop("echo") == {400} and served.pop("status") == {502}, hunt.statuses
    assert set().union(*served.values()) == {200}, served
    for kind in (*team_uses.REFUSED, *team_uses.WRONG, *team_uses.BROKEN):
        assert set(hunt.statuses[kind]) & {400, 401, 402, 403, 404, 431}, (kind, hunt.statuses[kind])


def test_guesses_cost_no_more_than_requests_and_leave_nothing(binaries):
    outcome = asyncio.run(team_guesses.run(binaries, count=150))
    # Of so few requests the processor time is not exact.
    assert not outcome.faults(slack=1.5), outcome
