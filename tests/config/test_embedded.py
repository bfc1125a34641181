"""The embedded services start anywhere, find themselves again, and leave nothing behind."""

import multiprocessing
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis

from config.embedded import binaries, ground, processes, state
from config.embedded.errors import EmbeddedError
from config.embedded.ground import Ground
from config.embedded.services import Services, start_missing
from config.embedded.state import Urls

Embedded = Callable[..., Services]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="switches users")


def pid_of_postgres(services: Services) -> int:
    (pid_file,) = services.ground.path.glob("postgres-*/postmaster.pid")
    pid = processes.read_pid(pid_file)
    assert pid is not None
    return pid


def pid_of_redis(services: Services) -> int:
    pid = processes.read_pid(services.ground.sockets / "redis.pid")
    assert pid is not None
    return pid


def remember(urls: Urls) -> None:
    with psycopg.connect(urls.database_url) as connection:
        connection.execute("CREATE TABLE memory AS SELECT 42 AS answer")


def recall(urls: Urls) -> int:
    with psycopg.connect(urls.database_url) as connection:
        row = connection.execute("SELECT answer FROM memory").fetchone()
    assert row is not None
    return int(row[0])


def test_started_services_answer_and_stopped_ones_are_gone(embedded: Embedded, state_dir: Path) -> None:
    services = embedded()
    urls = services.start()

    assert state.read(state_dir) == urls
    with psycopg.connect(urls.database_url) as connection:
        assert connection.info.encoding == "utf-8"
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SELECT lower('ÄÖ')").fetchone() in [("äö",), ("ÄÖ",)]
    with redis.Redis.from_url(urls.redis_url) as client:
        assert client.config_get("maxmemory-policy", "appendonly", "save", "port") == {
            "maxmemory-policy": "noeviction",
            "appendonly": "no",
            "save": "",
            "port": "0",
        }

    pids = pid_of_postgres(services), pid_of_redis(services)
    assert services.stop()
    assert [processes.is_alive(pid) for pid in pids] == [False, False]
    assert state.read(state_dir) == Urls()


def test_data_outlives_a_restart(embedded: Embedded) -> None:
    services = embedded()
    remember(services.start())
    services.stop()

    assert recall(embedded().start()) == 42


def test_services_that_run_are_used_as_they_are(embedded: Embedded) -> None:
    first, second = embedded(), embedded()
    urls = first.start()
    pids = pid_of_postgres(first), pid_of_redis(first)

    assert second.start() == urls
    assert (pid_of_postgres(second), pid_of_redis(second)) == pids


def test_the_last_one_out_stops_them(embedded: Embedded) -> None:
    first, second = embedded(), embedded()
    remember(first.start())
    urls = second.start()

    assert not first.stop()
    assert recall(urls) == 42
    assert second.stop()
    with pytest.raises(psycopg.OperationalError):
        recall(urls)


def test_a_second_copy_runs_beside_the_first(embedded: Embedded, tmp_path_factory: pytest.TempPathFactory) -> None:
    other_dir = tmp_path_factory.mktemp("copy")
    one, two = embedded().start(), embedded(other_dir).start()
    remember(one)

    assert one.database_url != two.database_url
    assert one.redis_url != two.redis_url
    with pytest.raises(psycopg.errors.UndefinedTable):
        recall(two)


def test_killed_services_are_started_again_with_their_data(embedded: Embedded, state_dir: Path) -> None:
    services = embedded()
    remember(services.start())
    for pid in (pid_of_postgres(services), pid_of_redis(services)):
        os.kill(pid, signal.SIGKILL)
        assert processes.wait_gone(pid, timeout_s=5)

    assert services.revive() == "postgres and redis"
    assert services.revive() == ""
    assert recall(state.read(state_dir)) == 42


def test_a_stale_pid_file_that_names_a_stranger_harms_nobody(embedded: Embedded) -> None:
    services = embedded()
    services.start()
    services.stop()
    stranger = subprocess.Popen(["sleep", "60"], cwd="/", **services.ground.switch())
    try:
        (data,) = services.ground.path.glob("postgres-*")
        (data / "postmaster.pid").write_text(f"{stranger.pid}\n{data}\n")
        (services.ground.sockets / "redis.pid").write_text(f"{stranger.pid}\n")

        services.start()

        assert services.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_two_starters_at_once_start_one_server(embedded: Embedded, state_dir: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from config.embedded.services import Services; "
        f"s = Services(Path({str(state_dir)!r}), is_durable=False); s.start(); print(s._postgres.is_alive()); "
        "sys.stdin.read()"
    )
    starters = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [starter.stdout.readline() if starter.stdout else "" for starter in starters]
    for starter in starters:
        starter.communicate()

    assert answers == ["True\n", "True\n"]
    assert len(list(embedded().ground.path.glob("postgres-*"))) == 1


def test_only_what_has_no_url_is_started(state_dir: Path) -> None:
    assert start_missing(state_dir, {"DATABASE_URL": "postgres://x/y", "REDIS_URL": "redis://x"}) == (None, Urls())

    services, urls = start_missing(state_dir, {"DATABASE_URL": "postgres://x/y"}, is_durable=False)

    assert services is not None
    assert urls.database_url == ""
    assert urls.redis_url.startswith("unix://")
    assert services.stop()
    assert not list(services.ground.path.glob("postgres-*"))


