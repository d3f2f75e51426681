"""Says of some requests of a made-up log that they lost their prompt cache, as happens in days of work: always the same ones.

What they wrote to it is what they lost, so that nothing else of the log changes.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

# Of a hundred that lost it, how many for each cause, and what changed.
CAUSES = (
    (38, "idle", "{idle}>300"),
    (20, "tools_changed", None),
    (12, "upstream_changed", "harbour>lantern"),
    (9, "compaction", None),
    (8, "system_changed", None),
    (5, "model_changed", "claude-opus-5-5>claude-sonnet-5-5"),
    (5, "history_changed", None),
    (3, "unexplained", None),
)
# One request in so many of a main conversation.
SELDOM = 5
LEAST_TOKENS = 2_000
# What a token costs more to write than to read, in billionths of a dollar.
DEARER = {"claude-sonnet-5-5": 2_400, "claude-opus-5-5": 4_800, "claude-haiku-5-5": 115, "claude-opus-4-8": 5_750}
SOUGHT = """SELECT seq, model, cache_write_tokens FROM requests
    WHERE cache_write_tokens >= ? AND outcome = 'completed' AND agent IS NULL ORDER BY seq"""
LOSE = "UPDATE requests SET waste_cause = ?, waste_detail = ?, waste_tokens = ?, waste_nano = ? WHERE seq = ?"


def cause_of(lot: int) -> tuple[str, str | None]:
    for share, cause, detail in CAUSES:
        if lot < share:
            return cause, detail and detail.format(idle=310 + lot * 47)
        lot -= share
    raise AssertionError(lot)


def lose_caches(log: Path) -> None:
    with sqlite3.connect(log) as database:
        for seq, model, tokens in database.execute(SOUGHT, (LEAST_TOKENS,)).fetchall():
            # Spread over all rows, without a pattern that one sees.
            lot = seq * 2_654_435_761 % 2**32
            if lot % SELDOM:
                continue
            cause, detail = cause_of(lot // SELDOM % 100)
            database.execute(LOSE, (cause, detail, tokens, tokens * DEARER.get(model, 0), seq))
