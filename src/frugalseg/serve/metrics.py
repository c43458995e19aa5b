"""Metrics for Prometheus, of one service: each has a registry of its own."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from frugalseg.serve.service import Service

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_PICTURES = (1, 2, 4, 8, 16, 32, 64)
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})


class Metrics:
    """What is counted while requests are answered."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "frugalseg_requests", "Requests that were answered.", ("route", "method", "status"),
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "frugalseg_request_seconds", "From the headers of a request to the end of its answer.",
            ("route",), buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._phases = Histogram(
            "frugalseg_phase_seconds", "Of one picture: queue, decode, infer, encode.",
            ("phase",), buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._pictures = Histogram(
            "frugalseg_batch_pictures", "Pictures or tensors of one request.",
            buckets=_PICTURES, registry=self.registry,
        )  # fmt: skip

    def watch(self, service: "Service") -> None:
        """Report the state of a service too: queue, workers, models."""
        self.registry.register(_State(service))

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request. Methods that nobody answers are one, since a client makes them up."""
        known = method if method in _METHODS else "other"
        self._requests.labels(route, known, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_phases(self, phases: Mapping[str, float]) -> None:
        """Count how long the phases of one picture took."""
        for phase, seconds in phases.items():
            self._phases.labels(phase).observe(seconds)

    def count_pictures(self, pictures: int) -> None:
        """Count how many pictures came with one request."""
        self._pictures.observe(pictures)

    def text(self) -> bytes:
        """Write everything as Prometheus reads it."""
        return generate_latest(self.registry)


class _State(Collector):
    """Read from the service when Prometheus asks."""

    def __init__(self, service: "Service") -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Yield gauges of the moment."""
        service = self._service
        gauges: list[tuple[str, str, Callable[[], float]]] = [
            ("queue_length", "Pictures that wait.", lambda: service.workers.waiting),
            ("queue_capacity", "Pictures that may wait.", lambda: service.workers.capacity),
            ("workers", "Engines side by side.", lambda: service.workers.count),
            ("workers_busy", "Engines that compute.", lambda: service.workers.busy),
            ("buffer_bytes", "Bytes of bodies that are held.", lambda: service.buffer.held),
        ]
        for name, text, read in gauges:
            yield GaugeMetricFamily(f"frugalseg_{name}", text, value=read())
        models = GaugeMetricFamily(
            "frugalseg_model", "Models that are served.", labels=("name", "version")
        )
        for model in service.shelf.models:
            models.add_metric((model.name, model.version), 1)
        yield models
        loads = CounterMetricFamily(
            "frugalseg_model_loads", "What became of folders that changed.", labels=("outcome",)
        )
        for outcome, count in service.shelf.outcomes.items():
            loads.add_metric((outcome,), count)
        yield loads

    def describe(self) -> Iterator[Metric]:
        """Name no metric beforehand."""
        return iter(())
