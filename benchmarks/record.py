"""Runs every benchmark in full and writes its tables into ``benchmarks/README.md``.

    python benchmarks/record.py                      # all of them, half an hour
    python benchmarks/record.py calls kept_users     # these alone

Exit code 1 when a goal is missed. ``plots.py`` is not among them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from reporting import machine, progress, versions

README = Path(__file__).with_name("README.md")
BLOCK = "<!-- {name} -->\n```\n{text}\n```\n"
"""What the README holds for each benchmark, for the machine, and for versions."""


def put(name: str, text: str) -> None:
    """Replace a block of the README."""
    begin, end = re.escape(BLOCK.format(name=name, text="\0")).split("\0")
    readme, found = re.subn(
        f"{begin}.*?{end}",
        lambda _: BLOCK.format(name=name, text=text),
        README.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    assert found == 1, f"README.md has no place for {name}"
    README.write_text(readme, encoding="utf-8")


def record(name: str) -> int:
    """Run a benchmark and keep what it prints, but for the line for programs."""
    done = subprocess.run(
        [sys.executable, README.with_name(f"{name}.py")],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    *lines, _ = done.stdout.rstrip().splitlines()
    put(name, "\n".join(lines))
    return done.returncode


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="of benchmarks; all if none is given")
    names = re.findall(r"<!-- (\w+) -->", README.read_text(encoding="utf-8"))
    known = [name for name in names if README.with_name(f"{name}.py").exists()]
    missed = 0
    chosen = parser.parse_args().names or known
    for number, name in enumerate(chosen):
        progress(f"{name}, {number + 1} of {len(chosen)} …")
        missed |= record(name)
    facts = [f"{package} {version}" for package, version in versions().items()]
    put("machine", machine() + "\n" + ", ".join(facts))
    return missed


if __name__ == "__main__":
    sys.exit(main())
