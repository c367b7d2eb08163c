"""A running service for what the documentation tells people to do."""

from collections.abc import Iterator

import pytest

from tests.support.service import Service
from tests.support.visitor import Visitor

EMAIL, PASSWORD = "ada@example.com", "correct horse battery"


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with Service(folder, ADMIN_EMAIL=EMAIL, ADMIN_PASSWORD=PASSWORD) as running:
        yield running


@pytest.fixture(scope="session")
def visitor(service: Service) -> Visitor:
    ada = Visitor(service.port)
    ada.submit(ada.get("/sign-in"), "Sign in", {"email": EMAIL, "password": PASSWORD})
    return ada
