"""Metrics, scrape configuration, alerts and dashboard with a real Prometheus."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
import yaml
from observed import DEADLINE_S, wait

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "conf" / "alerts.yml"
COMPOSE = ROOT / "compose.yaml"
CONFIG = ROOT / "conf" / "prometheus.yml"
RULE_TESTS = ROOT / "tests" / "fixtures" / "alerts_test.yml"
DASHBOARD = json.loads((ROOT / "conf" / "grafana-dashboard.json").read_text())
JOB = "anyrouter-gateway"


def tool(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/local/bin", "/usr/bin"]))
    assert found, f"{name} is missing: scripts/prepare.sh test fetches it"
    return found


def promtool(*arguments: str, stdin: str = "") -> str:
    """What promtool says; it must be content."""
    done = subprocess.run([tool("promtool"), *arguments], input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def all_panels() -> list[dict]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    """The dashboard's queries as Grafana would send them, by panel and letter."""
    values = {"$instance": ".*", "$__rate_interval": "1m", "$__range": "1h"}
    found = {}
    for panel in all_panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in values.items():
                expression = expression.replace(name, value)
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


def names(expression: str) -> set[str]:
    """Metrics in an expression, as /metrics announces them."""
    found = re.findall(r"\b(?:gateway|process)_[a-z0-9_]+\b(?!\s*[=!~])", re.sub(r'"[^"]*"', "", expression))
    return {name.removesuffix("_bucket") for name in found}


class Prometheus:
    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **query: str):
        """The data of an answer of the HTTP API."""
        target = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(target, timeout=DEADLINE_S) as answer:
                said = json.load(answer)
        except urllib.error.HTTPError as error:
            said = json.load(error)
        assert said["status"] == "success", f"{query}: {said}"
        return said["data"]

    def query(self, expression: str) -> list[dict]:
        return self.get("query", query=expression)["result"]


