"""What the mock's model says: prompts tell it in brackets, such as `[[steps 3]]`, how a turn is to go.

    [[steps N]]     N requests with a tool, then an answer
    [[agent N]]     a sub-agent whose own turn is [[steps N]], then an answer
    [[stall]]       an answer that never ends, after its thinking
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from binding import blocks

DIRECTIVE = re.compile(r"\[\[(steps|agent|stall)(?: (\d+))?\]\]")
SUMMARY = "CRITICAL: Respond with TEXT ONLY|Your task is to create a detailed summary"


@dataclass(frozen=True)
class Said:
    """Thinking, then a text or the use of a tool."""

    text: str = ""
    tool: str | None = None
    input: dict | None = None
    thinks: bool = True
    stalls: bool = False


def texts(message: dict) -> str:
    return "\n".join(block["text"] for block in blocks(message) if block["type"] == "text")


def answer_to(request: dict, notes: str) -> Said:
    """What comes next, with `notes` for the file to read; a request that comes twice has the same answer."""
    tools = [tool["name"] for tool in request.get("tools") or []]
    messages = request["messages"]
    if "json_schema" in json.dumps(request.get("output_config") or {}):
        return Said('{"title": "A test"}', thinks=False)
    asked = [place for place, message in enumerate(messages) if message["role"] == "user" and texts(message)]
    if asked and re.search(SUMMARY, texts(messages[asked[-1]])):
        return Said("<summary>There was a test, and all is done.</summary>", thinks=False)
    for place in reversed(asked):
        if found := DIRECTIVE.findall(texts(messages[place])):
            kind, number = found[-1]
            done = sum(message["role"] == "assistant" for message in messages[place:])
            return next_step(kind, int(number or 1), done, tools, notes)
    return Said("ok", thinks=False)


def next_step(kind: str, number: int, done: int, tools: list[str], notes: str) -> Said:
    if kind == "stall":
        return Said("Wait", stalls=True)
    if kind == "agent" and done == 0:
        tool = next(name for name in ("Agent", "Task") if name in tools)
        asked = {"description": "Some steps", "prompt": f"[[steps {number}]]", "subagent_type": "general-purpose"}
        return Said(tool=tool, input=asked)
    if kind == "steps" and done < number and "Read" in tools:
        return Said(tool="Read", input={"file_path": notes, "offset": done + 1, "limit": 1})
    return Said(f"DONE {kind} {number}")
