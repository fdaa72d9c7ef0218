# What pyproject.toml cannot say: a wheel carries the board's code, from beside us.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# `microlwm2m device` and `provision file:` run lib/ and firmware/ on the unix port.
# In a checkout they are found where they are; an installed package has a copy.

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
BOARD = Path("microlwm2m") / "_board"
FOLDERS = ("lib", "firmware")


def copy_board(to):
    # An unpacked sdist has the copy that was put in when it was made.
    root = HERE.parent if (HERE.parent / "firmware" / "unix").is_dir() else HERE / BOARD
    for name in FOLDERS:
        shutil.rmtree(to / name, ignore_errors=True)
        shutil.copytree(
            root / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "*.mpy")
        )


class BuildPy(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:
            copy_board(Path(self.build_lib) / BOARD)


class Sdist(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        copy_board(Path(base_dir) / BOARD)


setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
