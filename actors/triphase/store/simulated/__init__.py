"""A store in memory, whose crashes can be aimed at: simulations run on it, and `"memory:"`.

It shares nothing with the SQLite store but the interface, so that each can be held against
the other. A `Disk` is what survives; a `SimulatedStore` is one process's handle on it.

The parts, from the outside in: `store` has both, `transaction` applies operations to what
lies on the disk, and can take them back, `contents` is what lies there.
"""

from __future__ import annotations

from .store import Disk as Disk, SimulatedStore as SimulatedStore

__all__ = ["Disk", "SimulatedStore"]
