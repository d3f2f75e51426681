"""Draws what a terminal shows in the course of time as an SVG that moves by itself: CSS only, as GitHub shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from unicodedata import east_asian_width
from xml.sax.saxutils import escape

CELL, LINE, MARGIN, BAR = 8.4, 20, 16, 34
VISIBLE = 24
KEY_S = 0.045
LINE_S = 0.05
PROMPT = "$ "
# Colours of a terminal by the names that pyte gives them, on a dark ground.
COLOURS = {
    "default": "#d8dee9", "black": "#7b8496", "red": "#f07178", "green": "#a5d6a7", "brown": "#ffcb6b", "blue": "#82aaff",
    "magenta": "#c792ea", "cyan": "#89ddff", "white": "#ffffff", "prompt": "#a5d6a7", "typed": "#ffffff", "part": "#7b8496",
}
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Noto Sans Mono CJK SC', monospace"


@dataclass(frozen=True)
class Run:
    """A piece of a line in one colour, and the column that it begins at."""

    text: str
    colour: str
    column: int


Line = list[Run]


@dataclass
class Shown:
    """A line from a moment on; if it is typed, it takes until another one."""

    line: Line
    at: float
    typed: tuple[float, int] | None = None


def cells(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


@dataclass
class Scene:
    """What happens, one thing after another."""

    now: float = 0.8
    shown: list[Shown] = field(default_factory=list)

    def type(self, command: str) -> None:
        if self.shown and self.shown[-1].line and not self.shown[-1].typed:
            self.shown.append(Shown([], self.now))
        end = self.now + 0.5 + len(command) * KEY_S
        line = [Run(PROMPT, "prompt", 0), Run(command, "typed", len(PROMPT))]
        self.shown.append(Shown(line, self.now, (end, cells(command))))
        self.now = end + 0.4

    def show(self, lines: list[Line], wait: float = 0.2, rest: float = 1.0) -> None:
        self.now += wait
        for line in lines:
            self.shown.append(Shown(line, self.now))
            self.now += LINE_S
        self.now += rest

    def part(self, title: str) -> None:
        self.shown += [Shown([], self.now), Shown([Run(f"── {title} ──", "part", 0)], self.now), Shown([], self.now)]
        self.now += 0.8


def draw(scene: Scene, title: str, columns: int) -> str:
    total = scene.now + 1
    width, height = columns * CELL + 2 * MARGIN, VISIBLE * LINE + BAR + MARGIN
    percent = lambda moment: f"{100 * moment / total:.2f}%"  # noqa: E731
    rules, texts, scrolls = [], [], ["0%{transform:translateY(0)}"]
    last = 0
    for number, shown in enumerate(scene.shown):
        y = number * LINE
        rules.append(f"@keyframes l{number}{{0%{{visibility:hidden}}{percent(shown.at)},100%{{visibility:visible}}}}")
        inner = "".join(piece(run, y) for run in shown.line)
        if shown.typed:
            end, long = shown.typed
            x = MARGIN + len(PROMPT) * CELL
            rules.append(
                f"@keyframes k{number}{{0%,{percent(shown.at + 0.5)}{{transform:translateX(0);animation-timing-function:steps({long},end)}}"
                f"{percent(end)}{{transform:translateX({long * CELL:.1f}px);animation-timing-function:step-end}}"
                f"{percent(end + 0.4)},100%{{transform:translateX({columns * CELL:.0f}px)}}}}"
            )
            inner += (
                f'<g class="k" style="animation-name:k{number}"><rect x="{x:.1f}" y="{y}" width="{columns * CELL:.0f}" height="{LINE}" '
                f'fill="#1b1f27"/><rect x="{x:.1f}" y="{y + 2}" width="{CELL}" height="{LINE - 4}" fill="#d8dee9"/></g>'
            )
        texts.append(f'<g class="l" style="animation-name:l{number}">{inner}</g>')
        top = max(0, number + 1 - VISIBLE) * LINE
        if top > last:
            scrolls.append(f"{percent(shown.at)}{{transform:translateY(-{top}px)}}")
            last = top
    scrolls.append(f"100%{{transform:translateY(-{last}px)}}")
    style = "".join(
        [
            f"text{{font:14px {FONT};white-space:pre}}",
            f".l,.k,.s{{animation:{total:.1f}s step-end infinite}}",
            f".s{{animation-name:s;transform:translateY(-{last}px)}}.k{{transform:translateX({columns * CELL:.0f}px)}}",
            f"@keyframes s{{{''.join(scrolls)}}}",
            *rules,
            "@media (prefers-reduced-motion:reduce){.l,.k,.s{animation:none}}",
        ]
    )
    lights = "".join(f'<circle cx="{MARGIN + 6 + 20 * place}" cy="18" r="6" fill="{fill}"/>' for place, fill in enumerate(("#ff5f57", "#febc2e", "#28c840")))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {height}" role="img" aria-labelledby="t">'
        f'<title id="t">{escape(title)}</title><style>{style}</style>'
        f'<rect width="100%" height="100%" rx="10" fill="#1b1f27"/>{lights}'
        f'<svg y="{BAR}" width="{width:.1f}" height="{VISIBLE * LINE}"><g class="s">\n' + "\n".join(texts) + "\n</g></svg></svg>\n"
    )


def piece(run: Run, y: int) -> str:
    """A run as text of exactly as many cells as it has, whatever font there is."""
    name, is_bold = run.colour.removeprefix("bold "), run.colour.startswith("bold ")
    fill = COLOURS.get(name, f"#{name}" if len(name) == 6 else COLOURS["default"])
    bold = ' font-weight="bold"' if is_bold else ""
    pieces, column = [], run.column
    # Wide characters apart: in most fonts two narrow ones are not as wide as one of them.
    for _, group in groupby(run.text, key=cells):
        text = "".join(group)
        indent = len(text) - len(text.lstrip(" "))
        if shown := text.strip(" "):
            pieces.append(
                f'<text x="{MARGIN + (column + indent) * CELL:.1f}" y="{y + 15}" textLength="{cells(shown) * CELL:.1f}" '
                f'lengthAdjust="spacingAndGlyphs" fill="{fill}"{bold}>{escape(shown)}</text>'
            )
        column += cells(text)
    return "".join(pieces)
