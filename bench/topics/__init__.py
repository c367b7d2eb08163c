"""What is measured: one module a topic, each with `measure(bench) -> Topic`."""
