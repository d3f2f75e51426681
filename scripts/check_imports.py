#!/usr/bin/env python3
"""Checks which file may use which: nothing goes in a circle, inside any folder or between folders, and nothing goes up.

    check_imports.py            check the whole repository; exit code 1 and every fault on a line of its own
    check_imports.py --graph    print every arrow, file by file
    check_imports.py ROOT       check another tree (the tests of this script do)

It reads the Rust files that git knows: `use` declarations and paths in the code. Comments, strings and what only tests
compile (`#[cfg(test)]`) do not count. A path leads to the file that defines the name: a re-export in mod.rs is looked
through, and is no arrow by itself. In each folder its files and subfolders are compared, a subfolder as a whole.

`cargo modules dependencies --acyclic` looks for circles too, but it needs the whole crate analysed, Pingora included,
and knows neither folders as a whole nor an order.
"""

import re
import subprocess
import sys
from pathlib import Path

# The rooms of a folder from bottom to top: a room may use those on the lines before its own, and those on one line may
# not use each other. A folder that is not here needs no order written down: without circles it has one.
ORDER = {
    "src": [
        "connections database_file drain feed language unix_time",
        "config listen",
        "ledger log_output metrics store upstream",
        "access_log team",
        "gateway",
        "doctor",
        "notify",
        "admin operate",
        "install tryout",
        "cli prices server",
        "command",
        "main",
    ],
    "src/config": [
        "source",
        "section",
        "files mask panel panel_key",
        "locate lower schema spoken trial",
        "former known_secrets service_file",
        "warnings",
        "load",
        "live",
    ],
    "src/gateway": [
        "answer cache_waste capture_wishes client_keys key_search models_seen wrong_keys",
        "browser cross_site panel_key tokens",
        "clean conversations local",
        "snapshot",
        "identity running",
        "client",
        "shared",
        "house_rules proxy",
        "explain",
        "balance_checks health_checks line_checks mod steering_checks trial upstream_metrics",
        "http2_door",
        "door",
    ],
    "src/gateway/client": [
        "body_shares buffers tunnel unsent",
        "body_budget response_hold",
        "incoming request",
        "http1",
        "http1_stream http2 whole_request",
    ],
    "src/gateway/proxy": [
        "masking shapes",
        "context",
        "conversation field_order key_change max_forwards models origin_headers",
        "apply_rules downstream failure lines request_head",
        "ending limits observe relay_key session_place",
        "steering",
        "settle",
        "failover",
        "error_rules",
        "first_event repair",
        "response_head",
        "attempt begin finish upstream_response",
    ],
    "crates/gateway-core/src": ["addresses holder language reason", "http1", "balance body_intake models protocol redact", "rules", "prompt_shape thinking", "usage", "cache_waste team", "record", "again errors"],
}

# Rooms that may use less than their line would allow.
ONLY = {
    "src": {
        "config": "connections",
        "listen": "connections",
        "install": "config language operate store",
        "metrics": "config",
        "operate": "config drain language listen log_output team",
        "store": "config",
        "team": "config database_file ledger unix_time",
        "upstream": "config",
    },
}

# Arrows that close a circle. There is none, and none is to come: an entry that is not needed is a fault.
EXCEPTIONS = set()

NOISE = re.compile(
    r'//[^\n]*|/\*.*?\*/|\bb?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?\'(?:\\(?:x..|u\{.*?\}|.)|[^\\\'])\'', re.DOTALL
)
CFG_TEST = re.compile(r"#\s*\[\s*cfg\s*\((?![^\]]*\bnot\b)[^\]]*\btest\b[^\]]*\)\s*\]")
ATTRIBUTE = re.compile(r"\s*#\s*\[(?:[^\[\]]|\[[^\]]*\])*\]")
MODULE = re.compile(r"\bmod\s+(\w+)\s*;")
USE = re.compile(r"(\bpub(?:\s*\([^)]*\))?\s+)?\buse\s+([^;]+);")
PATH = re.compile(r"(?<![\w:.'])(?:r#)?[A-Za-z_]\w*(?:\s*::\s*[A-Za-z_]\w*)*")


def without_noise(text):
    """The code alone; line breaks stay, so that line numbers do."""
    return NOISE.sub(lambda found: " " + "\n" * found.group().count("\n"), text)


def end_of_item(code, start):
    """Where the item ends that starts there: behind its `;`, or behind the brackets of its body."""
    is_use = re.compile(r"\s*(?:pub(?:\s*\([^)]*\))?\s+)?use\b").match(code, start)
    depth = 0
    for position in range(start, len(code)):
        char = code[position]
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:
                return position
            if depth == 0 and char == "}" and not is_use:
                return position + 1
        elif depth == 0 and char in ";,":
            return position + 1
    return len(code)


