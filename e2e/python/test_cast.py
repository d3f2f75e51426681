"""README's terminal: the commands that it shows still do that, and it is the one that `make pictures` records."""

from __future__ import annotations

import os
import re
import socket
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from cast import LANGUAGES, record
from claude import MODULES, NEWEST, RELEASES
from stack import ROOT

BINARIES = Path(os.environ["E2E_BINARIES"])
pytestmark = pytest.mark.skipif(not (MODULES / RELEASES[NEWEST]).exists(), reason="npm did not install Claude Code")


def kept(language: str) -> str:
    return (ROOT / "docs" / "images" / f"cast-{language}.svg").read_text()


def typed(picture: str) -> list[str]:
    """The commands, each of which is the white part of its line."""
    commands = ("".join(re.findall(r'fill="#ffffff">([^<]*)</text>', line)) for line in picture.splitlines())
    return [command for command in commands if command]


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def recorded(language) -> str:
    # Ends the test if a command fails or no longer says what it is shown for.
    return record(BINARIES, LANGUAGES[language])


def test_readme_shows_the_commands_that_are_recorded_now(language, recorded):
    readme = (ROOT / ("README.zh-CN.md" if language == "zh" else "README.md")).read_text()
    assert f"(docs/images/cast-{language}.svg)" in readme
    assert typed(recorded) and typed(kept(language)) == typed(recorded), "type `make pictures`"


def test_two_recordings_are_the_same(language, recorded):
    assert record(BINARIES, LANGUAGES[language]) == recorded


def test_it_is_a_picture_that_github_shows_and_says_nothing_of_the_machine(language, recorded):
    for picture in (recorded, kept(language)):
        names = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(picture).iter()}
        assert names <= {"svg", "title", "style", "g", "rect", "circle", "text"}, names
        assert not re.search(r"/(?:tmp|root|home|work|usr|build)/|https?://(?!127\.0\.0\.1|www\.w3\.org/2000/svg)", picture)
        assert socket.gethostname() not in picture
        assert len(picture) < 100_000