def test_a_start_that_fails_leaves_nothing_running(
    embedded: Embedded, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "find_redis", lambda _: (_ for _ in ()).throw(EmbeddedError("no Redis")))

    with pytest.raises(EmbeddedError, match="no Redis"):
        start_missing(state_dir, {}, is_durable=False)

    assert not embedded()._postgres.is_alive()


def test_the_sockets_are_closed_to_others(embedded: Embedded) -> None:
    services = embedded()

    found = services.ground.sockets.stat()
    assert stat.S_IMODE(found.st_mode) == 0o700


@as_root
def test_root_runs_them_as_an_ordinary_user(embedded: Embedded) -> None:
    services = embedded()
    services.start()

    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in (pid_of_postgres(services), pid_of_redis(services))}
    assert owners == {pwd.getpwnam("nobody").pw_uid}


@as_root
def test_files_go_elsewhere_when_the_service_user_cannot_reach_them(embedded: Embedded, state_dir: Path) -> None:
    closed = state_dir / "closed"
    closed.mkdir(mode=0o700)
    services = embedded(closed / "state")
    remember(services.start())

    assert services.ground.path.parent == Path("/var/tmp")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert recall(state.read(closed / "state")) == 42

    services.stop()
    services.erase()
    assert not services.ground.path.exists()


@as_root
def test_programs_that_the_service_user_cannot_reach_are_copied(
    embedded: Embedded, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = state_dir / "hidden"
    hidden.mkdir(mode=0o700)
    for name in (binaries.POSTGRES_PACKAGE, binaries.REDIS_PACKAGE):
        package = binaries._package(name)
        if package is None:
            pytest.skip("the embedded extra is not installed")
        _mirror(package, hidden)
    monkeypatch.setattr(binaries, "_package", lambda name: hidden / name)
    monkeypatch.setenv("PATH", "/nowhere")

    services = embedded()
    services.start()

    assert {path.name.split("-")[0] for path in services.ground.binaries.iterdir()} == {"postgres", "redis"}


def _mirror(package: Path, hidden: Path) -> None:
    """A copy of a package, with the libraries beside it."""
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, hidden / part.name, symlinks=True, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@as_root
def test_an_ordinary_user_starts_them_as_himself(state_dir: Path) -> None:
    user = ground._service_user()
    if binaries._package(binaries.POSTGRES_PACKAGE) is None or not ground._is_passable(state.CHECKOUT, user):
        pytest.skip("an ordinary user cannot reach this checkout")
    state_dir.chmod(0o755)
    home = state_dir / "home"
    home.mkdir()
    os.chown(home, user.uid, user.gid)

    assert _in_another_life(user, lambda: _run_and_look(home)) == f"{user.uid} True"


def _run_and_look(home: Path) -> str:
    services = Services(home / "state", is_durable=False)
    remember(services.start())
    owner = Path(f"/proc/{pid_of_postgres(services)}").stat().st_uid
    return f"{owner} {services.stop()}"


def _in_another_life(user: ground.User, act: Callable[[], str]) -> str:
    """Run it in a fork that has become the user for good."""

    def live(results: "multiprocessing.Queue[str]") -> None:
        os.setgroups([])
        os.setgid(user.gid)
        os.setuid(user.uid)
        try:
            results.put(act())
        except BaseException as error:  # noqa: BLE001 - told to the parent
            results.put(repr(error))

    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[str] = context.Queue()
    process = context.Process(target=live, args=(results,))
    process.start()
    try:
        return results.get(timeout=60)
    finally:
        process.join()


def test_programs_on_the_path_do_where_the_extra_is_missing(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("postgres"):
        pytest.skip("no PostgreSQL on the PATH")
    monkeypatch.setattr(binaries, "_package", lambda _: None)
    services = embedded()

    urls = services.start(redis=False)

    remember(urls)
    assert recall(urls) == 42


def test_without_any_program_the_sentence_says_what_to_do(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_postgres_candidates", lambda _: iter(()))
    monkeypatch.setattr(binaries, "_redis_candidates", lambda _: iter(()))
    services = embedded()

    with pytest.raises(EmbeddedError, match=r"No PostgreSQL to start: install .* or set DATABASE_URL"):
        services.start()
    with pytest.raises(EmbeddedError, match=r"No Redis to start: install .* or set REDIS_URL"):
        services.start(postgres=False)


def test_a_long_path_moves_the_files_to_a_short_one(embedded: Embedded, state_dir: Path) -> None:
    services = embedded(state_dir / ("long" * 20))

    assert len(str(services.ground.sockets / ground.SOCKET_NAME)) <= ground.SOCKET_PATH_MAX_BYTES
    remember(services.start())


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "signet-planted").symlink_to(tmp_path / "victim")

    with pytest.raises(EmbeddedError, match="belongs to somebody else"):
        ground._open_temporary(tmp_path / "signet-planted")


def test_an_unusable_state_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EmbeddedError, match=r"Cannot use .*file/state .*: set SIGNET_STATE_DIR"):
        ground.open_state_dir(tmp_path / "file" / "state")


def test_ground_needs_no_user_switch_for_an_ordinary_user(tmp_path: Path) -> None:
    assert Ground(tmp_path, None).switch() == {}
