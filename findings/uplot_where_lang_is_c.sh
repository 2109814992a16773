#!/usr/bin/env bash
# uPlot 1.6.32 does not load in Chromium 153 where LANG is C, C.UTF-8 or not set.
#
# Chromium then calls its language `en-US@posix`, which is no language tag (BCP 47). Intl itself knows
# better (`new Intl.NumberFormat()` is `en-US`), but uPlot asks it for `navigator.language` while it loads:
# RangeError, and `window.uPlot` stays undefined. Containers set no LANG, so that pages which are rendered
# there, for reports or tests, lack their plots, and no plot's own code is to blame.
#
# Needs bash, Python 3.11, npm, and Linux on x86_64. Last seen: 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check playwright==1.65.2 brotli==1.2.1
npm pack --silent uplot@1.6.32 @sparticuz/chromium@153.0.0 >/dev/null
mkdir uplot && tar xzf uplot-1.6.32.tgz -C uplot
tar xzf sparticuz-chromium-153.0.0.tgz

cat >page.html <<'HTML'
<script src="uplot/package/dist/uPlot.iife.min.js"></script>
<script>
  document.title = [navigator.language, new Intl.NumberFormat().resolvedOptions().locale, typeof uPlot].join(" ");
</script>
HTML

cat >see.py <<'PYTHON'
import io
import os
import sys
import tarfile
from pathlib import Path

import brotli
from playwright.sync_api import sync_playwright

for name in ("chromium", "al2023.tar", "swiftshader.tar", "fonts.tar"):
    data = brotli.decompress(Path("package/bin", f"{name}.br").read_bytes())
    if name == "chromium":
        Path("chromium").write_bytes(data)
        Path("chromium").chmod(0o755)
    else:
        tarfile.open(fileobj=io.BytesIO(data)).extractall(".", filter="data")

seen = {}
others = {name: value for name, value in os.environ.items() if name not in ("LANG", "LANGUAGE", "LC_ALL")}
with sync_playwright() as playwright:
    for lang in (None, "C", "C.UTF-8", "en_US.UTF-8"):
        environment = {**others, "LD_LIBRARY_PATH": str(Path("lib").resolve())}
        environment |= {} if lang is None else {"LANG": lang}
        browser = playwright.chromium.launch(
            executable_path="./chromium", env=environment, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(Path("page.html").resolve().as_uri())
        seen[lang] = page.title()
        print(f"LANG={lang}: navigator.language, Intl's locale, typeof uPlot: {seen[lang]}")
        browser.close()

broken = "en-US@posix en-US undefined"
sys.exit(seen != {None: broken, "C": broken, "C.UTF-8": broken, "en_US.UTF-8": "en-US en-US function"})
PYTHON
venv/bin/python see.py
