"""The page in headless Chromium, opened from disk and served; where Node and Chromium are there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from initlab.web.server import page_server

ROOT = Path(__file__).resolve().parents[2]
NODE = shutil.which("node")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NUMBER = {"predicted": 1.0, "measured": 1.1}
ROW = {"path": "0", "f": "relu", "is_hidden": True, "signal": NUMBER, "gradient": NUMBER, "cosine": NUMBER}
PROFILE = {"model": "Sequential", "framework": "torch", "samples": 8, "rows": [ROW, {**ROW, "path": "2"}]}

pytestmark = pytest.mark.skipif(
    NODE is None or CHROMIUM is None or not (ROOT / "web" / "node_modules" / "initlab-stamp").exists(),
    reason="needs Node, Chromium and web/node_modules: apt install nodejs npm chromium, then ./dev test",
)


@pytest.mark.parametrize("everything", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_the_page_does_what_it_says(everything: bool) -> None:
    with page_server(profile=json.dumps({"profile": PROFILE}), port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = os.environ | {"CHROMIUM": str(CHROMIUM), "SERVED": server.address, "ALL": str(int(everything))}
        command = [str(NODE), "--test", "web/tests/page.test.mjs"]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=1200
        )
        server.shutdown()
    assert done.returncode == 0, done.stdout[-6000:]
