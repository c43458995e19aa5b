"""What ships to run the service elsewhere, linted where there are linters, and started."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
KUBERNETES = "1.30"  # the first with a pause before the end as a number of seconds

Serve = Callable[..., Any]


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))


def entrypoint() -> list[str]:
    found = re.search(r"^ENTRYPOINT (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)
    assert found
    return list(json.loads(found[1]))


def test_the_container_starts_with_a_command_that_works(golden: Path) -> None:
    program, *arguments = entrypoint()
    assert program.endswith("/bin/frugalseg")
    arguments[arguments.index("--port") + 1] = "0"
    command = [sys.executable, "-m", "frugalseg", *arguments, str(golden)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True) as service:
        assert service.stdout is not None
        port = int(service.stdout.readline().rpartition(":")[2])
        for path in ("live", "ready"):
            address = f"http://127.0.0.1:{port}/v2/health/{path}"
            with urllib.request.urlopen(address, timeout=20) as answer:
                assert answer.status == 200
        service.terminate()
    assert service.returncode == 0


def test_the_container_holds_what_the_service_needs_and_no_torch() -> None:
    stages = DOCKERFILE.read_text(encoding="utf-8").split("\nFROM ")
    assert len(stages) == 3
    assert "'.[serve]'" in stages[1]
    assert "torch" not in "".join(stages[1:])
    user = re.search(r"^USER (\d+)", stages[2], re.MULTILINE)
    assert user is not None
    assert int(user[1]) > 0
    assert "HEALTHCHECK" in stages[2]


def test_hadolint_finds_no_fault() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.is_file() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_kubernetes_takes_the_manifest() -> None:
    kubernetes = pytest.importorskip("kubernetes_validate")
    for manifest in manifests():
        kubernetes.validate(manifest, KUBERNETES, strict=True)


def test_the_pod_may_write_nothing_and_waits_longer_than_the_service_does() -> None:
    by_kind = {manifest["kind"]: manifest for manifest in manifests()}
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["securityContext"]["runAsNonRoot"] is True
    settings = yaml.safe_load(by_kind["ConfigMap"]["data"]["serve.yaml"])
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > pause + settings["limits"]["shutdown_s"]
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    assert composed["services"]["frugalseg"]["read_only"] is True


def test_the_settings_that_ship_are_read(serve: Serve) -> None:
    [settings] = [m["data"]["serve.yaml"] for m in manifests() if m["kind"] == "ConfigMap"]
    assert serve(**yaml.safe_load(settings)).port


def test_what_dashboard_and_autoscaler_ask_for_is_measured(client: TestClient, body: bytes) -> None:
    client.post("/v1/segment", content=body)
    measured = client.get("/metrics").text
    for name in ("frugalseg.json", "../kubernetes.yaml"):
        text = (DEPLOY / "grafana" / name).read_text(encoding="utf-8")
        for metric in set(re.findall(r"\bfrugalseg_[a-z_]+|process_[a-z_]+", text)):
            assert metric in measured, metric
