"""Conversations of Claude Code, newest and older, with an API that checks thinking and the gateway's contract."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path

import claude
import pytest
from claude import Terminal
from conversation import MODEL, TEAM_KEY, Scene, faults, report

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


def right(scene: Scene, release: str, preserved: bool = True) -> None:
    wrong = faults(scene, release.startswith("2.1"), preserved)
    assert not wrong, "\n".join([*wrong, report(scene)])


@RELEASES
def test_a_turn_of_many_requests_keeps_its_thinking(scene, release):
    done = scene.claude("Please [[steps 10]]", release)
    assert (done.returncode, done.stdout.strip()) == (0, "DONE steps 10"), done.stdout + done.stderr
    right(scene, release)


@RELEASES
def test_a_sub_agent_keeps_its_thinking(scene, release):
    done = scene.claude("Please [[agent 4]]", release)
    assert done.returncode == 0 and "DONE agent 4" in done.stdout, done.stdout + done.stderr
    right(scene, release)


@RELEASES
def test_an_interrupted_turn_and_a_compaction_are_as_the_client_makes_them(scene, release):
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
    # What is compacted away does not come back, and 2.1 changes what came before the rest.
    right(scene, release, preserved=False)
