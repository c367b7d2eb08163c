"""Reads what Prometheus reads."""

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: bytes) -> Samples:
    """Return the value of every series, by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(text: bytes, name: str, **labels: str) -> float:
    """Return the value of one series. Raises KeyError when there is none; `name` is without prefix."""
    return samples(text)[f"heartbeat_central_{name}", frozenset(labels.items())]
