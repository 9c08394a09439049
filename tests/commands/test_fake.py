"""The fake engine has the real one's signatures, so that what the commands are tested with holds."""

import dataclasses
import inspect

import pytest

from tests.commands import fake


def names(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_fake_has_the_engine_s_signatures() -> None:
    engine = pytest.importorskip("pllava_cli.engine", reason="the engine's libraries are not installed")
    captioner = fake.make_captioner(fake.Script())
    for method in ("__init__", "encode", "stream"):
        assert names(getattr(captioner, method)) == names(getattr(engine.Captioner, method))


def test_fake_has_the_engine_s_fields() -> None:
    engine = pytest.importorskip("pllava_cli.engine", reason="the engine's libraries are not installed")
    for ours, theirs in ((fake.Answer, engine.Answer), (fake.Decoding, engine.Decoding)):
        assert [each.name for each in dataclasses.fields(ours)] == [
            each.name for each in dataclasses.fields(theirs)
        ]
    assert fake.Decoding() == fake.Decoding(**dataclasses.asdict(engine.Decoding()))
