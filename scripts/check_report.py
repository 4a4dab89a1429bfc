#!/usr/bin/env python3
"""Opens a page of `longvid report` in headless Chromium, on a desk (1100 pixels wide) and on a phone (360), and leaves
a screenshot of each. Fails when the page asks for anything from outside, runs a script, writes to the console, or is
wider than its window, what is folded included.

    longvid report RUN... -o report.html
    python3 scripts/check_report.py report.html FOLDER      # FOLDER/desk.png, FOLDER/phone.png; $CHROMIUM names the program
"""

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WIDTHS = {"desk": 1100, "phone": 360}
# Chromium's windows are at least this wide, hence the frame within.
MIN_WINDOW = 500
# Pictures longer than this are not made.
MAX_HEIGHT = 16000
# Whatever the page may not do is refused, and the refusal stands in the console.
NOTHING_FROM_OUTSIDE = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
)
WRAPPER = """<!DOCTYPE html><html><body style="margin:0;background:#888">
<iframe id="page" style="border:0;display:block;margin:0 auto;width:{width}px;height:{height}px" srcdoc="{page}"></iframe>
<script>
const frame = document.getElementById("page");
frame.onload = () => {{
  const root = frame.contentDocument.documentElement;
  const broken = [...root.querySelectorAll("img")].filter(image => image.naturalWidth === 0).length;
  const high = root.scrollHeight;
  const folds = root.querySelectorAll("details:not([open])");
  folds.forEach(fold => fold.open = true);
  document.body.dataset.measured = [root.scrollWidth, high, broken].join(" ");
  folds.forEach(fold => fold.open = false);
}};
</script></body></html>
"""


def chromium(page, folder, *options):
    """Runs Chromium on a file; what it printed, and the lines of the page's console."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        sys.exit("no Chromium: install one, or set CHROMIUM to the program")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
               f"--user-data-dir={folder}/profile", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, re.findall(r"CONSOLE[^\]]*\] (.*)", done.stderr)


def check(text, name, width, out):
    """The problems of the page at this width."""
    page = text.replace("<head>", "<head>" + NOTHING_FROM_OUTSIDE, 1)
    with tempfile.TemporaryDirectory() as folder:
        wrapper = Path(folder, "wrapper.html")

        def write(height):
            wrapper.write_text(WRAPPER.format(width=width, height=height, page=html.escape(page)))

        write(800)
        dom, console = chromium(wrapper, folder, "--dump-dom")
        measured = re.search(r'data-measured="(\d+) (\d+) (\d+)"', dom)
        if not measured:
            return [f"the page did not load: {console}"]
        wide, high, broken = map(int, measured.groups())
        write(min(high, MAX_HEIGHT))
        shot = Path(out, f"{name}.png").resolve()
        size = f"--window-size={max(width, MIN_WINDOW)},{min(high, MAX_HEIGHT)}"
        chromium(wrapper, folder, f"--screenshot={shot}", size)
    print(f"{name}: {wide} x {high} pixels in a window of {width}, {len(console)} lines in the console; {shot}")
    problems = [f"console: {line}" for line in console]
    problems += [f"the page is {wide} pixels wide"] if wide > width else []
    problems += [f"{broken} pictures do not show"] if broken else []
    return problems


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    text, out = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    problems = {name: check(text, name, width, out) for name, width in WIDTHS.items()}
    for name, found in problems.items():
        for problem in found:
            print(f"{name}: {problem}", file=sys.stderr)
    sys.exit(1 if any(problems.values()) else 0)


if __name__ == "__main__":
    main()