def without_tests(code):
    """The code that the program is built of, and the names of the modules that only tests compile."""
    tests = set()
    while found := CFG_TEST.search(code):
        start = found.end()
        while attribute := ATTRIBUTE.match(code, start):
            start = attribute.end()
        end = end_of_item(code, start)
        tests.update(MODULE.findall(code[start:end]))
        code = code[: found.start()] + "\n" * code.count("\n", found.start(), end) + code[end:]
    return code, tests


def branches(tree):
    """The paths of a `use` declaration, each with the name that it gets here (`*` for all, None for `_`)."""
    tree = tree.strip()
    if "{" not in tree:
        path, _, alias = re.sub(r"\s+as\s+", " as ", tree).partition(" as ")
        path = [part.strip() for part in path.split("::") if part.strip()]
        if path and path[-1] == "self":
            path.pop()
        if path:
            yield path, None if alias.strip() == "_" else alias.strip() or path[-1]
        return
    head, rest = tree.split("{", 1)
    rest = rest[: rest.rindex("}")]
    depth, start, parts = 0, 0, []
    for position, char in enumerate(rest + ","):
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            parts.append(rest[start:position])
            start = position + 1
    for part in parts:
        if part.strip():
            yield from branches(head + part)


class Module:
    """A file, as a module of its crate."""

    def __init__(self, file, parent):
        self.file, self.parent, self.children = file, parent, {}
        self.names, self.globs, self.uses, self.paths = {}, [], [], []

    def read(self, root):
        """Reads the file and those of its modules."""
        code, _ = without_tests(without_noise((root / self.file).read_text(encoding="utf-8")))
        file = Path(self.file)
        beside = (
            file.parent if file.name in ("mod.rs", "lib.rs", "main.rs") or not self.parent else file.with_suffix("")
        )
        for name in MODULE.findall(code):
            for candidate in (beside / f"{name}.rs", beside / name / "mod.rs"):
                if (root / candidate).exists():
                    self.children[name] = Module(candidate.as_posix(), self)
                    self.children[name].read(root)
        rest = MODULE.sub(" ", USE.sub(" ", code))
        for public, tree in USE.findall(code):
            for path, name in branches(tree):
                # A re-export is an arrow only if the file uses the name itself.
                if not public or (name and re.search(rf"\b{name}\b", rest)):
                    self.uses.append(path)
                if path[-1] == "*":
                    self.globs.append(path[:-1])
                elif name:
                    self.names[name] = path
        self.paths = [re.split(r"\s*::\s*", found.group()) for found in PATH.finditer(rest) if "::" in found.group()]


class Crate:
    """The modules that are reached from one root file."""

    def __init__(self, root, file, library, library_name):
        self.top = Module(file, None)
        self.top.read(root)
        self.library, self.library_name = library, library_name

    def modules(self):
        waiting = [self.top]
        while waiting:
            module = waiting.pop()
            yield module
            waiting.extend(module.children.values())

    def resolve(self, module, path, seen=frozenset()):
        """The module that defines what a path names, and whether the path ends at the module itself."""
        here, is_first = module, True
        for position, name in enumerate(path):
            is_module = True
            if name == "crate":
                here = self.top
            elif name == "self":
                pass
            elif name == "super":
                here = here.parent or here
            elif name == self.library_name and is_first and self.library:
                return self.library.resolve(self.library.top, ["self", *path[1:]])
            elif name in here.children:
                here = here.children[name]
            elif name in here.names and (here, name) not in seen:
                target, is_module = self.resolve(here, here.names[name], seen | {(here, name)})
                if target is None or not is_module:
                    return target, False
                here = target
            elif is_first:
                return None, False
            else:
                return self.behind_globs(here, path[position], seen), False
            is_first = False
        return here, True

    def behind_globs(self, module, name, seen):
        """The module itself, unless a name comes into it by `pub use x::*`; that only re-exports can tell."""
        for path in module.globs:
            target, is_module = self.resolve(module, path)
            if target and is_module and target is not module and name in target.names and (target, name) not in seen:
                return self.resolve(target, [name], seen | {(target, name)})[0] or module
        return module

    def arrows(self):
        """Pairs of files: the first uses the second."""
        for module in self.modules():
            for path in module.uses + module.paths:
                if path[-1] == "*":
                    target, _ = self.resolve(module, path[:-1])
                else:
                    target, is_module = self.resolve(module, path)
                    # To name a module is nothing yet; the paths that begin with its name are.
                    if is_module:
                        continue
                if target and target.file != module.file:
                    yield module.file, target.file


