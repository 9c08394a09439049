"""Reading a judge's reply: any form, no guessing."""

import warnings

import pytest

from pllava_cli.evaluation.judging.replies import Meaning, read_reply

NOTHING = Meaning()


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('{"score": 4}', Meaning(4.0)),
        ("{'score': 4.8}", Meaning(4.8)),
        ('{"pred": "yes", "score": 5}', Meaning(5.0, "yes")),
        ("{'pred': 'no', 'score': 0}", Meaning(0.0, "no")),
        ('{"pred": "Yes ", "score": 4}', Meaning(4.0, "yes")),
        ('{"pred": "yes"}', Meaning(None, "yes")),
        ('```json\n{\n  "score": 3\n}\n```', Meaning(3.0)),
        ('My verdict: {"score": 2}. It lacks the dog.', Meaning(2.0)),
        ('{"score": 2, "reason": "it\'s a \\"cat\\""}', Meaning(2.0)),
        ('{"verdict": {"score": 1}}', Meaning(1.0)),
        ('{"score": 4} and once more {"score": 4}', Meaning(4.0)),
        ('{"a": 1} {"score": 4}', Meaning(4.0)),
        ('<think>{"score": 1}? No.</think>{"score": 5}', Meaning(5.0)),
        ('{"score": 4}\n<think>Or {"score": 2}?', Meaning(4.0)),
        ("{'score': 2, 'reason': 'it\\'s a \\\"cat\\\", twice\\n'}", Meaning(2.0)),
        # What may not be guessed
        ('{"score": 4, "score": 3}', NOTHING),
        ("{'score': 4, 'score': 3}", NOTHING),
        ("{'score', 4}", NOTHING),
        ("{**a, 'score': 4}", NOTHING),
        ('<think>{"score": 1}? Perhaps {"pred', NOTHING),
        ("", NOTHING),
        ("4", NOTHING),
        ("Score: 4", NOTHING),
        ('{"score": 4', NOTHING),
        ('{"score": "4"}', NOTHING),
        ('{"score": true}', NOTHING),
        ('{"score": null}', NOTHING),
        ('{"score": [4]}', NOTHING),
        ('{"score": 6}', NOTHING),
        ('{"score": -1}', NOTHING),
        ('{"score": NaN}', NOTHING),
        ('{"score": 1e999}', NOTHING),
        ('{"score": ' + "9" * 500 + "}", NOTHING),
        ('{"score": N}', NOTHING),
        ('{"score": 3} or rather {"score": 4}', NOTHING),
        ('{"pred": "yes", "score": 4} {"pred": "no", "score": 4}', NOTHING),
        ('{"score": 3} {"score": 9}', NOTHING),
        ('{"pred": "maybe", "score": 4}', Meaning(4.0)),
        ('{"pred": true, "score": 4}', Meaning(4.0)),
        ("{'score': __import__('os')}", NOTHING),
        ("{[]: 1, 'score': 4}", NOTHING),
        ("{'score': '\\d'}", NOTHING),
        ("{" * 100_000, NOTHING),
        ("{'a':" + "(" * 500 + "}", NOTHING),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_reply(text: str, meaning: Meaning) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_reply(text) == meaning
