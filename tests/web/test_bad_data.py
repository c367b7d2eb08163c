"""What is stored of an application can't be used: the pages say so, and there it is put right."""

import pytest
from sqlalchemy import text

from tests.support.visitor import Visitor
from tests.web.conftest import ON_SQLITE, Site

pytestmark = ON_SQLITE


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ("expected_interval = NULL", "neither is stored"),
        ("expected_interval = 0", "must be between 1 and"),
        (
            "expected_interval = NULL, schedule_kind = 'lunar', schedule_expression = '<b>'",
            "'lunar' is unknown",
        ),
    ],
)
def test_it_is_shown_everywhere_and_repaired_in_its_form(
    site: Site, ada: Visitor, values: str, problem: str
) -> None:
    bad = site.watch("Garbled", age=9000)
    site.watch("Fine", age=60)
    with site.world.database.write() as connection:
        connection.execute(text(f"UPDATE applications SET {values} WHERE id = {bad.id}"))
    site.detect()
    listed = ada.get("/")
    assert listed.texts("a.name") == ["Garbled", "Fine"]
    (shown,) = listed.texts(".problem")
    assert problem in shown
    page = ada.get(f"/applications/{bad.id}")
    assert problem in page.texts("#problem")[0]
    form = ada.get(f"/applications/{bad.id}/edit")
    saved = ada.submit(
        form, "Save", {"kind": "interval", "interval": "2", "interval_unit": "hours"}
    )
    assert saved.texts("#problem") == []
    assert len(site.rings) == 1
    assert ada.get("/").texts(".problem") == []


def test_it_can_be_deleted(site: Site, ada: Visitor) -> None:
    bad = site.watch("Garbled")
    with site.world.database.write() as connection:
        connection.execute(text("UPDATE application_states SET status = 'odd'"))
    asked = ada.get(f"/applications/{bad.id}/delete")
    ada.submit(asked, "Delete application", {})
    assert ada.get("/").texts("a.name") == []


def test_a_heartbeat_of_an_unknown_kind_is_shown_as_such(site: Site, ada: Visitor) -> None:
    one = site.watch("Fine")
    site.world.beat(one, 5)
    with site.world.database.write() as connection:
        connection.execute(text("UPDATE heartbeats SET kind = 99, body = 'no bytes'"))
    assert ada.get(f"/applications/{one.id}").texts(".signal") == ["Unknown"]
