from collections.abc import Iterator

import pytest

from tests.models.api.server import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found
