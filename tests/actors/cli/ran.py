"""What a run of the command line has left behind."""

from __future__ import annotations

import json
from typing import Any

import attrs


@attrs.frozen
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """Its output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def cells(self) -> list[list[str]]:
        """Its output as plain lines."""
        return [line.split("\t") for line in self.out.splitlines()]
