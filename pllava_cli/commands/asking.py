"""Questions of the command line."""

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
