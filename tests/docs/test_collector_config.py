"""``collector-config/``: what no server here can run has only keys that its documentation has.

The others are run in tests/backends.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its stubs would be one package more
import pytest
import yaml  # type: ignore[import-untyped]  # its stubs would be one package more

CONFIG = Path(__file__).resolve().parents[2] / "collector-config"
SCHEMA = os.environ.get("AIOBS_COMPOSE_SCHEMA")  # read before the fixtures clear the environment
NOT_RUN = "# Not run by our tests"

CONTRIB = ("agent.contrib.yaml", "gateway.contrib.yaml")
CORE = ("collector.yaml", "agent.yaml", "gateway.yaml")

# Keys by component, as its page in opentelemetry-collector-contrib or opentelemetry-collector has them; a dot for each
# step down, * for any name. The file beside each is where they were read.

_TLS = "insecure insecure_skip_verify ca_file cert_file key_file"
_QUEUE = "enabled num_consumers queue_size storage"
_RETRY = "enabled initial_interval max_interval max_elapsed_time"


def below(parent: str, names: str) -> set[str]:
    """Keys one step down."""
    return {parent, *(f"{parent}.{name}" for name in names.split())}


_HELPER = {"timeout", *below("sending_queue", _QUEUE), *below("retry_on_failure", _RETRY)}
"""exporter/exporterhelper/README.md"""

_OTLP = {"endpoint", "compression", *below("tls", _TLS), *_HELPER}
"""exporter/otlpexporter/README.md"""

DOCUMENTED = {
    "receivers.otlp": {  # receiver/otlpreceiver/README.md, config/configgrpc/README.md
        "protocols",
        *below("protocols.grpc", "endpoint max_recv_msg_size_mib"),
        *below("protocols.http", "endpoint"),
    },
    "processors.memory_limiter": {  # processor/memorylimiterprocessor/README.md
        *("check_interval", "limit_mib", "spike_limit_mib", "limit_percentage", "spike_limit_percentage"),
    },
    "processors.batch": {"timeout", "send_batch_size", "send_batch_max_size"},  # processor/batchprocessor/README.md
    "processors.redaction": {  # processor/redactionprocessor/README.md
        *("allow_all_keys", "allowed_keys", "ignored_keys", "redact_all_types", "blocked_key_patterns"),
        *("blocked_values", "allowed_values", "hash_function", "summary"),
    },
    "processors.tail_sampling": {  # processor/tailsamplingprocessor/README.md
        *("decision_wait", "num_traces", "expected_new_traces_per_sec"),
        *below("decision_cache", "sampled_cache_size non_sampled_cache_size"),
        *below("policies", "name type"),
        *below("policies.status_code", "status_codes"),
        *below("policies.latency", "threshold_ms upper_threshold_ms"),
        *below("policies.numeric_attribute", "key min_value max_value"),
        *below("policies.probabilistic", "sampling_percentage"),
    },
    "exporters.loadbalancing": {  # exporter/loadbalancingexporter/README.md; the endpoint is the resolver's
        *("routing_key", "protocol", "resolver", "protocol.otlp"),
        *(f"protocol.otlp.{key}" for key in _OTLP - {"endpoint"}),
        *below("resolver.dns", "hostname port interval timeout"),
        *below("resolver.static", "hostnames"),
    },
    "exporters.clickhouse": {  # exporter/clickhouseexporter/README.md
        *("endpoint", "database", "username", "password", "ttl", "compress", "create_schema", "async_insert"),
        *("traces_table_name", "logs_table_name", "connection_params", "cluster_name"),
        *_HELPER,
    },
    "exporters.prometheus": {  # exporter/prometheusexporter/README.md
        *("endpoint", "namespace", "const_labels", "send_timestamps", "metric_expiration", "enable_open_metrics"),
        *("translation_strategy",),
    },
    "exporters.otlp": _OTLP,
    "exporters.otlphttp": _OTLP,
    "exporters.debug": {"verbosity"},  # exporter/debugexporter/README.md
    "extensions.file_storage": {  # extension/storage/filestorage/README.md
        *("directory", "timeout", "fsync", "create_directory"),
    },
}

VALUES = {
    "summary": {"debug", "info", "silent"},
    "routing_key": {"service", "traceID"},
    "translation_strategy": {"UnderscoreEscapingWithSuffixes"},
    "policies.type": {"status_code", "latency", "numeric_attribute", "probabilistic"},
}
"""Where only some texts are right."""


def loaded(name: str) -> Any:
    return yaml.safe_load((CONFIG / name).read_text("utf-8"))


def paths(found: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Each key with its path, and its value; lists are no step."""
    if isinstance(found, list):
        for item in found:
            yield from paths(item, before)
    if isinstance(found, dict):
        for key, value in found.items():
            path = f"{before}.{key}".removeprefix(".")
            yield path, value
            yield from paths(value, path)


