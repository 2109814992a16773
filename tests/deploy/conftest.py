"""The chart, rendered by Helm itself."""

import pytest

from tests.support.chart import FULL_VALUES, Render, Rendered, render_chart


@pytest.fixture(scope="session")
def render() -> Render:
    """Render with these values; raises Refused."""
    return render_chart


@pytest.fixture(scope="session")
def default_chart() -> Rendered:
    return render_chart()


@pytest.fixture(scope="session")
def full_chart() -> Rendered:
    return render_chart(FULL_VALUES)
