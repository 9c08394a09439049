"""Fixtures that tests of the benchmarks share."""

from pathlib import Path

import pytest

from tests.evaluation import miniature


@pytest.fixture(scope="session")
def miniature_mvbench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MVBench in miniature, two questions a task. Nothing of it may be changed by a test."""
    return miniature.mvbench(tmp_path_factory.mktemp("mvbench"))
