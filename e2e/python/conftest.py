"""What the tests know of the stack that e2e/run.py started, from the environment."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from observed import Observed, wait


@dataclass(frozen=True)
class Recorded:
    """A request as it arrived at the mock upstream."""

    line: str
    fields: list[tuple[str, str]]
    body: bytes

    @classmethod
    def read(cls, head: Path) -> Recorded:
        line, *fields = head.read_bytes().decode("latin-1").rstrip("\r\n").split("\r\n")
        pairs = [tuple(part.strip() for part in field.split(":", 1)) for field in fields]
        return cls(line, pairs, head.with_suffix(".body").read_bytes())

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.fields if known.lower() == name.lower()]

    @property
    def json(self):
        return json.loads(self.body)


@dataclass(frozen=True)
class Stack:
    gateway: str
    faulty_gateway: str
    record: Path
    replacement: str
    gap_s: float

    def heads(self) -> list[Path]:
        """The files of all requests so far, in order."""
        return sorted(self.record.glob("*.head"))

    def recorded(self, marker: str) -> list[Recorded]:
        """What the upstream got from the test with this marker, in order."""
        everything = map(Recorded.read, self.heads())
        return [request for request in everything if marker in request.all("x-e2e-marker")]

    def only(self, marker: str) -> Recorded:
        requests = self.recorded(marker)
        assert len(requests) == 1, f"{len(requests)} requests reached the upstream"
        return requests[0]


@pytest.fixture(scope="session")
def stack() -> Stack:
    if "E2E_GATEWAY" not in os.environ:
        pytest.exit("these tests need what e2e/run.py starts: type make e2e", returncode=2)
    return Stack(
        gateway=os.environ["E2E_GATEWAY"],
        faulty_gateway=os.environ["E2E_FAULTY_GATEWAY"],
        record=Path(os.environ["E2E_RECORD"]),
        replacement=os.environ["E2E_REPLACEMENT"],
        gap_s=int(os.environ["E2E_GAP_MS"]) / 1000,
    )


@pytest.fixture(scope="session")
def observed() -> Observed:
    """A gateway that has just served requests of every kind."""
    if "E2E_OBSERVED_GATEWAY" not in os.environ:
        pytest.exit("these tests need what e2e/run.py starts: type make e2e", returncode=2)
    observed = Observed(
        gateway=os.environ["E2E_OBSERVED_GATEWAY"],
        admin=os.environ["E2E_OBSERVED_ADMIN"],
        key=os.environ["E2E_OBSERVED_KEY"],
    )
    before = observed.written()
    count = observed.traffic()
    wait("the request log has all of them", lambda: observed.written() >= before + count)
    return observed


@pytest.fixture
def marker() -> str:
    """A value for the header x-e2e-marker, by which a test finds its own requests."""
    return uuid.uuid4().hex
