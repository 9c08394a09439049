"""The picture at the top of README, `python -m recipes.picture docs/terminal.svg`.

It is drawn from what the tool really writes, so that README promises nothing that it does not do.
"""

import argparse
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COMMANDS = (
    "pllava caption examples/*.mp4 --model tiny",
    'pllava ask examples/red-circle.mp4 "Which way does the red circle move?" --model tiny',
)
WIDTH = 100
ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run the commands in a terminal's stead and draw what they wrote."""
    parser = argparse.ArgumentParser(description="Draw the picture at the top of README.")
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    for command in COMMANDS:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        console.print(Text(run(command)))
    # Without the fonts that a viewer would fetch from a server: it takes its own.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="pllava"), flags=re.DOTALL)
    out.write_text(svg, encoding="utf-8")


def run(command: str) -> str:
    """What a command prints, data and messages in the order in which they come."""
    words = shlex.split(command)[1:]
    expanded = [str(path) for word in words for path in (sorted(ROOT.glob(word)) if "*" in word else [word])]
    shown = [path.replace(f"{ROOT}/", "") for path in expanded]
    done = subprocess.run(
        [sys.executable, "-m", "pllava_cli", *shown],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return done.stdout


if __name__ == "__main__":
    main()
