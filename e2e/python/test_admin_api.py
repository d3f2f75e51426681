"""The admin API against its own description: what docs/openapi.yaml says is what the gateway answers."""

from __future__ import annotations

import json
import os
import string
import urllib.request
import uuid
from pathlib import Path

import jsonschema_rs
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from observed import DEADLINE_S, SESSION, wait
from schemathesis import checks as generic
from schemathesis.specs.openapi import checks as openapi

FILE = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"
DESCRIPTION = yaml.safe_load(FILE.read_text())
SCHEMA = schemathesis.openapi.from_path(str(FILE))
# A stream without an end is checked by itself; logging out would end nothing, but is no reading either.
FUZZED = SCHEMA.include(method=["GET", "POST"]).exclude(path="/api/admin/live")
CHECKS = [
    generic.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
]
# The same examples in every run, so that a failure is there again; more of them with E2E_FUZZ_EXAMPLES.
EXAMPLES = int(os.environ.get("E2E_FUZZ_EXAMPLES", "25"))
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def login(base: str, key: str) -> str:
    """The cookie of a session that begins with this key, or this token."""
    request = urllib.request.Request(
        f"{base}/api/admin/session",
        data=json.dumps({"key": key}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        assert answer.status == 204
        return answer.headers["Set-Cookie"].split(";")[0]


@pytest.fixture(scope="session")
def cookie(observed) -> str:
    """A session: unlike the key, it is good while others give wrong keys."""
    return login(observed.admin, observed.key)


@FUZZED.parametrize()
@FUZZ
def test_every_answer_is_as_described(case, observed, cookie):
    # What else the example has for credentials must not decide over what is seen.
    case.cookies.clear()
    case.headers.pop("Authorization", None)
    case.headers["Cookie"] = cookie
    case.call_and_validate(base_url=observed.admin, checks=CHECKS, timeout=DEADLINE_S)


def call(base: str, operation: str, cookie: str, **parts):
    """One request that is described, and its answer, which must be too."""
    path, method = next(
        (path, method)
        for path, item in DESCRIPTION["paths"].items()
        for method in item
        if method in ("get", "post", "delete") and item[method]["operationId"] == operation
    )
    case = SCHEMA[path][method.upper()].Case(headers={"Cookie": cookie}, **parts)
    return case.call_and_validate(base_url=base, checks=CHECKS, timeout=DEADLINE_S)


def test_rows_and_sessions_that_there_are(observed, cookie):
    rows = call(observed.gateway, "requests", cookie, query={"limit": 500}).json()["requests"]
    assert {"completed", "upstream_error", "truncated", "stream_error", "client_aborted", "rejected"} <= {
        row["outcome"] for row in rows
    }
    details = [call(observed.gateway, "request", cookie, path_parameters={"id": row["id"]}).json() for row in rows]
    assert any(detail["tried"] for detail in details), "one upstream failed, another one answered"
    assert any(detail["error_body"] for detail in details) and any(detail["capture"] for detail in details)
    conversation = call(observed.gateway, "conversation", cookie, path_parameters={"id": SESSION}).json()
    assert {agent["name"] for agent in conversation["agents"]} == {None, "agent-1"}
    assert call(observed.gateway, "errors", cookie).json()["total"] >= 4
    for name, first in [("csv", "id,started_at_ms"), ("json", '{"id":"req_')]:
        text = call(observed.gateway, "export", cookie, query={"format": name}).text
        assert text.startswith(first) and len(text.splitlines()) >= len(rows)


# Request lines and fields as nobody writes them, but as a text field of the panel may hold them.
TARGETS = st.sampled_from(["/", "*", "", "x", "//", "http://a/b", "/é", "/a?b#c", "a:1", "/%zz?&&=", "/v1/messages?beta=true"])
METHODS = st.sampled_from(["GET", "POST", "CONNECT", "OPTIONS", "get", "X-Y", ""])
FIELDS = st.tuples(
    st.sampled_from(["Host", "x-api-key", "Authorization", "Content-Length", "Transfer-Encoding", "Connection", "é", ""]),
    st.text(string.printable + "é", max_size=8),
).map(": ".join)
HEADS = st.tuples(METHODS, TARGETS, st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2", ""]), st.lists(FIELDS, max_size=4))


@given(head=HEADS, body=st.one_of(st.text(max_size=20), st.just('{"model":"claude-x","system":"a"}')))
@FUZZ
def test_explain_takes_any_head(observed, cookie, head, body):
    method, target, version, fields = head
    text = "\n".join([f"{method} {target} {version}", *fields])
    answer = call(observed.admin, "explain", cookie, body={"head": text, "body": body}, media_type="application/json")
    assert answer.status_code in (200, 400), answer.text


def undocumented(schema: dict, value, place: str = ""):
    """Members of a value that its schema does not name. Clients ignore them, but the file is to have all there are."""
    parts = [schema]
    for part in parts:
        if "$ref" in part:
            parts.append(DESCRIPTION["components"]["schemas"][part["$ref"].rsplit("/", 1)[1]])
        parts += part.get("allOf", []) + part.get("oneOf", []) + part.get("anyOf", [])
    if isinstance(value, list):
        items = next(part["items"] for part in parts if "items" in part)
        for each in value:
            yield from undocumented(items, each, f"{place}[]")
    elif isinstance(value, dict):
        known = {name: member for part in parts for name, member in part.get("properties", {}).items()}
        others = next((part["additionalProperties"] for part in parts if part.get("additionalProperties")), None)
        for name, member in value.items():
            if schema_of := known.get(name, others):
                yield from undocumented(schema_of, member, f"{place}.{name}")
            else:
                yield f"{place}.{name}"


def test_every_member_is_described(observed, cookie):
    row = call(observed.admin, "requests", cookie, query={"limit": 1}).json()["requests"][0]
    parts = {
        "request": {"path_parameters": {"id": row["id"]}},
        "conversation": {"path_parameters": {"id": SESSION}},
        "captureNext": {"path_parameters": {"id": SESSION}, "body": {}, "media_type": "application/json"},
        "statsGroups": {"query": {"by": "model"}},
        "explain": {"body": {"body": "{}"}, "media_type": "application/json"},
        "explainDraft": {"body": {"overlay": "", "body": "{}"}, "media_type": "application/json"},
        "checkConfig": {"body": {"overlay": "gateway: {preserve_host: true}"}, "media_type": "application/json"},
        "reload": {"body": {}, "media_type": "application/json"},
        "testNotification": {"body": {"target": "ops"}, "media_type": "application/json"},
        "beginRecost": {"body": {"from_ms": 0}, "media_type": "application/json"},
    }
    upstreams = {one["name"]: one for one in call(observed.admin, "upstreams", cookie).json()["upstreams"]}
    upstream = next(iter(upstreams))
    for operation in ("test", "drain", "enable"):
        of_upstream = {"path_parameters": {"name": upstream}, "body": {}, "media_type": "application/json"}
        parts[operation] = of_upstream
    key = {"path_parameters": {"name": "keyed", "key": "first"}, "media_type": "application/json"}
    parts |= {"restKey": {**key, "body": {"for": "1s"}}, "wakeKey": {**key, "body": {}}}
    billed = {"name": "billed", "key": upstreams["billed"]["keys"][0]["fingerprint"]}
    parts["readBalance"] = {"path_parameters": billed, "body": {}, "media_type": "application/json"}
    name = f"user-{uuid.uuid4().hex}"
    body = lambda **members: {"body": members, "media_type": "application/json"}
    call(observed.admin, "createUser", cookie, **body(name=name))
    token = call(observed.admin, "createToken", cookie, **body(user=name, models=["claude-*"], limits=["usd:day:5"])).json()
    holder = login(observed.admin, token["token"])
    parts |= {"createUser": body(name=f"{name}-2"), "createGroup": body(name=f"{name}-3")}
    parts["createToken"] = body(user=name, name="second")
    parts["token"] = {"path_parameters": {"id": token["id"]}}
    # Whose text is not the newest any more may not rotate its own.
    other = call(observed.admin, "createToken", cookie, **body(user=name, name="rotated")).json()
    parts["rotateToken"] = {"path_parameters": {"id": other["id"]}, **body()}
    parts["rotateOwnToken"] = {**parts["token"], **body()}
    # Costs may be recalculated because of the tests before: one at a time.
    is_idle = lambda last: last is None or last["state"] != "running"
    wait("the recalculation to end", lambda: is_idle(call(observed.admin, "recost", cookie).json()["recost"]))
    looked_at = 0
    for item in DESCRIPTION["paths"].values():
        for operation in (item[method] for method in ("get", "post") if method in item):
            content = operation["responses"].get("200", {}).get("content", {}).get("application/json")
            # What is in a JSON Schema, JSON Schema says.
            if content is None or operation["operationId"] == "configSchema":
                continue
            # What a holder sees of the own is for who has a token.
            is_own = operation["operationId"].lower().startswith(("own", "rotateown"))
            shown = holder if is_own else cookie
            answer = call(observed.admin, operation["operationId"], shown, **parts.get(operation["operationId"], {}))
            assert answer.status_code == 200, answer.text
            assert list(undocumented(content["schema"], answer.json())) == [], operation["operationId"]
            looked_at += 1
    assert looked_at == 51


def test_the_file_is_served(observed, cookie):
    assert call(observed.gateway, "openapi", cookie).text == FILE.read_text()


def test_logging_in_and_out(observed):
    login = lambda key: call(observed.gateway, "openSession", "", body={"key": key}, media_type="application/json")
    assert call(observed.gateway, "closeSession", "").status_code == 204
    assert call(observed.gateway, "requests", "").status_code == 401
    # The fuzzing above gave wrong keys; this makes sure of it, in whatever order the tests run.
    statuses = [login("wrong").status_code for _ in range(6)]
    assert statuses[-1] == 429 and set(statuses) <= {401, 429}
    assert login(observed.key).status_code == 204, "the right key is taken at any time"


def test_a_session_that_was_ended_is_over(observed):
    opened = call(observed.gateway, "openSession", "", body={"key": observed.key}, media_type="application/json")
    session = opened.headers["set-cookie"][0].partition(";")[0]
    assert call(observed.gateway, "upstreams", session).status_code == 200
    assert call(observed.gateway, "closeSession", session).status_code == 204
    assert call(observed.gateway, "upstreams", session).status_code == 401


def validator(name: str):
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DESCRIPTION["components"]}
    )


def test_live_events_are_as_described(observed, cookie):
    request = urllib.request.Request(f"{observed.admin}/api/admin/live", headers={"Cookie": cookie})
    seen: dict[str, dict] = {}
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert observed.ask(stream=True) == 200

        def next_event() -> bool:
            lines = {}
            # The gateway tells something every second, and urlopen's timeout ends a silence.
            while (line := answer.readline().decode().rstrip("\n")) != "":
                name, _, value = line.partition(": ")
                lines[name] = value
            if "data" in lines:
                seen[lines["event"]] = json.loads(lines["data"])
            return {"request", "second"} <= seen.keys()

        wait("a request and a second", next_event)
    for event, name in [("request", "Listed"), ("second", "Second")]:
        validator(name).validate(seen[event])
        assert list(undocumented({"$ref": f"#/components/schemas/{name}"}, seen[event])) == [], event
