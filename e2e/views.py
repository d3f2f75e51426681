"""Looks at every view of the panel in every look: views.py BINARIES; `make panel-views`.

A gateway with a month of made-up requests, some that are under way, upstreams with keys and lines, and rules. PANEL_PAGES
chooses some of the views. The last line of what is said has the number of pictures, which are in target/panel-screenshots.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "python"))

from lost_caches import lose_caches  # noqa: E402
from pictures import KEY, PACE_S, UNDER_WAY, ask  # noqa: E402
from relay import Relay  # noqa: E402
from stack import Stack  # noqa: E402

ROWS, DAYS = 20_000, 30
PAUSE_S = 2


def config(relay: str) -> str:
    line = relay.replace("http://127.0.0.1", "localhost")
    return f"""gateway:
  log: {{capture: all}}
  upstreams:
    - {{name: harbour, base_url: {relay}, profile: anyrouter}}
    - {{name: lantern, base_url: {relay}, priority: 1, lines: ["{line}"]}}
    - {{name: relay-in-singapore-with-a-long-name, base_url: {relay}, priority: 2, api_keys: [{{key: sk-own-1, name: first}}, {{key: sk-own-2}}]}}
    - {{name: gone, base_url: "http://127.0.0.1:9", priority: 3}}
  routes: [{{keys: sk-of-a-team, upstreams: [relay-in-singapore-with-a-long-name]}}]
  rules:
    - name: mark
      match: {{path: "*/messages"}}
      headers: {{set: {{x-panel: "yes"}}}}
    - name: newest-opus
      match: {{path: "*/messages", model: "claude-opus*"}}
      body: {{set: {{/model: claude-opus-5-5}}}}
"""


def keep_asking(gateway: str, model: str) -> None:
    while True:
        ask(gateway, model)
        time.sleep(PAUSE_S)


def main(binaries: Path) -> int:
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="anyrouter-gateway-views-")))
        relay = cleanup.enter_context(Relay("Hello.", PACE_S))
        stack = Stack(binaries, folder, cleanup)
        log, file = folder / "past.db", folder / "gateway.yaml"
        subprocess.run([binaries / "examples" / "fill_log", log, str(ROWS), str(DAYS)], check=True)
        lose_caches(log)
        file.write_text(config(relay))
        file.chmod(0o600)
        gateway = stack.gateway("views", relay, file, API_BASE_URL="", DASHBOARD_API_KEY=KEY, GATEWAY_DB=str(log))
        stack.command("views", "recost", "--from", "2026-01-01")
        for model in UNDER_WAY:
            threading.Thread(target=keep_asking, args=(gateway, model), daemon=True).start()
        env = os.environ | {"PANEL_URL": gateway, "PANEL_KEY": KEY, "PANEL_LOOKS": "all"}
        return subprocess.run(["node", "--test", "panel/pages.test.mjs"], cwd=HERE, env=env).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
