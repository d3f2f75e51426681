"""Claude Code through refusals of client tokens and their limits: it asks as often as docs/team.md says, and shows why."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from refusals import AT_ONE_TIME, ROOT, Seen, run
from team_refusals import CASES

# What ends by itself within seconds; the others are in the page's table, which `make refusals` writes.
SOON = {
    "limit_used": ("429 rate_limit_error", 1, "the limit of token alice/default (one request a day)"),
    "limit_sessions": ("429 rate_limit_error", 1, "the limit of token alice/default (one session a day)"),
    "limit_total": ("402 billing_error", 1, "the limit of token alice/default (one request in total)"),
    "limit_unpriced": ("404 not_found_error", 2, "the selected model (claude-nobody-1)"),
    "token_missing": ("401 authentication_error", 1, "Failed to authenticate"),
    "token_unknown": ("401 authentication_error", 1, "Failed to authenticate"),
    "token_expired": ("401 authentication_error", 1, "expired"),
    "token_revoked": ("401 authentication_error", 1, "This token was revoked"),
    "token_suspended": ("403 permission_error", 1, "suspended"),
    "token_address": ("403 permission_error", 1, "Failed to authenticate"),
    "token_upstream": ("403 permission_error", 1, "Failed to authenticate"),
    "token_model": ("404 not_found_error", 2, "the selected model"),
    "token_exposed": ("403 permission_error", 1, "Failed to authenticate"),
}
# It waits in silence, and goes on.
PASSING = ("limit_places", "limit_held")


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    binaries = Path(os.environ["E2E_BINARIES"])
    wanted = [case for case in CASES if case.name in SOON or case.name in PASSING]
    with ThreadPoolExecutor(AT_ONE_TIME) as pool:
        return {one.case.name: one for one in pool.map(lambda case: run(case, binaries), wanted)}


@pytest.mark.parametrize("name", SOON)
def test_claude_asks_once_and_shows_why(seen, name):
    status, requests, shown = SOON[name]
    one = seen[name]
    assert (one.status, one.requests) == (status, requests), one
    assert shown in one.shown, one.shown


@pytest.mark.parametrize("name", PASSING)
def test_claude_waits_for_what_is_free_in_a_moment(seen, name):
    one = seen[name]
    assert (one.status, one.shown) == ("429 rate_limit_error", "ok"), one
    assert one.requests > 1


@pytest.mark.parametrize("page", ["team.md", "team.zh-CN.md"])
def test_the_page_has_a_row_for_each_case(page):
    text = (ROOT / "docs" / page).read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for case in CASES:
        says = case.says_zh if "zh" in page else case.says
        assert any(row.startswith(f"| {says} |") for row in rows), says
