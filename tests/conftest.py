"""What all tests share: where a skip is not allowed, it is a failure."""

import os
from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, pytest.TestReport]:
    """With EDGEKIT_NO_SKIPS set, as in continuous integration, a test that cannot run here fails with its reason."""
    report: pytest.TestReport = yield
    if report.skipped and os.environ.get("EDGEKIT_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where no skip is allowed: {report.longrepr}"
    return report
