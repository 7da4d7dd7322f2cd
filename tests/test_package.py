"""Every module of the installed package can be imported, and no folder shadows the standard library."""

import codecs
import importlib
import pkgutil
import sys
from pathlib import Path

import pytest

import fleetpulse

ROOT = Path(__file__).resolve().parent.parent
MODULES = [module.name for module in pkgutil.walk_packages(fleetpulse.__path__, "fleetpulse.")]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_can_be_imported(name: str) -> None:
    importlib.import_module(name)


def test_every_folder_stands_under_the_umbrella_by_a_relative_link() -> None:
    links = [path for path in (ROOT / "src" / "fleetpulse").iterdir() if path.is_symlink()]
    assert {link.name for link in links} == {name.split(".")[1] for name in MODULES if name.count(".") == 1}
    for link in links:
        assert link.readlink() == Path("../..") / link.name


def test_the_root_is_not_on_the_path_and_codecs_is_the_standard_one() -> None:
    assert str(ROOT) not in sys.path
    assert Path(codecs.__file__).parent != ROOT / "codecs"
