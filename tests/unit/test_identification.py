"""How the settings, and what is there from before, have an agent prove who it is."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.filesystem.instance_lock import InstanceLock
from adapters.identity.ed25519 import NoEd25519, find_ed25519
from adapters.identity.keys_on_disk import LocalHostIdentity
from domain.identity import Membership, encoded, fingerprint_of
from entrypoints.agent import __main__ as program
from entrypoints.agent import container as wiring
from entrypoints.agent.container import AgentContainer
from entrypoints.agent.settings import Identification, load_settings
from tests.unit.surroundings import ENOUGH, OTHER, TOKEN, Surroundings

ADDRESS = {"SERVER_URL": "wss://cp.example/ws"}
PLANE = encoded(bytes(range(32)))
MEMBER = Membership("host_1", PLANE)


@pytest.fixture
def around(bare_environment: pytest.MonkeyPatch, tmp_path: Path) -> Surroundings:
    return Surroundings(bare_environment, tmp_path)


async def enrol(directory: Path, membership: Membership = MEMBER) -> Path:
    """Leave an enrolled host's identity in the state directory; returns its file."""
    (directory / "state").mkdir(mode=0o700)
    with ThreadPoolExecutor(1) as executor:
        identity = LocalHostIdentity(directory / "state", find_ed25519(), executor)
        await identity.pin(membership)
    return directory / "state" / "identity.json"


def identification() -> Identification:
    return load_settings().identification()


def secret(found: Identification) -> tuple[str | None, str | None]:
    """The bearer token and the token to enrol with."""
    tokens = (found.bearer_token, found.enroll_token)
    one, other = (None if token is None else token.get_secret_value() for token in tokens)
    return one, other


# Not enrolled.


def test_a_bearer_token_is_one_way(around: Surroundings) -> None:
    around.set(**ENOUGH)
    assert secret(identification()) == (TOKEN, None)


def test_a_token_to_enrol_with_is_the_other(around: Surroundings) -> None:
    around.set(**ADDRESS, AGENT_ENROLL_TOKEN=f" {TOKEN}\n")
    found = identification()
    assert secret(found) == (None, TOKEN)
    assert (found.membership, found.control_plane_key) == (None, None)
    assert TOKEN not in repr(found)


def test_the_token_may_be_in_a_file(around: Surroundings) -> None:
    around.set(**ADDRESS, AGENT_ENROLL_TOKEN_FILE=around.write("token", f"{TOKEN}\n"))
    assert secret(identification()) == (None, TOKEN)


