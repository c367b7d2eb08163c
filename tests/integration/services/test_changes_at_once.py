"""Two people change the same thing at the same moment, each another field of it."""

from contextlib import ExitStack
from dataclasses import replace

from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services.manage_applications import change_application
from heartbeat_central.services.manage_channels import change_channel
from heartbeat_central.storage import applications, channels, states
from tests.support.racing import waiting
from tests.support.world import BASE_URL, World, at


def test_neither_undoes_what_the_other_changed_of_an_application(world: World) -> None:
    one = world.application("Before", grace=10)

    def change() -> ApplicationView:
        return change_application(
            world.database,
            world.project_id,
            one.id,
            {"grace_period": 99},
            now=at(2),
            base_url=BASE_URL,
        )

    with ExitStack() as stack:
        with world.database.write() as connection:
            states.lock(connection, one.id)
            settings = applications.load(connection, one.id).settings
            applications.save_settings(
                connection, one.id, replace(settings, name="After"), now=at(1)
            )
            second = stack.enter_context(waiting(world.database, change))
        changed = second.result(10)
    assert (changed.name, changed.grace_period) == ("After", 99)
    assert world.look(one, 3) == changed


def test_neither_undoes_what_the_other_changed_of_a_channel(world: World) -> None:
    channel_id = world.webhook("http://127.0.0.1:9/", "Before")

    def change() -> tuple[str, bool]:
        changed = change_channel(
            world.database,
            world.project_id,
            channel_id,
            {"is_active": False},
            registry=world.registry,
            secret_box=world.secret_box,
            now=at(2),
        )
        return changed.name, changed.is_active

    with ExitStack() as stack:
        with world.database.write() as connection:
            found = channels.find(connection, world.project_id, channel_id, lock=True)
            channels.save(
                connection,
                channel_id,
                name="After",
                sealed_config=found.sealed_config,
                is_active=True,
                now=at(1),
            )
            second = stack.enter_context(waiting(world.database, change))
        assert second.result(10) == ("After", False)
