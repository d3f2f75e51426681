"""Takes README's pictures of the panel, and records its terminal: pictures.py BINARIES; `make pictures`.

Both come from the real programs. The panel shows a week that examples/fill_log makes up, always the same one, at the
prices in force. The names of its upstreams are nobody's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "python"))

from cast import main as record_terminal  # noqa: E402
from lost_caches import lose_caches  # noqa: E402
from relay import Relay  # noqa: E402
from stack import Stack  # noqa: E402

IMAGES = ROOT / "docs" / "images"
ROWS, DAYS = 9_000, 7
KEY = "key-of-the-pictures"
# Slow enough to be under way while pictures are taken.
PACE_S = 30
UNDER_WAY = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-sonnet-5-5")


def ask(gateway: str, model: str) -> None:
    """A request that nobody waits for."""
    body = {"model": model, "max_tokens": 64, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-made-up", "User-Agent": "claude-cli/2.1.332 (external, cli)"}
    request = urllib.request.Request(f"{gateway}/v1/messages", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request) as answer:
            answer.read()
    except (OSError, HTTPException):
        pass  # the gateway has ended


def panel(binaries: Path) -> None:
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="anyrouter-gateway-pictures-")))
        relay = cleanup.enter_context(Relay("Hello.", PACE_S))
        stack = Stack(binaries, folder, cleanup)
        log, config = folder / "past.db", folder / "gateway.yaml"
        subprocess.run([binaries / "examples" / "fill_log", log, str(ROWS), str(DAYS)], check=True)
        lose_caches(log)
        config.write_text(f"gateway:\n  upstreams:\n    - {{name: harbour, base_url: {relay}}}\n    - {{name: lantern, base_url: {relay}}}\n")
        gateway = stack.gateway("pictures", relay, config, API_BASE_URL="", DASHBOARD_API_KEY=KEY, GATEWAY_DB=str(log))
        stack.command("pictures", "recost", "--from", "2026-01-01")
        for model in UNDER_WAY:
            threading.Thread(target=ask, args=(gateway, model), daemon=True).start()
        env = os.environ | {"PANEL_URL": gateway, "PANEL_KEY": KEY}
        subprocess.run(["node", HERE / "panel" / "pictures.mjs", IMAGES], env=env, check=True)


if __name__ == "__main__":
    panel(Path(sys.argv[1]).resolve())
    record_terminal()