def crates(root):
    """Every crate below the folder: each lib.rs, each main.rs, each file in src/bin/."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.rs"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    files = listed.stdout.split() if listed.returncode == 0 else []
    files = [Path(file) for file in files] or [file.relative_to(root) for file in sorted(root.rglob("*.rs"))]
    libraries = {}
    for file in files:
        if file.name == "lib.rs":
            manifest = root / file.parent.parent / "Cargo.toml"
            name = re.search(r'^name *= *"(.*)"', manifest.read_text(), re.M) if manifest.exists() else None
            libraries[file.parent] = (Crate(root, file.as_posix(), None, None), name and name[1].replace("-", "_"))
    yield from (crate for crate, _ in libraries.values())
    for file in files:
        folder = file.parent.parent if file.parent.name == "bin" else file.parent
        if file.name == "main.rs" or file.parent.name == "bin":
            yield Crate(root, file.as_posix(), *libraries.get(folder, (None, None)))


def room(file, folder):
    """Which part of a folder a file belongs to: `live` for live.rs and live/view.rs; the folder's own file is `mod`."""
    return Path(file).relative_to(folder).parts[0].removesuffix(".rs")


def folders(files):
    """Every folder that has files in it or below, with the arrows inside it."""
    found = set()
    for file in files:
        found.update(parent for parent in Path(file).parents if parent != Path("."))
    return sorted(found)


def inside(arrows, folder):
    """The arrows between the rooms of a folder: {(room, room): [(file, file)]}.

    live.rs and live/ are one room in their folder. In live/ the file beside it counts as its `mod`.
    """
    rooms = {}
    own = folder.as_posix() + ".rs"

    def of(file):
        if file == own:
            return "mod"
        return room(file, folder) if folder in Path(file).parents else None

    for pair in arrows:
        first, second = of(pair[0]), of(pair[1])
        if first and second and first != second:
            rooms.setdefault((first, second), []).append(pair)
    return rooms


def circles(edges):
    """The groups of rooms of which each reaches each other one."""
    reach = {}
    for first, second in edges:
        reach.setdefault(first, set()).add(second)

    def reached(start):
        seen, waiting = set(), [start]
        while waiting:
            for following in reach.get(waiting.pop(), ()):
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
        return seen

    all_reached = {name: reached(name) for name in reach}
    groups = {
        frozenset(other for other in seen if name in all_reached.get(other, ()))
        for name, seen in all_reached.items()
        if name in seen
    }
    return sorted(sorted(group) for group in groups)


def upward(edges, lines, only):
    """The edges that the order does not allow, with the reason."""
    level = {name: number for number, line in enumerate(lines) for name in line.split()}
    for first, second in sorted(edges):
        if first in only and second not in only[first].split():
            yield (first, second), f"may use only: {only[first] or 'nothing of this folder'}"
        elif first not in level or second not in level:
            missing = first if first not in level else second
            yield (first, second), f"{missing} is missing in the order of check_imports.py"
        elif level[first] <= level[second]:
            yield (first, second), "goes up" if level[first] < level[second] else "is on the same line"


def faults(levels, order, only, exceptions):
    """Circles and arrows that go up, each as a text with the pairs of files that make it.

    `levels` has the arrows inside each folder.
    """
    for folder, rooms in levels.items():
        edges = {edge for edge, pairs in rooms.items() if any(f"{a} -> {b}" not in exceptions for a, b in pairs)}
        for group in circles(edges):
            between = [pair for edge in edges if set(edge) <= set(group) for pair in rooms[edge]]
            yield f"{folder}/: a circle of {', '.join(group)}", sorted(between)
        if folder in order:
            for edge, reason in upward(edges, order[folder], only.get(folder, {})):
                yield f"{folder}/: {edge[0]} -> {edge[1]} {reason}", sorted(rooms[edge])


def check(arrows, order, only, exceptions):
    """The faults that no exception allows; where there are none, the exceptions that nothing needs."""
    levels = {
        folder.as_posix(): inside(arrows, folder) for folder in folders({file for pair in arrows for file in pair})
    }
    if found := list(faults(levels, order, only, exceptions)):
        return found
    idle = (entry for entry in sorted(exceptions) if not any(faults(levels, order, only, exceptions - {entry})))
    return [(f"{entry}: needs no exception any more; remove it from check_imports.py", []) for entry in idle]


def main(arguments):
    given = [argument for argument in arguments if not argument.startswith("--")]
    root = Path(given[0] if given else Path(__file__).parent.parent).resolve()
    arrows = {pair for crate in crates(root) for pair in crate.arrows()}
    if not arrows:
        print(f"no Rust file in {root} uses another one: is it the right folder?", file=sys.stderr)
        return 1
    if "--graph" in arguments:
        print("\n".join(f"{first} -> {second}" for first, second in sorted(arrows)))
        return 0
    tables = ({}, {}, set()) if given else (ORDER, ONLY, EXCEPTIONS)
    found = check(arrows, *tables)
    for text, between in found:
        print(text)
        for first, second in between:
            print(f"    {first} -> {second}")
    if found:
        return 1
    count = len(folders({file for pair in arrows for file in pair}))
    left = f", {len(tables[2])} exceptions left" if tables[2] else ""
    print(f"import rules hold: {len(arrows)} arrows in {count} folders{left}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
