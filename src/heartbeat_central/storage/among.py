"""`column IN (…)` for many ids, as one parameter."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, any_, func, literal, select

from heartbeat_central.storage.engine import Connection


def among(connection: Connection, column: ColumnElement[Any], ids: Iterable[int]) -> Any:
    """Return the condition that `column` is one of `ids`, for use on this connection only.

    With a parameter for each id, psycopg takes longer to read a statement for five hundred of them than
    PostgreSQL to carry it out, and every other number of ids is another statement to compile and to plan.
    """
    if connection.dialect.name == "postgresql":
        return column == any_(literal(list(ids), ARRAY(BigInteger)))
    each = func.json_each(json.dumps(list(ids))).table_valued("value")
    return column.in_(select(each.c.value))
