"""Pages and the API with many applications and a long history, beside the same with few."""

from bench import data, signed_in
from bench.load import Load, page
from bench.numbers import median, ms
from bench.report import Budget, Table, Topic
from bench.running import DIALECTS, Bench, service
from bench.scale import APPLICATIONS

FEW = 10
DASHBOARD = 0.3
"""Seconds."""


def measure(bench: Bench) -> Topic:
    rows = bench.scale.reading_history
    topic = Topic(
        "Reading",
        "One client asks for the same thing again and again, over one connection. *Few* is the same "
        f"service with {FEW} applications and {FEW} heartbeats, *many* with {APPLICATIONS:,} "
        f"applications, one of which has {rows:,} heartbeats.",
    )
    for dialect, words in DIALECTS.items():
        few = _pages(bench, dialect, FEW, FEW)
        many = _pages(bench, dialect, APPLICATIONS, rows)
        table = Table(words, ["", "few, p50", "many, p50", "many, p99"])
        for name, loads in many.items():
            table.rows.append(
                [
                    name,
                    ms(median(load.p50 for load in few[name])),
                    ms(median(load.p50 for load in loads)),
                    ms(median(load.p99 for load in loads)),
                ]
            )
        topic.tables.append(table)
        took = median(load.p50 for load in many["dashboard"])
        topic.budgets.append(
            Budget(
                f"dashboard page with {APPLICATIONS:,} applications, {words}",
                f"<= {ms(DASHBOARD)}",
                ms(took),
                took <= DASHBOARD,
            )
        )
    return topic


def _pages(bench: Bench, dialect: str, applications: int, history: int) -> dict[str, list[Load]]:
    with bench.empty_database(dialect) as url, bench.opened(url) as database:
        data.add_applications(database, data.migrated(database), applications)
        data.add_history(database, history, application=1)
        with service(url) as server:
            browser, program = signed_in.cookie(database), signed_in.bearer(database)
            places = {
                "dashboard": ("/", browser),
                "the application with the long history": ("/applications/1", browser),
                "API: 100 applications": ("/api/applications", program),
                "API: 1,000 applications": ("/api/applications?limit=1000", program),
                "API: 100 heartbeats of that application": (
                    "/api/applications/1/heartbeats",
                    program,
                ),
            }
            found = {}
            for name, (path, header) in places.items():
                page(server.url + path, seconds=1, header=header)
                found[name] = [
                    page(server.url + path, seconds=bench.scale.seconds, header=header)
                    for _ in range(bench.scale.rounds)
                ]
                if any(load.refused or not load.requests for load in found[name]):
                    raise RuntimeError(f"{path} was refused\n{server.log()[-2000:]}")
    return found
