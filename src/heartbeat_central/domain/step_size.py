"""How much one step of a long job may take on, so that each step stays short on any machine."""


class StepSize:
    """Adapts to how long the last step took. Not thread-safe: one job owns it."""

    def __init__(self, *, first: int, least: int, most: int) -> None:
        self.rows = first
        self._least = least
        self._most = most

    def took(self, seconds: float, *, of: float, rows: int) -> None:
        """Note that a step of `rows` took `seconds` `of` those it may take, and size the next one.

        It shrinks at once and at most doubles, for one fast step may have been luck. A step that was
        not full tells nothing of how fast a full one would be.
        """
        factor = min(of / max(seconds, 1e-9), 2.0)
        if factor < 1 or rows >= self.rows:
            self.rows = max(self._least, min(self._most, int(min(rows, self.rows) * factor)))