@pytest.fixture(scope="session")
def prometheus(observed, tmp_path_factory):
    """A Prometheus with the configuration of conf/, but for the gateway's address and the intervals."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load(CONFIG.read_text())
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(CONFIG.parent / name) for name in config["rule_files"]]
    (job,) = config["scrape_configs"]
    assert (job["job_name"], job["static_configs"][0]["targets"]) == (JOB, ["127.0.0.1:9188"])
    job["static_configs"][0]["targets"] = [observed.admin.removeprefix("http://")]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    log = folder / "output.log"
    command = [tool("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with log.open("wb") as sink:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=sink, stderr=sink, cwd=folder)
    prometheus = Prometheus(f"http://{address}")

    def is_ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{prometheus.address}/-/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    try:
        wait("Prometheus is ready", is_ready)
        # A rate needs two readings, and something that happened between them.
        wait("the first reading", lambda: prometheus.query(f'up{{job="{JOB}"}} == 1'))
        observed.traffic()
        token = observed.token("metered", "requests:day:2", "usd:day:5")
        assert [observed.ask(x_api_key=token) for _ in range(3)] == [200, 200, 429]
        increase = 'sum(rate(gateway_request_log_records_total{result="written"}[1m])) > 0'
        wait("the second traffic is seen", lambda: prometheus.query(increase))
        wait("all outcomes are seen", lambda: totals(prometheus) == outcomes(observed.metrics()))
        yield prometheus
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def outcomes(metrics: str) -> Counter:
    """Requests by outcome, as /metrics has them."""
    found = Counter()
    for outcome, value in re.findall(r'^gateway_requests_total\{.*outcome="(\w+)".*\} (\d+)$', metrics, re.M):
        found[outcome] += int(value)
    return found


def totals(prometheus: Prometheus) -> Counter:
    """The same, as Prometheus has it."""
    rows = prometheus.query("sum by (outcome) (gateway_requests_total)")
    return Counter({row["metric"]["outcome"]: int(row["value"][1]) for row in rows})


def test_prometheus_reads_the_gateway(prometheus, observed):
    (up,) = prometheus.query("up")
    assert (up["metric"]["job"], up["value"][1]) == (JOB, "1")
    (target,) = prometheus.get("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    found = totals(prometheus)
    assert found == outcomes(observed.metrics())
    for outcome in ("completed", "upstream_error", "truncated", "stream_error", "client_aborted", "rejected"):
        assert found[outcome] >= 2, found


def test_every_alert_is_evaluated_without_an_error(prometheus):
    def evaluated() -> list[dict]:
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    rules = wait("all rules are evaluated", evaluated)
    assert {rule["name"] for rule in rules} == alert_names()
    assert [rule for rule in rules if rule["health"] != "ok" or rule.get("lastError")] == []
    calm = {"GatewayDown", "AllUpstreamsOpen", "UpstreamOpen", "RequestLogNotWritten", "OpenFilesRunOut", "GatewayFaults"}
    calm |= {"LedgerOld", "LedgerRefuses"}
    assert [rule["name"] for rule in rules if rule["name"] in calm and rule["state"] != "inactive"] == []


def test_limits_of_client_tokens_are_counted_without_naming_anybody(prometheus):
    names = ["admissions_total", "settlements_total", "ledger_ticks_total", "ledger_wait_seconds_count", "estimate_ratio_count"]
    found = {
        (name, row["metric"].get("result", "")): float(row["value"][1])
        for name in names
        for row in prometheus.query(f"gateway_{name}")
    }
    assert (found["admissions_total", "admitted"], found["admissions_total", "limit_used"]) == (2, 1)
    assert found["settlements_total", "told"] == 2 and found["estimate_ratio_count", ""] == 2
    assert found["ledger_ticks_total", "good"] >= 1 and found["ledger_wait_seconds_count", ""] >= 1
    labels = {label for name in names for row in prometheus.query(f"gateway_{name}") for label in row["metric"]}
    assert labels <= {"__name__", "instance", "job", "result"}


def alert_names() -> set[str]:
    return {rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]}


def test_promtool_finds_nothing_wrong(observed):
    assert promtool("check", "metrics", stdin=observed.metrics()) == ""
    assert "SUCCESS" in promtool("check", "config", str(CONFIG))
    assert f"SUCCESS: {len(alert_names())} rules found" in promtool("check", "rules", str(ALERTS))


def test_alerts_fire_on_what_they_are_for_and_not_before():
    promtool("test", "rules", str(RULE_TESTS))
    tests = [test for suite in yaml.safe_load(RULE_TESTS.read_text())["tests"] for test in suite["promql_expr_test"]]
    for fires in (True, False):
        tested = {
            re.search(r'alertname="(\w+)"', test["expr"])[1] for test in tests if bool(test["exp_samples"]) == fires
        }
        assert tested == alert_names(), f"fires: {fires}"


def test_the_dashboard_asks_for_metrics_that_there_are(observed):
    there = set(re.findall(r"^# TYPE (\S+) ", observed.metrics(), re.M))
    asked = {name for expression in expressions().values() for name in names(expression)}
    assert asked - there == set()
    # What can be drawn is drawn: a new metric gets its place, or a reason to be left out.
    assert {name for name in there if name.startswith("gateway_")} - asked == set()


def test_the_dashboard_shows_something_everywhere(prometheus):
    found = expressions()
    assert len(found) > 30
    empty = [name for name, expression in found.items() if not prometheus.query(expression)]
    assert empty == []


def test_the_dashboard_is_one_that_grafana_takes():
    assert DASHBOARD["schemaVersion"] >= 38, "Grafana 10"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in all_panels():
        assert panel["datasource"] == source, panel["title"]
        assert all(target["datasource"] == source for target in panel["targets"]), panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places)), "panels lie upon each other"
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Traffic", "Latency", "Tokens and cost", "Upstreams", "Gateway health", "Limits of client tokens"]
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "instance"]


def test_docker_compose_brings_the_same_monitoring(tmp_path):
    services = yaml.safe_load(COMPOSE.read_text())["services"]

    def seen_by(service: str) -> Path:
        """What a container sees of conf/."""
        for volume in services[service]["volumes"]:
            source, target, *_ = volume.split(":")
            if source.startswith("."):
                place = tmp_path / service / target.removeprefix("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(COMPOSE.parent / source, place)
        return tmp_path / service

    def is_published(address: str) -> bool:
        name, port = address.split(":")
        return any(published.endswith(f":{port}") for published in services[name]["ports"])

    config = seen_by("prometheus") / "etc" / "prometheus" / "prometheus.yml"
    assert "SUCCESS: 1 rule files found" in promtool("check", "config", str(config))
    theirs, ours = (yaml.safe_load(file.read_text()) for file in (config, CONFIG))
    (address,) = theirs["scrape_configs"][0]["static_configs"][0]["targets"]
    assert is_published(address)
    ours["scrape_configs"][0]["static_configs"][0]["targets"] = [address]
    assert theirs == ours

    grafana = seen_by("grafana")
    provisioning = grafana / "etc" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "gateway.yml").read_text())["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert is_published(source["url"].removeprefix("http://"))
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "gateway.yml").read_text())["providers"]
    (dashboard,) = (grafana / provider["options"]["path"].removeprefix("/")).iterdir()
    assert json.loads(dashboard.read_text()) == DASHBOARD


def test_images_of_others_have_a_version():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for name in services.keys() - {"gateway"}:
        _, _, tag = services[name]["image"].partition(":")
        assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?", tag), services[name]["image"]


def test_grafana_makes_its_own_password_at_its_first_start(tmp_path):
    """The entrypoint as Docker Compose runs it, with a program in Grafana's place that tells what it was given."""
    grafana = yaml.safe_load(COMPOSE.read_text())["services"]["grafana"]
    (mount,) = [volume for volume in grafana["volumes"] if volume.endswith(f":{grafana['entrypoint'][-1]}:ro")]
    script = COMPOSE.parent / mount.split(":")[0]
    told = tmp_path / "run.sh"
    told.write_text('#!/bin/sh\nprintf %s "${GF_SECURITY_ADMIN_PASSWORD__FILE-none}"\n')
    told.chmod(0o755)

    def start(data: Path) -> str:
        data.mkdir(exist_ok=True)
        name = Path(grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"]).name
        environment = {**os.environ, "GF_SECURITY_ADMIN_PASSWORD__FILE": str(data / name), "GRAFANA_RUN": str(told)}
        return subprocess.run(["sh", script], env=environment, capture_output=True, text=True, check=True).stdout

    new, other = Path(start(tmp_path / "new")), Path(start(tmp_path / "other"))
    password = new.read_text()
    assert re.fullmatch(r"[A-Za-z0-9+/]{32}", password) and password != other.read_text()
    assert new.stat().st_mode & 0o777 == 0o600
    (new.parent / "grafana.db").touch()
    assert Path(start(new.parent)) == new and new.read_text() == password, "the next start keeps it"
    old = tmp_path / "old"
    old.mkdir()
    (old / "grafana.db").touch()
    assert start(old) == "none", "an old database has a password of its own"
