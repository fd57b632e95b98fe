"""What the tests of studies share: worker processes that find the trainers and models of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.study.tiny_study import ROOT


@pytest.fixture(scope="session", autouse=True)
def workers_import_the_tests() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        yield
