"""Builds the three programs, and says how they are started."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
BUILD = HERE / "build"
GO_PROGRAM = BUILD / "go-peer"
OLDEST_NODE = 20
TOOLS = {"go": "Go", "cargo": "Rust", "node": "Node.js", "npm": "npm"}


def missing_tool():
    """What keeps the programs from being built, or None."""
    for tool, language in TOOLS.items():
        if not shutil.which(tool):
            return f"the interop tests need {language}: `{tool}` is not on the PATH"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    if int(re.match(r"v(\d+)", version)[1]) < OLDEST_NODE:
        return f"the interop tests need Node.js {OLDEST_NODE} or newer, this is {version.strip()}"
    return None


def run_quietly(name, folder, argv):
    """Shows what a build printed when it fails only."""
    started = time.monotonic()
    done = subprocess.run(argv, cwd=HERE / folder, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(argv)} in {folder} failed:\n{done.stdout}")
    print(f"built {name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def has_js_packages():
    installed = HERE / "js" / "node_modules" / ".package-lock.json"
    wanted = HERE / "js" / "package-lock.json"
    return installed.exists() and installed.stat().st_mtime >= wanted.stat().st_mtime


def build():
    run_quietly("go", "go", ["go", "build", "-o", str(GO_PROGRAM), "."])
    run_quietly("rust", "rust", ["cargo", "build", "--locked", "--quiet",
                                  "--target-dir", str(BUILD / "rust")])
    if not has_js_packages():
        run_quietly("js", "js", ["npm", "ci", "--no-audit", "--no-fund"])


def peers():
    """How each kind of peer is started."""
    return {"go": [str(GO_PROGRAM)],
            "rust": [str(BUILD / "rust" / "debug" / "interop")],
            "js": ["node", str(HERE / "js" / "main.js")]}
