"""Conditions on many ids."""

import pytest
from sqlalchemy import Connection, select

from heartbeat_central.storage import states, tables
from heartbeat_central.storage.among import among
from tests.support import rows


@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_those_among_the_ids_are_found_and_no_others(
    connection: Connection, project_id: int, most: int
) -> None:
    made = [rows.channel(connection, project_id) for _ in range(3)]
    wanted = [*made[:most], *made[:most], -1, 0, rows.LARGEST][: None if most else 0]
    column = tables.channels.c.id
    query = select(column).where(among(connection, column, iter(wanted))).order_by(column)
    assert connection.execute(query).scalars().all() == made[:most]
    others = select(column).where(~among(connection, column, wanted)).order_by(column)
    assert connection.execute(others).scalars().all() == made[most:]


def test_thousands_at_once_are_no_trouble(connection: Connection, project_id: int) -> None:
    made = rows.application(connection, project_id)
    assert set(states.load_many(connection, range(made, made + 30_000))) == {made}
