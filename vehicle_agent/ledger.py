"""The agents' own account of what they sent, in files that are replaced whole: what the rest of the system is measured by.

`ledger.json`, about every second: totals, and per boot number how many vehicles and frames. `boots.json` beside it: per vehicle and boot
the seq range. Every seq from 0 to the last of a boot is one distinct frame, so frames = sum of (last_seq + 1). A file of an earlier
process is continued: counts go on, and the frames of the boot that was cut off are what the store knows of it.
"""

import os
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from fleetpulse.vehicle_agent.store import Boots

LEDGER, BOOTS, LABELS, VEHICLES = "ledger.json", "boots.json", "labels.jsonl", "vehicles.bin"


def write_atomically(file: Path, content: bytes) -> None:
    """A reader sees the old content or the new, never a part."""
    new = file.with_name(file.name + ".new")
    new.write_bytes(content)
    os.replace(new, file)


class Ledger:
    """The account of a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        before = _read(folder / LEDGER)
        self._garbage = int(before.get("garbage", 0))
        self._duplicates = int(before.get("duplicates", 0))
        self._dropped = int(before.get("dropped", 0))
        self._last_seq: dict[bytes, dict[int, int]] = {
            UUID(name).bytes: {int(boot): int(last) for boot, _, last in rows} for name, rows in _read(folder / BOOTS).items()
        }

    def note(self, boots: Boots) -> None:
        """The newest boot of each vehicle and the last seq in it, -1 for none."""
        for device, (boot, last) in boots.items():
            if last >= 0:
                self._last_seq.setdefault(device, {})[boot] = last

    def keep(self) -> None:
        """Replace `boots.json`. Before new boots begin: the store then knows no more how far the old ones came."""
        rows = {
            str(UUID(bytes=device)): [[boot, 0, last] for boot, last in sorted(boots.items())] for device, boots in self._last_seq.items()
        }
        write_atomically(self._folder / BOOTS, orjson.dumps(rows))

    def write(
        self, *, vehicles: int, garbage: int, duplicates: int, dropped: int, pending: int, final: bool, **more: float
    ) -> dict[str, Any]:
        """Replace both files. Counts are those of this process; `more` stands in ledger.json as it is."""
        by_boot: dict[int, list[int]] = {}
        for boots in self._last_seq.values():
            for boot, last in boots.items():
                row = by_boot.setdefault(boot, [0, 0])
                row[0] += 1
                row[1] += last + 1
        ledger = {
            "frames": sum(frames for _, frames in by_boot.values()),
            "garbage": self._garbage + garbage,
            "duplicates": self._duplicates + duplicates,
            "vehicles": vehicles,
            "pending": pending,
            "dropped": self._dropped + dropped,
            "boots": [{"boot_id": boot, "vehicles": row[0], "frames": row[1]} for boot, row in sorted(by_boot.items())],
            "final": final,
            **more,
        }
        self.keep()
        write_atomically(self._folder / LEDGER, orjson.dumps(ledger, option=orjson.OPT_INDENT_2))
        return ledger


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    return content
