"""What a gateway owes the API and Claude Code (its page llm-gateway-protocol, read on 2026-11-27)."""

from __future__ import annotations

import hashlib
import json
import re

from binding import ATTRIBUTION, CONTROLS

# A feature is a beta flag and a body field. The field without its flag is a 400; of some, so is the flag alone.
PAIRS = [
    (("context_management",), "context-management-2025-06-27", False),
    (("thinking", "block_binding"), CONTROLS, True),
]


def member(body: dict, path: tuple[str, ...]):
    value = body
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def half_pair(body: dict, flags: list[str]) -> str | None:
    """The words for a feature of which only half arrived."""
    for path, flag, both_ways in PAIRS:
        field, there = ".".join(path), member(body, path) is not None
        if there and flag not in flags:
            return f"{field}: Extra inputs are not permitted"
        if both_ways and flag in flags and not there:
            return f"anthropic-beta: `{flag}` needs `{field}`"
    return None


def misplaced_attribution(system) -> str | None:
    """What is wrong with the attribution block, if there is one."""
    texts = [block.get("text", "") for block in system] if isinstance(system, list) else [system or ""]
    found = [place for place, text in enumerate(texts) if ATTRIBUTION in text]
    if not found:
        return None
    if found != [0]:
        return f"the attribution is in the system blocks {found}"
    alone = re.fullmatch(rf"{ATTRIBUTION}[^\n]*\n?", texts[0])
    return None if alone else "the attribution block holds more than the attribution"


def members(text: str) -> dict[str, str]:
    """The members of an object as they are spelled."""
    decoder, found, at = json.JSONDecoder(), {}, text.index("{") + 1
    while (at := re.compile(r"[\s,]*").match(text, at).end()) < len(text) and text[at] != "}":
        name, at = decoder.raw_decode(text, at)
        start = re.compile(r"\s*:\s*").match(text, at).end()
        _, at = decoder.raw_decode(text, start)
        found[name] = text[start:at]
    return found


def prompt_digest(text: str) -> str:
    """Stands for the bytes of `system` and `tools`, without the attribution's own."""
    spelled = members(text)
    system = re.sub(rf'(?<="{ATTRIBUTION})[^"]*(?=")', "", spelled.get("system", ""))
    prompt = f"{system}\n{spelled.get('tools')}"
    return hashlib.sha256(prompt.encode()).hexdigest()[:12]
