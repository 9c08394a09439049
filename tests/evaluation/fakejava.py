"""A library's folder with empty programs, and something that passes for Java."""

from pathlib import Path

import pytest

from pllava_cli.evaluation.scoring import java

TOKENISE = "tr '[:upper:]' '[:lower:]' | sed 's/[.]/ ./g'"
METEOR = """
while read -r verb rest; do
    case $verb in
        SCORE) echo 1.0 2.0; scored="$scored 0.25";;
        EVAL) for each in $scored 0.5; do echo "$each"; done;;
    esac
done
"""


def put(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str | None) -> Path:
    """Let the library's programs be there, and Java be a script; None: there is none.

    Returns the file into which the script's arguments are written.
    """
    for jar in (java.TOKENIZER_JAR, java.METEOR_JAR):
        file = tmp_path / "library" / java.LIBRARY / jar
        file.parent.mkdir(parents=True)
        file.touch()
    monkeypatch.setattr(java, "library_folder", lambda: tmp_path / "library" / java.LIBRARY)
    home, arguments = tmp_path / "java", tmp_path / "arguments"
    (home / "bin").mkdir(parents=True)
    if script is not None:
        program = home / "bin" / "java"
        program.write_text(f'#!/bin/sh\necho "$@" > "{arguments}"\n{script}\n')
        program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(home))
    if script is None:
        monkeypatch.setenv("PATH", str(tmp_path))
    return arguments
