"""A conversation of Claude Code in a gateway whose rules, process and upstreams change while it goes on.

    conversation.py BINARIES [TURNS [RELEASE]]     the same by hand, with a report; 50 turns if not said

Two accounts, one of them with `profile: anyrouter` and a rule of its own, so that a move between them changes the
prompt and the key. What happens at which request is a `Plan`; it happens before that request is answered, so that every
run is the same.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import claude
from bound_api import Account, Api, Turn
from observed import wait
from stack import Stack, free_port

MODEL = "claude-fable-5-1"
IDENTITY = "You are Claude Code, Anthropic's official CLI for Claude."
TEAM_KEY = "sk-team-of-the-test"
PANEL_KEY = "panel-key-of-the-test"
MESSAGES = {"method": "POST", "path": "/v1/messages"}


@dataclass(frozen=True)
class Plan:
    """Numbers of requests, counted from 1, at which something happens."""

    reloads: tuple[int, ...] = ()
    upgrades: tuple[int, ...] = ()
    deaths: tuple[int, ...] = ()
    revivals: tuple[int, ...] = ()

    @classmethod
    def of(cls, turns: int) -> Plan:
        """Ten reloads, two upgrades and three failovers in so many requests."""
        at = lambda *shares: tuple(max(2, round(share * turns / 100)) for share in shares)
        return cls(at(8, 16, 26, 34, 44, 52, 62, 70, 80, 90), at(30, 66), at(20, 40, 74), at(36, 56, 88))


def rules(edition: int) -> list[dict]:
    """The operator's rules; each edition changes the prompt, and by turns what else it holds and the tools."""
    system = [{"mode": "append", "target": "last", "text": f"House rules, edition {edition}."}]
    found = [{"name": "house", "match": MESSAGES, "body": {"system": system}}]
    if edition % 2 == 0:
        team = {"mode": "insert_if_missing", "target": {"matching": "^Team"}, "text": "Team", "cache_control": False}
        system.append(team)
    if edition % 3 == 2:
        changed = {"set": {"/tools/0/description": f"Edition {edition}."}}
        found.append({"name": "tools", "match": MESSAGES, "body": changed})
    at_b = {"mode": "append", "target": "last", "text": "You are served by b."}
    return [*found, {"name": "at-b", "match": MESSAGES | {"upstream": "b"}, "body": {"system": at_b}}]


