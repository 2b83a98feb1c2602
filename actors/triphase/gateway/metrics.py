"""Figures for Prometheus, taken from the runtime and the gateway when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from triphase.runtime import RuntimeStatistics

from .counts import Counts
from .exchanges import Refusal, Response

if TYPE_CHECKING:
    from .gateway import Gateway
    from .statistics import GatewayStatistics

MISSING: Final = "metrics need the package prometheus-client: install triphase[metrics]"


@attrs.frozen
class Moment:
    """All that is looked at, at one moment."""

    runtime: RuntimeStatistics
    gateway: GatewayStatistics
    door: Counts


@attrs.frozen
class Figure:
    """One of the values."""

    name: str
    words: str
    value: Callable[[Moment], float | Mapping[str, int] | None]
    """The value at a moment; by the label, if there is one; None if there is none yet."""

    counts: bool = False
    """It only grows."""

    label: str | None = None


FIGURES: Final = (
    # The runtime.
    Figure("jobs_active", "Jobs that are run now.", lambda m: m.runtime.active),
    Figure("waiting", "Tasks that wait for a job to end.", lambda m: m.runtime.waiting),
    Figure("handlers_running", "Handlers that run.", lambda m: m.runtime.handlers.running),
    Figure(
        "handlers_abandoned",
        "Handlers that run although nobody waits for them.",
        lambda m: m.runtime.handlers.abandoned,
    ),
    Figure(
        "handlers_given_up",
        "Handlers that were ever abandoned.",
        lambda m: m.runtime.handlers.abandoned_ever,
        counts=True,
    ),
    Figure("processes_alive", "Worker processes.", lambda m: m.runtime.processes.alive),
    Figure("processes_idle", "Worker processes without work.", lambda m: m.runtime.processes.idle),
    Figure(
        "processes_started",
        "Worker processes that were started.",
        lambda m: m.runtime.processes.started,
        counts=True,
    ),
    Figure(
        "processes_killed",
        "Worker processes that were killed.",
        lambda m: m.runtime.processes.killed,
        counts=True,
    ),
    Figure(
        "processes_died",
        "Worker processes that died by themselves.",
        lambda m: m.runtime.processes.died,
        counts=True,
    ),
    Figure(
        "store_transactions",
        "Transactions that were committed.",
        lambda m: m.runtime.committer.transactions,
        counts=True,
    ),
    Figure(
        "store_operations",
        "Operations that were committed, several in a transaction.",
        lambda m: m.runtime.committer.operations,
        counts=True,
    ),
    Figure(
        "scheduler_passes",
        "Times that the scheduler looked for jobs to start.",
        lambda m: m.runtime.scheduler.passes,
        counts=True,
    ),
    Figure(
        "scheduler_started",
        "Jobs that the scheduler started.",
        lambda m: m.runtime.scheduler.started,
        counts=True,
    ),
    Figure(
        "scheduler_refused",
        "Claims that the store refused, because somebody else was first.",
        lambda m: m.runtime.scheduler.refused,
        counts=True,
    ),
    Figure(
        "reconciler_sweeps",
        "Sweeps of the reconciler.",
        lambda m: m.runtime.reconciler.sweeps,
        counts=True,
    ),
    Figure(
        "reconciler_last_sweep_timestamp_seconds",
        "When the last sweep was.",
        lambda m: m.runtime.reconciler.last_sweep_at,
    ),
    Figure(
        "reconciler_failed",
        "Sweeps, or parts of them, that failed.",
        lambda m: m.runtime.reconciler.failed,
        counts=True,
    ),
    Figure(
        "hooks_sending",
        "Deliveries of webhooks that are being tried.",
        lambda m: m.runtime.hooks.sending,
    ),
    Figure(
        "hooks_resting",
        "URLs that are left alone for a while, since nothing succeeded there.",
        lambda m: m.runtime.hooks.resting,
    ),
    Figure(
        "hooks_delivered",
        "Tries of a delivery that a receiver accepted.",
        lambda m: m.runtime.hooks.delivered,
        counts=True,
    ),
    Figure(
        "hooks_failed",
        "Tries of a delivery that failed, and another follows.",
        lambda m: m.runtime.hooks.failed,
        counts=True,
    ),
    Figure(
        "hooks_dead",
        "Deliveries that were given up.",
        lambda m: m.runtime.hooks.dead,
        counts=True,
    ),
    Figure("log_head", "The seq of the last event.", lambda m: m.runtime.feed.last_seq),
    Figure("ring_events", "Events that are kept in memory.", lambda m: m.runtime.feed.kept),
    # The gateway.
    Figure("sockets", "WebSockets that are open.", lambda m: m.gateway.connections),
    Figure("subscriptions", "Topics that they follow.", lambda m: m.gateway.subscriptions),
    Figure("waits", "Jobs that they wait for.", lambda m: m.gateway.waits),
    Figure(
        "subscriber_lag_max_events",
        "How far the last subscriber is behind.",
        lambda m: m.gateway.lag_max,
    ),
    Figure(
        "subscriptions_catching_up",
        "Topics of which not every event was sent yet.",
        lambda m: m.gateway.catching_up,
    ),
    Figure(
        "subscribers_lagged",
        "How often a subscriber was too slow for the ring, and read on from the log.",
        lambda m: m.gateway.lagged,
        counts=True,
    ),
    Figure("batches", "Messages that the fan-out made.", lambda m: m.gateway.batches, counts=True),
    Figure(
        "deliveries",
        "Events that were sent to subscribers.",
        lambda m: m.gateway.deliveries,
        counts=True,
    ),
    Figure(
        "delivered_bytes",
        "Bytes of the messages that they were in.",
        lambda m: m.gateway.bytes,
        counts=True,
    ),
    # The front door.
    Figure("connections", "Connections of every kind.", lambda m: m.door.connections),
    Figure("event_streams", "Streams of events over HTTP.", lambda m: m.door.streams),
    Figure("handshakes", "WebSockets that are about to open.", lambda m: m.door.handshakes),
    Figure("sockets_opened", "WebSockets ever opened.", lambda m: m.door.opened, counts=True),
    Figure(
        "sockets_refused",
        "WebSockets that were refused, by the error's code.",
        lambda m: m.door.refused,
        counts=True,
        label="code",
    ),
    Figure(
        "http_answers",
        "Answers to HTTP requests, by status.",
        lambda m: m.door.answers,
        counts=True,
        label="status",
    ),
    Figure(
        "failures",
        "Mistakes of the server, which its log tells of.",
        lambda m: m.door.failures,
        counts=True,
    ),
)


class Metrics:
    """See the module's text.

    Args:
      gateway: whose.
      counts: what its front door counts.
    """

    def __init__(self, gateway: Gateway, counts: Counts) -> None:
        self._gateway = gateway
        self._counts = counts

    def response(self, accept: str) -> Response:
        """Return the response to a scrape.

        Args:
          accept: which formats the client takes, as its header says.

        Raises:
          Refusal: if the package that writes it is not installed.
        """
        try:
            from prometheus_client import CollectorRegistry, exposition
        except ImportError as exc:
            raise Refusal(501, "unsupported", MISSING) from exc
        # One of its own: the process's belongs to the application, and may hold another gateway.
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(self.moment))
        encoder, content_type = exposition.choose_encoder(accept)
        headers = (("content-type", content_type), ("cache-control", "no-store"))
        return Response(status=200, headers=headers, body=encoder(registry))

    def moment(self) -> Moment:
        """Return what there is to be told, as it is now."""
        runtime = self._gateway.host.runtime.statistics()
        return Moment(runtime, self._gateway.statistics(), self._counts)


class _Collector:
    def __init__(self, moment: Callable[[], Moment]) -> None:
        self._moment = moment

    def describe(self) -> Iterator[Any]:
        """Nothing: the registry would else collect as it is registered."""
        return iter(())

    def collect(self) -> Iterator[Any]:
        """Return the families, with their values now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        moment = self._moment()
        for figure in FIGURES:
            value = figure.value(moment)
            if value is None:
                continue
            kind = CounterMetricFamily if figure.counts else GaugeMetricFamily
            labels = [] if figure.label is None else [figure.label]
            family = kind(f"triphase_{figure.name}", figure.words, labels=labels)
            for name, number in value.items() if isinstance(value, Mapping) else [("", value)]:
                family.add_metric([name] if labels else [], number)
            yield family
