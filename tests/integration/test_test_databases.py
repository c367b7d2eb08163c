"""The databases that the other tests rely on are real, empty and their own."""

import psycopg
import pytest

from tests.support import postgres


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_postgres_database_is_fresh_for_each_test(postgres_url: str, attempt: int) -> None:
    with psycopg.connect(postgres_url) as connection:
        # Fails the second time if both attempts shared a database.
        connection.execute("CREATE TABLE once (attempt int)")


def test_postgres_commits_before_it_answers_and_takes_many_connections(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        [(most,)] = connection.execute("SHOW max_connections").fetchall()
        assert int(most) >= 100
        assert connection.execute("SELECT lower('É')").fetchone() == ("é",)


def test_a_template_is_prepared_once(postgres_server: str) -> None:
    prepared: list[str] = []

    def prepare(url: str) -> None:
        prepared.append(url)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE filled (n int)")

    for _ in range(2):
        template = postgres.template_database("test_of_templates", prepare)
        with (
            postgres.fresh_database(template) as url,
            psycopg.connect(url) as connection,
        ):
            assert connection.execute("SELECT count(*) FROM filled").fetchone() == (0,)
    assert len(prepared) == 1


def test_both_databases_are_offered(database_url: str) -> None:
    assert database_url.split(":")[0] in {"sqlite", "postgresql"}
