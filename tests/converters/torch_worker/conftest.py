"""torch, for those tests that need it."""

from typing import Any

import pytest


@pytest.fixture
def torch() -> Any:
    """The package torch, which only `make test-all` installs."""
    return pytest.importorskip("torch")
