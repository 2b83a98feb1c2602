"""What a runtime is made of, for those who carry its verbs out."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from .clock import Clock
from .directory import Directory
from .entropy import Entropy
from .feed import Feed
from .handlers import Handlers
from .hooks import Deliveries, Keyring
from .orders import Orders
from .processes import Processes
from .reconciler import Sweeps
from .registry import Registry
from .scheduler import Signals, Tally
from .store.backend import Store
from .store.committer import Counts, Writer
from .waiters import Waiters


@attrs.frozen(kw_only=True, eq=False)
class Parts:
    """What a runtime is made of."""

    owner: str
    store: Store
    writer: Writer
    registry: Registry
    limit: int
    clock: Clock
    entropy: Entropy
    handlers: Handlers
    processes: Processes
    orders: Orders
    directory: Directory
    feed: Feed
    waiters: Waiters
    counts: Counts
    tally: Tally
    sweeps: Sweeps
    signals: Signals
    queue_turn: trio.Lock
    """Held while a queue is set."""

    look: Callable[[], None]
    """Have the scheduler look everywhere. Never waits."""

    keyring: Keyring
    deliveries: Deliveries