@dataclass
class Scene:
    """A gateway with two accounts behind it."""

    stack: Stack
    folder: Path
    api: Api
    accounts: dict[str, Account]
    plan: Plan = Plan()
    edition: int = 1
    happened: Counter = field(default_factory=Counter)

    @classmethod
    def start(cls, binaries: Path, folder: Path, cleanup: ExitStack) -> Scene:
        folder.mkdir(parents=True, exist_ok=True)
        api = Api()
        accounts = {name: Account(api, name) for name in "ab"}
        for account in accounts.values():
            cleanup.callback(account.die)
        scene = cls(Stack(binaries, folder, cleanup), folder, api, accounts)
        scene.configure()
        settings = {"API_BASE_URL": "", "GATEWAY_DB": "requests.db", "DASHBOARD_API_KEY": PANEL_KEY}
        settings |= {"ADMIN_LISTEN": f"127.0.0.1:{free_port()}", "SYSTEM_PROMPT_TARGET": "identity"}
        scene.url = scene.stack.gateway("gateway", "", folder / "gateway.yaml", **settings)
        scene.admin = f"http://{settings['ADMIN_LISTEN']}"
        api.before_answer = scene.before_answer
        return scene

    def configure(self) -> None:
        upstream = lambda name, **more: {
            "name": name, "base_url": self.accounts[name].url, "api_key": f"key-{name}", **more
        }
        gateway = {
            "upstreams": [upstream("a"), upstream("b", profile="anyrouter", priority=1)],
            "routes": [{"keys": [TEAM_KEY], "upstreams": ["a", "b"]}],
            "system_prompt": {"replacement": f"{IDENTITY} Edition {self.edition}."},
            "rules": rules(self.edition),
        }
        written = self.folder / "gateway.yaml.new"
        written.write_text(json.dumps({"gateway": gateway}, indent=1))
        written.rename(self.folder / "gateway.yaml")

    def before_answer(self, account: Account, number: int) -> bool:
        plan = self.plan
        if number in plan.reloads:
            self.edition += 1
            self.configure()
            self.stack.command("gateway", "reload")
            self.happened["reloads"] += 1
        if number in plan.upgrades:
            self.stack.command("gateway", "upgrade")
            self.happened["upgrades"] += 1
        if number in plan.revivals:
            for dead in [dead for dead in self.accounts.values() if not dead.server]:
                dead.start()
                self.happened["revivals"] += 1
        if number in plan.deaths:
            account.die()
            self.happened["deaths"] += 1
            return True
        return False

    def claude(self, prompt: str, release: str, **more):
        home = self.folder / "home"
        work = home / "work" if (home / "work").exists() else claude.home_of(home)
        self.api.notes = str(work / "notes.txt")
        env = {"ANTHROPIC_AUTH_TOKEN": TEAM_KEY, "MAX_THINKING_TOKENS": "4000"}
        return claude.printed(release, home, self.url, prompt, "--model", MODEL, **env, **more)

    def ask(self, path: str) -> str:
        request = urllib.request.Request(f"{self.admin}{path}", headers={"Authorization": f"Bearer {PANEL_KEY}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().decode()

    def rows(self) -> list[dict]:
        """The rows of all messages, once the log has as many as requests that were answered; oldest first."""
        listed = lambda: json.loads(self.ask("/api/admin/requests?limit=500&path=/v1/messages"))["requests"]
        answered = sum(turn.status == 200 for turn in self.api.turns)
        found = wait("all rows", lambda: len(rows := listed()) >= answered and rows)
        return sorted(found, key=lambda row: row["started_at_ms"])


def stretches(turns: list[Turn]) -> list[list[Turn]]:
    """The turns of each conversation, cut where it moves to another account."""
    found = []
    for conversation in dict.fromkeys(turn.conversation for turn in turns):
        own = [turn for turn in turns if turn.conversation == conversation and turn.status]
        found += [list(group) for _, group in itertools.groupby(own, key=lambda turn: turn.account)]
    return found


def prompts(turns: list[Turn]) -> dict[tuple, set[str]]:
    """The prompts of each conversation at each account. One without thinking may have new ones: nothing is bound there."""
    thinking = {turn.conversation for turn in turns if turn.returned}
    found: dict[tuple, set[str]] = {}
    for turn in turns:
        if turn.status and turn.conversation in thinking:
            found.setdefault((turn.conversation, turn.account), set()).add(turn.prompt)
    return found


def changed_prompts(scene: Scene) -> list[str]:
    """Conversations whose prompt changed at an account."""
    most = max((len(seen) for seen in prompts(scene.api.with_tools()).values()), default=0)
    return [f"{most} prompts in one conversation at one account"] if most > 1 else []


def unreported(scene: Scene) -> list[str]:
    """Blocks that the API dropped, of which the request log says nothing, or not why."""
    dropped = sum(len(turn.dropped) for turn in scene.api.turns)
    rows = [row for row in scene.rows() if row.get("thinking_dropped")]
    told = sum(row["thinking_dropped"] for row in rows)
    found = [f"the API dropped {dropped} blocks, the rows tell of {told}"] if told != dropped else []
    return found + [f"a row with {row['thinking_dropped']} dropped blocks does not say why" for row in rows if not row.get("moved")]


def faults(scene: Scene, release: str, compacts: bool = False) -> list[str]:
    """What is wrong with what came of a conversation, as the client, the API and the request log saw it.

    Not wrong is a 400 for what the client itself changed, as it does when it compacts: it mends that itself. And thinking
    with a budget, as 2.0 asks for, cannot be dropped by the API: the gateway repairs what the API refuses.
    """
    turns = scene.api.with_tools()
    is_adaptive = release.startswith("2.1")
    found = []
    if is_adaptive:
        found += [f"the API answered 400: {turn.error}" for turn in turns if turn.status == 400 and not turn.of_client]
        found += unreported(scene)
    found += [f"the contract is broken: {violation}" for violation in dict.fromkeys(scene.api.violations)]
    if scene.api.failure:
        found.append(f"the scene itself failed: {scene.api.failure!r}")
    bad = [row for row in scene.rows() if row["status"] != 200]
    if len(bad) > sum(turn.of_client for turn in turns):
        found += [f"the client got {row['status']}: {row['error_message'] or row['reason']}" for row in bad]
    found += changed_prompts(scene)
    for turn in turns:
        if is_adaptive and not compacts and turn.status == 200 and (kept := turn.returned - len(turn.dropped)) < turn.minted:
            found.append(f"only {kept} of {turn.minted} thinking blocks of {turn.account} were kept")
    for turn in turns:
        texts = [block["text"] for block in turn.body["system"]]
        if is_adaptive and not texts[0].startswith("x-anthropic-billing-header:"):
            found.append(f"the attribution is gone: {texts[0][:60]!r}")
            break
        if not any(text.startswith(f"{IDENTITY} Edition") for text in texts):
            found.append(f"the identity was not replaced: {[text[:60] for text in texts]}")
            break
    return found


def report(scene: Scene) -> str:
    turns = scene.api.with_tools()
    reasons = Counter(drop.reason for turn in turns for drop in turn.dropped)
    lines = [
        f"requests at the API: {len(turns)}, of which {sum(turn.status == 400 for turn in turns)} got 400"
        f" and {sum(turn.status == 0 for turn in turns)} broke off",
        f"happened: {dict(scene.happened)}",
        f"blocks that came back: {sum(turn.returned for turn in turns)}, dropped: {dict(reasons)}"
        f" in {sum(bool(turn.dropped) for turn in turns)} requests",
        f"rows at the client: {dict(Counter(row['status'] for row in scene.rows()))},"
        f" moved: {dict(Counter(row['moved'] for row in scene.rows()))}",
    ]
    for stretch in stretches(turns):
        seen = dict(Counter(turn.prompt for turn in stretch))
        lines.append(f"  {stretch[0].account}: {len(stretch)} requests, prompts {seen}")
    return "\n".join(lines)


def main() -> int:
    binaries, turns = Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 50
    release = sys.argv[3] if len(sys.argv) > 3 else claude.NEWEST
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="anyrouter-gateway-conversation-")))
        scene = Scene.start(binaries, folder, cleanup)
        scene.plan = Plan.of(turns)
        began = time.monotonic()
        done = scene.claude(f"Please [[steps {turns - 1 - len(scene.plan.deaths)}]]", release, deadline_s=300)
        took = time.monotonic() - began
        wrong = faults(scene, release)
        if done.returncode or "DONE steps" not in done.stdout:
            wrong.append(f"Claude Code ended with {done.returncode}: {(done.stdout + done.stderr)[-400:]!r}")
        print(f"Claude Code {release}, {took:.0f} s\n{report(scene)}")
        for fault, times in Counter(wrong).items():
            print(f"WRONG ({times}): {fault[:300]}")
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
