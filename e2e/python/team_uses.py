"""The ways in which the hunt for secrets uses a client token."""

from __future__ import annotations

import base64
import json

MODEL = "claude-opus-5-5"
SERVED = ("whole", "json", "status", "abort", "cut", "error", "echo", "x-api-key", "count", "both", "list")
# Tokens that never get an upstream's answer, and must not be seen by one.
REFUSED = (
    "query", "path", "exposed", "field", "cookie", "method", "basic", "body-base64", "body-escaped",
    "model", "address", "expired", "revoked", "rotated", "used",
)
WRONG = ("mistyped", "cut short")
BROKEN = ("malformed", "long")
KINDS = (*SERVED, *REFUSED, *WRONG, *BROKEN)


def misspelt(kind: str, token: str) -> str:
    return token[:-4] if kind == "cut short" else token[:-9] + token[-9:][::-1]


def said(text: str) -> bytes:
    messages = [{"role": "user", "content": text}]
    return json.dumps({"model": MODEL, "max_tokens": 9, "messages": messages}).encode()


def by_hand(kind: str, token: str, right: str, plan: dict) -> tuple[str, dict[str, str], bytes] | None:
    """Method and target, fields and body of what is no usual request; `right` is a token that may do all."""
    planned = {"x-plan": json.dumps(plan)}
    bearer, mine = ({"authorization": f"Bearer {text}", **planned} for text in (token, right))
    coded, body = base64.b64encode(token.encode()).decode(), said("hello")
    escaped = token.replace("_", "\\u005f")
    post = "POST /v1/messages"
    found = {
        "x-api-key": (post, {"x-api-key": token, **planned}, body),
        "both": (post, bearer | {"x-api-key": token}, body),
        "count": ("POST /v1/messages/count_tokens", bearer, body),
        "list": ("GET /v1/models?limit=1000", bearer, b""),
        "query": (f"{post}?key={token}", mine, body),
        "path": (f"GET /v1/{token}", mine, b""),
        "exposed": (post, bearer, said(f"my settings: {token}")),
        "field": (post, mine | {"x-other": token}, body),
        "cookie": (post, mine | {"cookie": f"a=b; key={token}"}, body),
        "method": (f"{token} /v1/messages", mine, b""),
        "malformed": (post, bearer | {"content-length": "x", "host": token}, b""),
        "long": (post, bearer | {"x-long": token * 2_000}, b""),
        "basic": (post, mine | {"x-basic": f"Basic {coded}"}, body),
        "body-base64": (post, mine, said(coded)),
        "body-escaped": (post, mine, said("KEY").replace(b"KEY", escaped.encode())),
    }
    found |= {wrong: (post, {"x-api-key": misspelt(wrong, token), **planned}, body) for wrong in WRONG}
    return found.get(kind)
