"""What is wrong with the settings."""

from collections.abc import Iterable
from dataclasses import dataclass

from heartbeat_central.domain.errors import HeartbeatCentralError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the settings."""

    variable: str
    """Name of the variable, or of the file, that is wrong."""
    sentence: str
    """What is wrong and how to mend it; names the variable."""


class SettingsError(HeartbeatCentralError):
    """The settings can't be used; its text is one sentence a problem, each naming the remedy."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.sentence for problem in self.problems))

    @classmethod
    def one(cls, variable: str, sentence: str) -> "SettingsError":
        """Return the error for a single problem."""
        return cls([Problem(variable, sentence)])


def reason_of(error: Exception) -> str:
    """Return why a file could not be used, in a few words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else type(error).__name__