def test_the_token_may_be_a_credential_of_systemd(around: Surroundings) -> None:
    path = around.write("credentials/agent_enroll_token", TOKEN)
    around.set(**ADDRESS, CREDENTIALS_DIRECTORY=str(Path(path).parent))
    assert secret(identification()) == (None, TOKEN)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "must not be empty"),
        (b"\xff", "holds something other than ASCII"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_without_a_token_is_refused(
    around: Surroundings, content: bytes | None, problem: str
) -> None:
    path = "nowhere" if content is None else around.write("token", content)
    around.set(**ADDRESS, AGENT_ENROLL_TOKEN_FILE=path)
    assert around.problems() == [f"AGENT_ENROLL_TOKEN_FILE: {problem}"]


@pytest.mark.parametrize("key", [PLANE, fingerprint_of(PLANE)])
def test_it_may_be_said_beforehand_who_the_control_plane_is(around: Surroundings, key: str) -> None:
    around.set(**ADDRESS, AGENT_ENROLL_TOKEN=TOKEN, AGENT_CONTROL_PLANE_KEY=key)
    assert identification().control_plane_key == key


@pytest.mark.parametrize("variable", ["AGENT_SECRET_TOKEN", "AGENT_TOKEN"])
def test_both_ways_at_once_are_refused(around: Surroundings, variable: str) -> None:
    around.set(**ADDRESS, AGENT_ENROLL_TOKEN=TOKEN, **{variable: OTHER})
    (sentence,) = around.problems()
    assert sentence.startswith("AGENT_ENROLL_TOKEN: enrols this host with a key, and cannot stand")


def test_no_way_at_all_names_both(around: Surroundings) -> None:
    around.set(**ADDRESS)
    (sentence,) = around.problems()
    assert sentence.startswith("AGENT_SECRET_TOKEN: is missing")
    assert "or AGENT_ENROLL_TOKEN, to enrol this host with a key of its own; no host" in sentence


def test_a_control_planes_key_means_nothing_to_a_bearer_token(around: Surroundings) -> None:
    around.set(**ENOUGH, AGENT_CONTROL_PLANE_KEY=PLANE)
    (sentence,) = around.problems()
    assert sentence.startswith("AGENT_CONTROL_PLANE_KEY: is looked at where a host is enrolled")


def test_a_key_that_was_made_and_not_enrolled_waits_for_a_token(around: Surroundings) -> None:
    (around.directory / "state").mkdir()
    with ThreadPoolExecutor(1) as executor:
        LocalHostIdentity(around.directory / "state", find_ed25519(), executor)
    around.set(**ADDRESS)
    (sentence,) = around.problems()
    assert sentence.startswith("AGENT_SECRET_TOKEN: is missing")
    around.set(AGENT_ENROLL_TOKEN=TOKEN)
    assert secret(identification()) == (None, TOKEN)


# Enrolled.


async def test_a_host_that_is_enrolled_needs_no_token(around: Surroundings) -> None:
    await enrol(around.directory)
    around.set(**ADDRESS)
    assert identification() == Identification(membership=MEMBER)


@pytest.mark.parametrize(
    "variable",
    ["AGENT_SECRET_TOKEN", "AGENT_TOKEN", "AGENT_ENROLL_TOKEN", "AGENT_ENROLL_TOKEN_FILE"],
)
async def test_a_host_that_is_enrolled_uses_no_token_and_says_so(
    around: Surroundings, variable: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await enrol(around.directory)
    around.set(**ADDRESS, **{variable: TOKEN})
    assert identification() == Identification(membership=MEMBER)
    assert program.main(["--check"]) == 0
    assert f"warning: {variable}: is not used: this host is enrolled" in capsys.readouterr().err


@pytest.mark.parametrize("key", [PLANE, fingerprint_of(PLANE)])
async def test_the_key_that_is_pinned_may_be_said_again(around: Surroundings, key: str) -> None:
    await enrol(around.directory)
    around.set(**ADDRESS, AGENT_CONTROL_PLANE_KEY=key)
    assert identification().membership == MEMBER


async def test_another_key_than_the_one_that_is_pinned_is_refused(around: Surroundings) -> None:
    await enrol(around.directory)
    around.set(**ADDRESS, AGENT_CONTROL_PLANE_KEY=encoded(bytes(32)))
    (sentence,) = around.problems()
    assert sentence.startswith("AGENT_CONTROL_PLANE_KEY: is not the key of the control plane")
    assert fingerprint_of(PLANE) in sentence


async def test_a_damaged_identity_is_no_reason_to_use_a_token(around: Surroundings) -> None:
    path = await enrol(around.directory)
    path.write_bytes(path.read_bytes()[:-20])
    around.set(**ENOUGH)
    (sentence,) = around.problems()
    assert sentence.startswith(f"AGENT_STATE_DIR: {path}: is damaged")


async def test_an_identity_that_others_may_read_is_refused(around: Surroundings) -> None:
    path = await enrol(around.directory)
    path.chmod(0o640)
    around.set(**ADDRESS)
    (sentence,) = around.problems()
    assert sentence.startswith(f"AGENT_STATE_DIR: {path}: has the mode 0640")


async def test_the_debug_transport_is_for_who_has_a_token(around: Surroundings) -> None:
    await enrol(around.directory)
    around.set(AGENT_TRANSPORT="http")
    (sentence,) = around.problems()
    assert sentence.startswith("AGENT_SECRET_TOKEN: is missing")
    around.set(AGENT_SECRET_TOKEN=TOKEN)
    assert secret(identification()) == (TOKEN, None)


# What comes of it.


@pytest.fixture
def lock(around: Surroundings) -> Path:
    """The state directory, as it is when the agent has it for itself."""
    InstanceLock(around.directory / "state").acquire()
    return around.directory / "state"


async def test_a_bearer_token_makes_no_key_and_speaks_both_versions(
    around: Surroundings, lock: Path
) -> None:
    around.set(**ENOUGH)
    container = AgentContainer(settings=load_settings())
    assert (container.ed25519(), container.identity()) == (None, None)
    assert not container.credential().needs_v2
    assert container.plain() is not None
    assert container.plain() is container.plain()
    assert not (lock / "identity.json").exists()
    assert vars(container.transport())["_headers"]["Authorization"] == f"Bearer {TOKEN}"
    assert vars(container.transport())["_offered"] == ["instadeploy.v2", "instadeploy.v1"]


async def test_a_key_is_made_once_and_v1_is_not_spoken(around: Surroundings, lock: Path) -> None:
    around.set(**ADDRESS, AGENT_ENROLL_TOKEN=TOKEN)
    container = AgentContainer(settings=load_settings())
    assert container.credential().needs_v2
    assert container.plain() is None
    assert "Authorization" not in vars(container.transport())["_headers"]
    assert vars(container.transport())["_offered"] == ["instadeploy.v2"]
    identity, again = container.identity(), AgentContainer(settings=load_settings()).identity()
    assert identity is not None
    assert again is not None
    assert identity.public_key == again.public_key


def test_checking_makes_no_key(around: Surroundings, capsys: pytest.CaptureFixture[str]) -> None:
    around.set(**ADDRESS, AGENT_ENROLL_TOKEN=TOKEN)
    assert program.main(["--check"]) == 0
    assert list(around.directory.iterdir()) == []
    assert TOKEN not in capsys.readouterr().out


def test_without_a_library_it_is_said_what_is_missing(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> None:
        raise NoEd25519

    monkeypatch.setattr(wiring, "find_ed25519", none)
    around.set(**ADDRESS, AGENT_ENROLL_TOKEN=TOKEN)
    assert program.main(["--check"]) == 78
    assert capsys.readouterr().err.startswith(
        "instadeploy-agent: AGENT_ENROLL_TOKEN: no library with Ed25519 was found"
    )


async def test_a_key_that_does_not_fit_its_other_half_exits_with_78(
    around: Surroundings, capsys: pytest.CaptureFixture[str], logging_left_alone: None
) -> None:
    path = await enrol(around.directory)
    text = path.read_text(encoding="ascii")
    own = text.partition('"public_key": "')[2].partition('"')[0]
    path.write_text(text.replace(own, encoded(bytes(32))), encoding="ascii")
    around.set(**ADDRESS)
    assert program.main([]) == 78
    assert f"AGENT_STATE_DIR: {path}: is damaged" in capsys.readouterr().err
    assert path.read_text(encoding="ascii") == text.replace(own, encoded(bytes(32)))


def test_threads_are_not_needed_to_look(around: Surroundings) -> None:
    around.set(**ADDRESS, AGENT_ENROLL_TOKEN=TOKEN)
    container = AgentContainer(settings=load_settings())
    container.identification()
    executor: Executor = container.executor()
    assert vars(executor)["_threads"] == set()