def components(settings: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Kind, name and settings of each."""
    for kind in ("extensions", "receivers", "processors", "exporters"):
        for name, own in settings.get(kind, {}).items():
            yield kind, name, own


def findings(settings: dict[str, Any]) -> list[str]:
    """What is not documented, not used, or used and not there."""
    found, there, used = [], set(), set()
    for kind, name, own in components(settings):
        there.add((kind, name))
        known = DOCUMENTED[f"{kind}.{name.partition('/')[0]}"]
        for path, value in paths(own):
            if path not in known:
                found.append(f"{kind}.{name} has no {path}")
            elif isinstance(value, str) and value not in VALUES.get(path, {value}):
                found.append(f"{kind}.{name}: {path} cannot be {value}")
    service = settings["service"]
    used |= {("extensions", name) for name in service.get("extensions", ())}
    for pipeline in service["pipelines"].values():
        used |= {(kind, name) for kind, names in pipeline.items() for name in names}
    return [*found, *(f"{kind}.{name}: used or there, not both" for kind, name in sorted(used ^ there))]


@pytest.mark.parametrize("name", [*CORE, *CONTRIB])
def test_a_collectors_keys_are_documented(name: str) -> None:
    """Every key of every component, and every component is in a pipeline."""
    assert findings(loaded(name)) == []


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda s: s["processors"]["redaction"].update(blocked_patterns=[]), "processors.redaction has no blocked_patterns"),
        (lambda s: s["exporters"]["loadbalancing"].update(routing_key="trace"), "exporters.loadbalancing: routing_key cannot be trace"),
        (lambda s: s["service"].update(extensions=[]), "extensions.file_storage: used or there, not both"),
    ],
)  # fmt: skip
def test_a_mistake_is_found(change: Any, finding: str) -> None:
    """The check can fail: a key, a value, a component that nobody uses."""
    settings = loaded("agent.contrib.yaml")
    change(settings)
    assert findings(settings) == [finding]


@pytest.mark.parametrize("name", [*CONTRIB, "compose.yaml"])
def test_what_is_not_run_says_so_first(name: str) -> None:
    """In its first line; and nothing else says it."""
    assert (CONFIG / name).read_text("utf-8").startswith(NOT_RUN)


@pytest.mark.parametrize("name", CONTRIB)
def test_memory_first_batches_last(name: str) -> None:
    """The limiter sees everything before it is held, batches are made of what is left; traces are whole where they are chosen."""
    for signal, pipeline in loaded(name)["service"]["pipelines"].items():
        order = pipeline["processors"]
        assert (order[0], order[-1]) == ("memory_limiter", "batch")
        assert ("tail_sampling" in order) == (signal == "traces" and name.startswith("gateway"))


# The compose file

COMPOSE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "services": {
            "additionalProperties": {
                "type": "object",
                "required": ["image"],
                "additionalProperties": False,
                "properties": {
                    "image": {"type": "string", "pattern": r":v?\d+\.\d+\.\d+$"},
                    "command": {"type": "array", "items": {"type": "string"}},
                    "volumes": {"type": "array", "items": {"type": "string", "pattern": r"^\./[^:]+:/[^:]+:ro$"}},
                    "ports": {"type": "array", "items": {"type": "string", "pattern": r"^127\.0\.0\.1:\d+:\d+$"}},
                    "environment": {"type": "object", "additionalProperties": {"type": "string"}},
                    "depends_on": {"type": "array", "items": {"type": "string"}},
                },
            }
        }
    },
}
"""The keys in use, as the Compose specification has them, and our own rules: pinned images, ports of this machine only."""


def test_the_compose_file_is_one() -> None:
    """Keys and types; services that others wait for, and files that they are given, are there."""
    compose = loaded("compose.yaml")
    jsonschema.validate(compose, COMPOSE)
    services = compose["services"]
    assert {name for own in services.values() for name in own.get("depends_on", ())} <= services.keys()
    for volume in (volume for own in services.values() for volume in own.get("volumes", ())):
        assert (CONFIG / volume.partition(":")[0]).exists(), volume


@pytest.mark.skipif(not SCHEMA, reason="needs compose-spec.json of the Compose specification: set AIOBS_COMPOSE_SCHEMA")
def test_the_compose_file_is_one_by_its_schema() -> None:
    """The specification's own JSON Schema finds nothing wrong."""
    schema = json.loads(Path(str(SCHEMA)).read_text("utf-8"))
    jsonschema.Draft7Validator(schema).validate(loaded("compose.yaml"))


def test_the_dashboard_has_what_it_uses() -> None:
    """Data sources and variables; that its metrics are there, tests/backends asks a real Prometheus."""
    dashboard = json.loads((CONFIG / "dashboards" / "aiobs.json").read_text("utf-8"))
    sources = {source["uid"] for source in loaded("grafana-datasources.yaml")["datasources"]}
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} <= sources
    assert len({panel["title"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    used = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\$([a-z_]+)", target["expr"])
    }
    own = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert used - own == {"__rate_interval", "__range"}
