"""Whose words a run was asked in: the reference's are not this project's, and scores depend on them."""

from pllava_cli.evaluation.benchmarks import choices, vcgbench
from pllava_cli.evaluation.items import JUDGE_INSTRUCTIONS, OUR_WORDS, QUESTION_INSTRUCTION, Result
from pllava_cli.evaluation.scoring.verdicts import NO_JUDGE

_SYSTEM_TEXTS = {"mvbench": choices.SYSTEM, vcgbench.NAME: vcgbench.SYSTEM}


def differences(result: Result) -> list[str]:
    """Say which texts of a run are other words than the reference's, or may be."""
    return [*_question(result), *_judge(result)]


def _question(result: Result) -> list[str]:
    """What stands around each question."""
    system = result.settings.get("system text", "none")
    if result.benchmark in _SYSTEM_TEXTS:
        if system == _SYSTEM_TEXTS[result.benchmark]:
            return ["its system text is our own words, not the reference's"]
        return ["whether its system text is the reference's is not known"]
    found = [] if system == "none" else ["whether its system text is the reference's is not known"]
    if result.settings.get(QUESTION_INSTRUCTION, OUR_WORDS).startswith(OUR_WORDS):
        return [*found, "its instruction is our own words, not the reference's"]
    return [*found, "whether its instruction is the reference's is not known"]


def _judge(result: Result) -> list[str]:
    """What a judge was told, if there was one."""
    if not result.scoring.startswith("judge:") or result.scoring == NO_JUDGE:
        return []
    if not result.settings.get(JUDGE_INSTRUCTIONS, OUR_WORDS).startswith(OUR_WORDS):
        return ["whether the judge's texts are the reference's is not known"]
    found = ["the judge was asked in our own words, not in the reference's"]
    if result.benchmark == vcgbench.NAME:
        found.append(
            "of consistency it saw each answer beside its own question, the reference's beside the other's"
        )
    return found
