"""The wheels that a single file is made of: ours, and those that the lock file names."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

from deploy.building.lock import read_lock
from deploy.building.paths import LOCK, OUR_PACKAGES, ROOT, SOURCES, BuildFailed, run_python
from deploy.building.platforms import PYTHON_MINORS, names_of_wheels
from deploy.building.stamp import MODULE, Stamp


def build_wheel(directory: Path, stamp: Stamp) -> Path:
    """Build the wheel of the sources into `directory`; returns its path."""
    with _copy_of_sources(stamp) as sources, tempfile.TemporaryDirectory() as built:
        run_python("-m", "pip", "--disable-pip-version-check", "--quiet", "wheel", "--no-deps",
                   "--no-build-isolation", "--wheel-dir", built, str(sources))  # fmt: skip
        (wheel,) = Path(built).iterdir()
        directory.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(wheel, directory))


@contextmanager
def _copy_of_sources(stamp: Stamp) -> Iterator[Path]:
    """A stamped copy, with the same permissions whatever the umask of the checkout was.

    setuptools leaves a build directory beside what it builds, whose stale files get into wheels.
    """
    with tempfile.TemporaryDirectory(prefix="instadeploy-sources-") as directory:
        copy = Path(directory)
        for name in SOURCES:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, copy / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, copy / name)
        (copy / MODULE).write_text(stamp.as_module(), encoding="utf-8")
        for path in copy.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield copy


def locked_wheels(name: str) -> list[Path]:
    """The wheels for a platform and every Python, checked; downloaded once for each lock file."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    kept = ROOT / ".cache" / "wheels" / digest[:16] / name
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as work:
            for minor in PYTHON_MINORS:
                _download(Path(work, "wheels"), name, minor)
            # Of two builds at once, one comes second, and finds what it wanted.
            if not kept.exists():
                Path(work, "wheels").rename(kept)
    wheels = sorted(kept.glob("*.whl"))
    check_wheels(wheels)
    return wheels


def _download(directory: Path, name: str, minor: int) -> None:
    platforms = (f"--platform={tag}" for tag in names_of_wheels(name))
    run_python("-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--no-deps",
               "--only-binary=:all:", "--require-hashes", "--requirement", str(LOCK), "--dest",
               str(directory), "--implementation=cp", f"--python-version=3.{minor}",
               f"--abi=cp3{minor}", "--abi=abi3", "--abi=none", *platforms)  # fmt: skip


def check_wheels(wheels: Iterable[Path]) -> None:
    """Refuse wheels that are not the locked ones, or that bring a package called like one of ours."""
    locked = frozenset[str]().union(*(pin.hashes for pin in read_lock(LOCK)))
    for wheel in wheels:
        if foreign := top_level_names(wheel) & set(OUR_PACKAGES):
            raise BuildFailed(
                f"{wheel.name} brings {', '.join(sorted(foreign))}, and we have our own"
            )
        if hashlib.sha256(wheel.read_bytes()).hexdigest() not in locked:
            raise BuildFailed(f"{wheel.name} is none of the files that {LOCK.name} names")


def top_level_names(wheel: Path) -> set[str]:
    """What can be imported once the wheel is installed, as far as its first name."""
    names: set[str] = set()
    with ZipFile(wheel) as archive:
        for path in archive.namelist():
            parts = path.split("/")
            if parts[0].endswith(".data"):
                # purelib and platlib are moved to where modules are; scripts and data are not.
                parts = parts[2:] if parts[1:2] in (["purelib"], ["platlib"]) else []
            if parts and parts[0] and not parts[0].endswith(".dist-info"):
                is_module = len(parts) == 1 and parts[0].endswith((".py", ".pyc", ".so"))
                names.add(parts[0].partition(".")[0] if is_module else parts[0])
    return names
