"""Questions of the command line."""

import os.path

from pllava_cli import configfile
from pllava_cli.errors import UsageError
from pllava_cli.prompts import check_text


def check_question(question: str) -> None:
    """Refuse what is no question.

    Raises:
        UsageError: It is empty, is no text, or holds what stands for the clip.
    """
    check_text(question, "the question")
    try:
        configfile.filled_text(question)
    except ValueError as error:
        raise UsageError(f"question: {error}", 'write it in quotes: "What happens?"') from None


def check_no_file(question: str) -> None:
    """Refuse the name of a file: of a second clip, as from a pattern of the shell, or of one that comes late.

    Raises:
        UsageError: It is one.
    """
    if os.path.isfile(question):  # noqa: PTH113 (Path raises where a question is too long for a name)
        raise UsageError(
            f"{question} is a file, and stands where a question is expected",
            "name one clip, then ask; about several: pllava batch CLIP... --ask QUESTION",
        )
