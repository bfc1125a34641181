"""What the deployment's files say agrees with the code and with each other, and keeps to what production needs."""

import re
import stat
import subprocess
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from config import plans
from config.environment import DELIVERY_TIMEOUT_MAX_S, Env, encryption_keys, secret_key
from config.plans import Site
from tests.deployment.compose import ROOT, Service, instructions, read_env, services
from tests.deployment.containers import PACKAGES

PARTS = ("web", "drain", "tasks", "beat")
KUBERNETES = ROOT / "deploy" / "kubernetes"
OWN_CHOICE = ("--host", "--port", "--workers", "--hostname", "--concurrency", "--workers-kill-timeout")
# What depends on where a process runs; everything else is the same wherever it does.
RECORDING_S = 10.0
# What a worker may need after the last answer came in.


@pytest.fixture(scope="module")
def parts() -> dict[str, Service]:
    return services(read_env(ROOT / ".env.example") | {"POSTGRES_PASSWORD": "secret"})


@pytest.fixture(scope="module")
def pods() -> dict[str, dict[str, Any]]:
    """The pod of each workload, by its name."""
    found = {}
    for path in KUBERNETES.rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            spec = document.get("spec", {})
            spec = spec.get("jobTemplate", {}).get("spec", spec)
            if "containers" in spec.get("template", {}).get("spec", {}):
                found[document["metadata"]["name"]] = spec["template"]["spec"]
    return found


def test_compose_starts_what_serve_starts(parts: dict[str, Service]) -> None:
    site = Site("127.0.0.1", 8000, 2, Path("/tmp"), {})
    served = {plan.name: _without_choices(plan.command[2:]) for plan in plans.platform(site)}
    assert {name: _without_choices(parts[name].command) for name in PARTS} == served


def test_kubernetes_starts_what_compose_starts(parts: dict[str, Service], pods: dict[str, dict[str, Any]]) -> None:
    ours = {name: parts[name].command for name in (*PARTS, "migrate", "retention")}
    assert {name: tuple(pod["containers"][0]["command"]) for name, pod in pods.items()} == ours


def test_the_image_starts_web_when_nothing_is_said(parts: dict[str, Service]) -> None:
    (command,) = (rest for word, rest in instructions() if word == "CMD")
    assert tuple(yaml.safe_load(command)) == parts["web"].command


def test_containers_of_ours_can_write_nowhere_and_gain_no_right(parts: dict[str, Service]) -> None:
    ours = {name: service.given for name, service in parts.items() if service.is_ours}
    assert sorted(ours) == ["beat", "drain", "migrate", "receiver", "retention", "tasks", "web"]
    for name, given in ours.items():
        hardening = {key: given[key] for key in ("read_only", "cap_drop", "security_opt", "init")}
        wanted = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "init": True}
        assert (name, hardening) == (name, wanted)
        assert not {"privileged", "user", "volumes"} & set(given), name


def test_pods_can_write_nowhere_and_gain_no_right(pods: dict[str, dict[str, Any]]) -> None:
    for name, pod in pods.items():
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


def test_the_time_to_stop_is_longer_than_a_drain_and_than_web_gives_its_requests(
    parts: dict[str, Service], pods: dict[str, dict[str, Any]]
) -> None:
    web = parts["web"].command
    patience_s = float(web[web.index("--workers-kill-timeout") + 1])
    least_s = max(DELIVERY_TIMEOUT_MAX_S + RECORDING_S, patience_s)
    for name in PARTS:
        assert parts[name].stop_grace_s > least_s, name
        assert pods[name]["terminationGracePeriodSeconds"] > least_s, name


def test_every_part_that_stays_has_a_health_check(parts: dict[str, Service]) -> None:
    stays = {name for name, service in parts.items() if service.given.get("restart") != "no"}
    assert {name for name in stays if not parts[name].given.get("healthcheck")} == {"proxy"}


def test_nothing_of_ours_starts_before_the_migrations(parts: dict[str, Service]) -> None:
    for name in (*PARTS, "retention"):
        assert parts[name].needs["migrate"] == {"condition": "service_completed_successfully"}, name


def test_only_the_proxy_is_open_to_the_world_and_the_stores_to_nobody(parts: dict[str, Service]) -> None:
    published = {name: service.given["ports"] for name, service in parts.items() if service.given.get("ports")}
    assert sorted(published) == ["proxy", "web"]
    assert published["web"] == ["127.0.0.1:8000:8000"]
    assert [parts[name].given["networks"] for name in ("postgres", "redis")] == [["backend"], ["backend"]]
    assert yaml.safe_load((ROOT / "compose.yaml").read_text())["networks"]["backend"] == {"internal": True}


