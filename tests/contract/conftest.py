"""What the contract tests of the alert plugins share."""

from collections.abc import Iterator

import pytest

from heartbeat_central.alerts.base import Outbound, SmtpDefaults, TwilioDefaults
from heartbeat_central.alerts.http import HttpClient
from heartbeat_central.alerts.registry import Registry, build_registry
from heartbeat_central.alerts.sockets import tls_context
from tests.support.receivers.certificates import Certificates, make_certificates
from tests.support.receivers.http import HttpReceiver


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def registry() -> Registry:
    return build_registry([])


@pytest.fixture(scope="session")
def client(certificates: Certificates) -> Iterator[HttpClient]:
    """A client that may reach this machine and trusts the receivers' certificates."""
    made = HttpClient(allow_private=True, ssl_context=tls_context(ca_file=certificates.ca_file))
    yield made
    made.close()


@pytest.fixture(scope="session")
def outbound(client: HttpClient, certificates: Certificates) -> Outbound:
    return Outbound(
        http=client,
        operator_http=client,
        allow_private_targets=True,
        smtp=SmtpDefaults(),
        twilio=TwilioDefaults(),
        mail_tls=tls_context(ca_file=certificates.ca_file),
        timeout=5.0,
    )


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as running:
        yield running
