"""Thinking blocks that are bound to what came before them, as the Messages API binds them.

What is public of it (platform.claude.com, build-with-claude/preserved-thinking, and the types of @anthropic-ai/sdk
1.12.0; read on 2026-11-27): a block is bound to `system`, `tools`, the messages before it and the thinking block before
it; `cache_control` is left out of the comparison; a message's text counts the same as a list with one text block. A
block of another model is dropped without an error. Anything else that differs is a 400 that names the first such block,
or a dropped block if the request asks for that.

Seen, not documented: Claude Code 2.1.332 ends a request with a reminder for this one answer (a `system` message, behind
the last `cache_control`), and leaves it out of the next request. So the API cannot count it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass

THINKING = ("thinking", "redacted_thinking")
# The models that check the prefix; others check only whose the block is. (Mythos does not check it, but signs it.)
PRESERVED = re.compile(r"fable-5-[12]|(opus|sonnet|haiku)-5-5")
CONTROLS = "thinking-binding-controls-2026-08-01"
SYSTEM, TOOLS, MESSAGES = "`system` prompt", "`tools` list", "`messages` before it"
ATTRIBUTION = "x-anthropic-billing-header:"


@dataclass(frozen=True)
class Dropped:
    """A block that the model does not get to see."""

    path: str
    reason: str


class Refused(Exception):
    """The words of a 400; whether what came before the block in `messages` differs, which no gateway touches."""

    def __init__(self, words: str, of_client: bool = False) -> None:
        super().__init__(words)
        self.of_client = of_client


def without_cache_control(value):
    if isinstance(value, dict):
        return {name: without_cache_control(part) for name, part in value.items() if name != "cache_control"}
    return [without_cache_control(part) for part in value] if isinstance(value, list) else value


def without_attribution(system):
    """The API takes the attribution block away where it is the first one; Claude Code changes it when it compacts."""
    if isinstance(system, list) and system and system[0].get("text", "").startswith(ATTRIBUTION):
        return system[1:]
    return system


def digest(value) -> str:
    text = json.dumps(without_cache_control(value), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def blocks(message: dict) -> list[dict]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def signature_of(block: dict) -> str:
    return block["data"] if block["type"] == "redacted_thinking" else block["signature"]


class Signer:
    """Signs and checks the thinking blocks of one account."""

    def __init__(self, account: str) -> None:
        self.account = account

    def mac(self, claims: str) -> str:
        return hmac.new(self.account.encode(), claims.encode(), hashlib.sha256).hexdigest()[:24]

    def sign(self, claims: dict) -> str:
        text = json.dumps(claims, sort_keys=True)
        return base64.b64encode(f"{text}\n{self.mac(text)}".encode()).decode()

    def claims(self, signature: str) -> dict | None:
        """What a block says of itself; None if this account did not sign it."""
        try:
            text, mac = base64.b64decode(signature, validate=True).decode().split("\n")
        except ValueError:
            return None
        return json.loads(text) if hmac.compare_digest(mac, self.mac(text)) else None

    def block(self, request: dict, text: str, last: str | None, redacted: bool = False) -> dict:
        """A new thinking block to begin the answer to this request; `last` is the one that the model saw last."""
        claims = self.prefix(request, flat(kept(request["messages"]))) | {"model": request["model"], "last": last}
        if redacted:
            return {"type": "redacted_thinking", "data": self.sign(claims)}
        return {"type": "thinking", "thinking": text, "signature": self.sign(claims | {"text": digest(text)})}

    @staticmethod
    def prefix(request: dict, before: list) -> dict:
        system = without_attribution(request.get("system"))
        return {MESSAGES: digest(before), SYSTEM: digest(system), TOOLS: digest(request.get("tools"))}

    def check(self, request: dict) -> tuple[list[Dropped], str | None]:
        """What is dropped, and the last block that is not. Raises `Refused` for a block that may not be there."""
        binding = (request.get("thinking") or {}).get("block_binding") or {}
        drops = binding.get("prefix_mismatch_behavior") == "drop_block"
        dropped: list[Dropped] = []
        before: list = []
        last = None
        for place, message in enumerate(request["messages"]):
            rest_goes = False
            for index, block in enumerate(blocks(message)):
                if block["type"] not in THINKING:
                    before.append((message["role"], block))
                    rest_goes = False
                    continue
                path = f"messages.{place}.content.{index}"
                reason, words = self.fault(block, request, before, last)
                if rest_goes and not reason:
                    reason, words = "prefix_binding_mismatch", "The block before it in its turn is dropped."
                if not reason:
                    last = signature_of(block)[-16:]
                    continue
                if reason != "model_binding_mismatch" and not drops:
                    raise Refused(f"{path}: {words}", of_client=MESSAGES in words)
                dropped.append(Dropped(path, reason))
                rest_goes = True
        return dropped, last

    def fault(self, block: dict, request: dict, before: list, last: str | None) -> tuple[str | None, str]:
        """Why a block may not be read: a reason, and the API's words for it."""
        invalid = f"Invalid `signature` in `{block['type']}` block"
        claims = self.claims(signature_of(block))
        if claims is None or ("text" in claims and claims["text"] != digest(block["thinking"])):
            return "organization_binding_mismatch", invalid
        if claims["model"] != request["model"]:
            return "model_binding_mismatch", invalid
        if not PRESERVED.search(request["model"]):
            return None, ""
        bound = (
            f"{invalid}. The block is bound to a different conversation. Remove the block, or set"
            " `thinking.block_binding.prefix_mismatch_behavior` to \"drop_block\". That setting requires the"
            f" `{CONTROLS}` value in the `anthropic-beta` header."
        )
        now = self.prefix(request, flattened(before))
        for part in now:
            if claims[part] != now[part]:
                differs = f"The {part} differs from the one this block was created with."
                return "prefix_binding_mismatch", f"{bound} {differs}"
        # The first blocks of a conversation may be left out, one between others may not.
        if last is not None and claims["last"] != last:
            missing = "The `thinking` block that preceded this one when it was created is missing from this request."
            return "prefix_binding_mismatch", f"{bound} {missing}"
        return None, ""


def kept(messages: list[dict]) -> list[dict]:
    """The messages without the reminder at the end that is for this answer only."""
    *others, end = messages
    marked = [place for place, block in enumerate(blocks(end)) if "cache_control" in block]
    if end["role"] != "system" or not marked:
        return messages
    return [*others, end | {"content": blocks(end)[: marked[-1] + 1]}]


def flat(messages: list[dict]) -> list:
    """All blocks but those of thinking, each with its role: how they are cut into messages does not count."""
    pairs = [(message["role"], block) for message in messages for block in blocks(message)]
    return flattened([(role, block) for role, block in pairs if block["type"] not in THINKING])


def flattened(pairs: list) -> list:
    return [[role, block] for role, block in pairs]