def test_every_image_has_a_tag() -> None:
    stages = {rest.split(" AS ")[1] for word, rest in instructions() if word == "FROM" and " AS " in rest}
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    foreign = [service.given["image"] for service in services({}).values() if not service.is_ours]
    for image in (*(base for base in bases if base not in stages), *foreign):
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", image), image


def test_the_image_runs_as_an_ordinary_user_and_carries_no_secret() -> None:
    words = instructions()
    last_stage = words[max(place for place, (word, _) in enumerate(words) if word == "FROM") :]
    assert [rest for word, rest in last_stage if word == "USER"] == ["10001:10001"]
    given = " ".join(rest for word, rest in words if word in ("ENV", "ARG"))
    assert not re.search(r"SECRET|PASSWORD|TOKEN|_KEY|DATABASE_URL|REDIS_URL", given)
    assert all(rest.startswith("[") for word, rest in words if word in ("CMD", "ENTRYPOINT"))


def test_the_build_sees_the_code_and_nothing_else() -> None:
    """State, keys and history lie beside it."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert let_in == {"pyproject.toml", "README.md", "LICENSE", "manage.py", *PACKAGES}
    copied = [rest.split() for word, rest in instructions() if word == "COPY" and not rest.startswith("--from")]
    assert {source for *sources, _ in copied for source in sources} == let_in


def test_whatever_the_packages_need_travels_with_them() -> None:
    """Files that are no Python are part of the wheel only where pyproject.toml says so."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package in PACKAGES:
        files = [path for path in (ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        others = [path.relative_to(ROOT / package).as_posix() for path in files if path.suffix != ".py"]
        taken = patterns.get(package, [])
        # fnmatch's star also takes slashes, so `**/` is one star too many.
        left = [path for path in others if not any(fnmatch(path, one.replace("**/*", "*")) for one in taken)]
        assert left == [], package


def test_new_env_makes_keys_that_production_takes_and_closes_the_file(tmp_path: Path) -> None:
    _new_env(tmp_path)
    made = read_env(tmp_path / ".env")
    assert secret_key(Env(made), debug=False) == made["SECRET_KEY"]
    assert encryption_keys(Env(made), debug=False) == (made["ENCRYPTION_KEYS"],)
    assert re.fullmatch(r"[0-9a-f]{48}", made["POSTGRES_PASSWORD"])
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    example = read_env(ROOT / ".env.example")
    assert {name for name in made if made[name] != example[name]} == {
        "SECRET_KEY",
        "ENCRYPTION_KEYS",
        "POSTGRES_PASSWORD",
    }


def test_new_env_never_touches_keys_that_are_in_use(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SECRET_KEY=in use\n")
    with pytest.raises(subprocess.CalledProcessError):
        _new_env(tmp_path)
    assert (tmp_path / ".env").read_text() == "SECRET_KEY=in use\n"


def test_two_installations_have_different_keys(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        _new_env(tmp_path / name)
        made.append(read_env(tmp_path / name / ".env"))
    for name in ("SECRET_KEY", "ENCRYPTION_KEYS", "POSTGRES_PASSWORD"):
        assert made[0][name] != made[1][name]


def test_the_guide_names_commands_services_and_files_that_exist(parts: dict[str, Service]) -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text()
    commands = set(re.findall(r"manage\.py (\w+)", guide))
    assert commands <= set(get_commands()), commands
    said = set(re.findall(r"docker compose (?:exec|run|logs)(?: -T| --rm)? (\w+)", guide))
    assert said == {"web", "postgres", "migrate", "retention", "receiver"}
    assert said <= set(parts)
    for path in re.findall(r"\]\(\.\./([\w./-]+)", guide):
        assert (ROOT / path).exists(), path


def _new_env(directory: Path) -> None:
    subprocess.run([ROOT / "deploy" / "new-env", directory], check=True, capture_output=True)


def _without_choices(command: Sequence[str]) -> list[str]:
    """The command's words without its module switch and without the options that are the place's own choice."""
    words = [word for word in command if word != "-m"]
    left, skip = [], False
    for word in words:
        if not skip and word not in OWN_CHOICE:
            left.append(word)
        skip = word in OWN_CHOICE
    return sorted(left)
