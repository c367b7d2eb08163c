"""What processes use of the machine, read from /proc: it stays right while others use the machine."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """Return `root` and all its descendants."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = _fields(stat)
        if fields:
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += parents.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """Return the processor time, in seconds, of `root` and its descendants, also those that ended."""
    total = 0
    for pid in tree(root):
        fields = _fields(Path(f"/proc/{pid}/stat"))
        # utime, stime, and the two of children that have ended and been waited for
        total += sum(map(int, fields[11:15])) if fields else 0
    return total / _TICKS


def memory_mib(root: int) -> float:
    """Return the memory of `root` and its descendants; shared pages count once (PSS)."""
    kib = 0
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 1024


def parent(pid: int) -> int:
    return int(_fields(Path(f"/proc/{pid}/stat"))[1])


def _fields(stat: Path) -> list[str]:
    """Return the fields after the name, which may hold spaces and parentheses; [] once it is gone."""
    try:
        return stat.read_text().rpartition(") ")[2].split()
    except OSError:
        return []
