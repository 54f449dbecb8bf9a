"""Cases of a few operators, as probing has them."""

from collections.abc import Callable

import pytest

from edgekit_converters.probing.cases import Case, collect_cases
from edgekit_converters.probing.quantised_cases import quantise_cases


@pytest.fixture(scope="session")
def find_case() -> Callable[..., Case]:
    """The first case of an operator whose form has what is asked for."""

    def find(operator: str, **wanted: object) -> Case:
        floats = collect_cases([operator])
        cases = [*floats, *quantise_cases(floats)]
        asked = {"dtype": "float32", "constants": "none"} | wanted
        fitting = [case for case in cases if all(getattr(case.form, name) == value for name, value in asked.items())]
        # The newest version last: older ones are said in words that are not their own.
        return max(fitting, key=lambda case: case.form.since)

    return find
