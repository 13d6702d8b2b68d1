"""What is under deploy/, judged by what will read it: Helm renders the chart, Kubernetes' schemas and the Compose specification
are asked, systemd looks at the unit, dpkg and apt install, upgrade and remove the package, and the binary takes the settings.
"""

import json
import os
import pathlib
import shutil
import subprocess

import compose_spec
import helm_python
import kubernetes_validate
import pytest
import yaml
from conftest import BINARY, ROOT

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm/doorbell"
# The oldest that Chart.yaml takes, and the newest that the judge knows.
KUBERNETES = ["1.25", kubernetes_validate.latest_version()]
DATABASE = "postgres://doorbell:a-secret@postgres/doorbell"
EVERYTHING = {
    "databaseSecret": "db",
    "replicas": 3,
    "settingsSecret": "more",
    "adminHosts": ["bell.example.com"],
    "storage": {"className": "fast"},
    "ingest": {"ingress": {"enabled": True, "className": "nginx", "tlsSecret": "tls"}},
    "serviceMonitor": {"enabled": True, "tokenSecret": "prometheus"},
    "pod": {"imagePullSecrets": [{"name": "registry"}], "tolerations": [{"key": "a", "operator": "Exists"}]},
}


def accepted(tmp_path, environment):
    """What the binary makes of these variables; that a word of them means nothing to it is an error here."""
    variables = {"PATH": os.environ["PATH"], "DOORBELL_DATA_DIR": str(tmp_path / "data"), **environment}
    done = subprocess.run([BINARY, "config", "show", "--json"], capture_output=True, text=True, env=variables, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return {row["key"]: row["values"] for row in json.loads(done.stdout)["settings"]}


def rendered(values):
    with helm_python.Chart.load(CHART) as chart:
        files = chart.render(values=values, name="bell", namespace="web")
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def one(documents, kind):
    return next(document for document in documents if document["kind"] == kind)


def variables(container):
    """As Kubernetes would make them of the chart's `env`."""
    made = {}
    for entry in container["env"]:
        value = entry.get("value")
        if value is None:
            value = DATABASE if "secretKeyRef" in entry["valueFrom"] else "10.1.2.3"
        made[entry["name"]] = value.replace("$(POD_IP)", made.get("POD_IP", ""))
    assert len(made) == len(container["env"]), "a variable is there twice"
    return {name: value for name, value in made.items() if name.startswith("DOORBELL_")}


def test_helm_likes_the_chart():
    found = helm_python.lint(CHART)
    assert found["errors"] == []
    assert [message for message in found["messages"] if message["severity"] > 1] == []


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["nothing-set", "everything-set"])
def test_kubernetes_knows_all_that_the_chart_says(values):
    documents = rendered(values)
    # The operator's own kind is in no schema of Kubernetes.
    ours = [document for document in documents if document["kind"] != "ServiceMonitor"]
    assert len(ours) >= 5 and (len(documents) > len(ours)) == bool(values)
    for version in KUBERNETES:
        for document in ours:
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["nothing-set", "everything-set"])
def test_the_binary_takes_what_the_chart_sets(tmp_path, values):
    pod = one(rendered(values), "StatefulSet")["spec"]["template"]["spec"]
    settings = accepted(tmp_path, variables(pod["containers"][0]))
    hosts = ["10.1.2.3", "bell-admin", "bell-admin.web", "bell-admin.web.svc", *values.get("adminHosts", [])]
    assert settings["admin.hosts"] == hosts
    assert pod.items() >= values.get("pod", {}).items()
    for container in pod.get("initContainers", []):
        accepted(tmp_path, variables(container))


def test_names_within_the_chart_fit_together():
    documents = rendered(EVERYTHING)
    stateful, ingress, monitor = (one(documents, kind) for kind in ("StatefulSet", "Ingress", "ServiceMonitor"))
    labels = stateful["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"] for port in stateful["spec"]["template"]["spec"]["containers"][0]["ports"]}
    services = {document["metadata"]["name"]: document for document in documents if document["kind"] == "Service"}
    for service in services.values():
        assert service["spec"]["selector"].items() <= labels.items()
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    assert stateful["spec"]["serviceName"] in services
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend["port"]["name"] in {port["name"] for port in services[backend["name"]]["spec"]["ports"]}
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert [name for name, service in services.items() if wanted <= service["metadata"]["labels"].items()] == ["bell-nodes"]


def test_the_chart_refuses_many_pods_without_a_database():
    with pytest.raises(helm_python.HelmRenderError, match="needs a database"):
        rendered({"replicas": 2})


@pytest.mark.parametrize("name", ["compose.yaml", "compose.postgres.yaml"])
def test_compose_files_are_compose_files(tmp_path, name):
    text = (DEPLOY / "docker" / name).read_text().replace("${POSTGRES_PASSWORD:?make one up}", "a-secret")
    options = compose_spec.PyOptions()
    options.apply_merge = True
    compose = options.from_yaml(text)
    compose.validate()
    services = yaml.safe_load(text)["services"]
    ours = {name: service for name, service in services.items() if service.get("image") == "doorbell"}
    assert ours
    for service in ours.values():
        accepted(tmp_path, service["environment"])


def test_haproxy_takes_its_configuration(tmp_path):
    haproxy = shutil.which("haproxy", path="/usr/sbin:" + os.environ["PATH"])
    if not haproxy:
        pytest.skip("haproxy is in Debian's package haproxy")
    done = subprocess.run([haproxy, "-c", "-f", DEPLOY / "docker/haproxy.cfg"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
