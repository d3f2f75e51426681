"""Conversations of Claude Code, newest and older, that go on while the gateway changes: nothing of it reaches the client."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path

import claude
import pytest
from claude import Terminal
from conversation import MODEL, TEAM_KEY, Plan, Scene, faults, report

RELEASES = pytest.mark.parametrize("release", claude.RELEASES)


@pytest.fixture
def scene():
    with ExitStack() as cleanup:
        # The path of a control socket must be short, which pytest's own folders are not.
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="gateway-scene-")))
        yield Scene.start(Path(os.environ["E2E_BINARIES"]), folder, cleanup)


class Dialogue(Terminal):
    """Prompts at a terminal, each to the end of its turn."""

    def __init__(self, scene: Scene, release: str, model: str) -> None:
        home, self.api = scene.folder / "home", scene.api
        self.api.notes = str(home / "work" / "notes.txt")
        env = {"ANTHROPIC_AUTH_TOKEN": TEAM_KEY, "MAX_THINKING_TOKENS": "4000"}
        super().__init__(release, home, scene.url, "--model", model, **env)
        self.wait("it asks for a prompt", lambda: re.search("^[>❯]", self.text, re.M))

    def turn(self, prompt: str, requests: int = 1, state: str = "over") -> None:
        before = len(self.api.with_tools())
        new = lambda: self.api.with_tools()[before:]
        answered = lambda: [turn for turn in new() if turn.status == 200 and turn.state == state]
        self.enter(prompt, new)
        self.wait(f"{prompt!r} is answered", lambda: len(answered()) >= requests)


def right(scene: Scene, release: str, compacts: bool = False) -> None:
    wrong = faults(scene, release, compacts)
    assert not wrong, "\n".join([*wrong, report(scene)])


@RELEASES
def test_a_turn_of_many_requests_survives_reloads_an_upgrade_and_a_dead_upstream(scene, release):
    scene.plan = Plan(reloads=(2, 4, 9), upgrades=(5,), deaths=(7,))
    done = scene.claude("Please [[steps 10]]", release)
    assert (done.returncode, done.stdout.strip()) == (0, "DONE steps 10"), done.stdout + done.stderr
    right(scene, release)
    assert scene.happened == {"reloads": 3, "upgrades": 1, "deaths": 1}


@RELEASES
def test_a_sub_agent_survives_them_too(scene, release):
    # All of these are requests of the sub-agent, or of the two at one time.
    scene.plan = Plan(reloads=(3, 6), upgrades=(2,), deaths=(4,))
    done = scene.claude("Please [[agent 4]]", release)
    assert done.returncode == 0 and "DONE agent 4" in done.stdout, done.stdout + done.stderr
    right(scene, release)


@RELEASES
def test_an_interrupted_turn_and_a_compaction_survive_them_too(scene, release):
    scene.plan = Plan(reloads=(2, 5, 9), upgrades=(4,), deaths=(6,))
    model = MODEL if release.startswith("2.1") else "claude-sonnet-4-5"
    with Dialogue(scene, release, model) as dialogue:
        dialogue.turn("Please [[steps 2]]", requests=3)
        dialogue.turn("Please [[stall]]", state="stalling")
        dialogue.press("\x1b")
        dialogue.wait("the turn is interrupted", lambda: "Interrupted" in dialogue.text)
        dialogue.turn("Please [[steps 3]]", requests=4)
        dialogue.turn("/compact")
        dialogue.wait("all is compacted", lambda: "ompacted" in dialogue.text)
        dialogue.turn("Please [[steps 1]]", requests=2)
        assert "API Error" not in dialogue.text
    right(scene, release, compacts=True)


def test_fifty_requests_survive_ten_reloads_two_upgrades_and_three_failovers(scene):
    scene.plan = Plan.of(50)
    done = scene.claude("Please [[steps 46]]", claude.NEWEST)
    assert (done.returncode, done.stdout.strip()) == (0, "DONE steps 46"), done.stdout + done.stderr
    right(scene, claude.NEWEST)
    assert scene.happened == {"reloads": 10, "upgrades": 2, "deaths": 3, "revivals": 3}
