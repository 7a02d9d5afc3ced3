"""Gives a wheel that contains the native library the platform tag of that library, which pyproject.toml cannot do.

The tag comes from the library, not from the machine that builds, so wheels for Windows and Arm can be made anywhere.
"""

import os
import re
import struct
from typing import Any, List, Tuple

from setuptools import Distribution, setup

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:
    try:
        # Before setuptools 70.1.
        from wheel.bdist_wheel import bdist_wheel
    except ImportError:
        # setuptools only asks for the build requirements here, and installs wheel by itself.
        bdist_wheel = None

PACKAGE = "mde"
LIBRARIES = ("libmde.so.0", "mde.dll")
"""As in pyproject.toml; where mde/_library.py looks."""

# ELF e_machine and PE Machine.
_LINUX = {62: "x86_64", 183: "aarch64"}
_WINDOWS = {0x8664: "win_amd64", 0xAA64: "win_arm64"}


def platform(path: str) -> str:
    """The platform tag of the native library in this file."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:6] == b"\x7fELF\x02\x01" and len(data) > 20:
        machine = _LINUX.get(struct.unpack_from("<H", data, 18)[0])
        if machine is not None:
            # The versions of glibc that it needs. A library for musl names none, so its tag must keep it off systems
            # with glibc.
            needed = [int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)(?:\.\d+)?(?=\0)", data)]
            # manylinux_2_17 is the oldest tag.
            return "manylinux_2_%d_%s" % (max(17, *needed), machine) if needed else "musllinux_1_2_%s" % machine
    if data[:2] == b"MZ" and len(data) >= 64:
        header = struct.unpack_from("<I", data, 60)[0]
        if data[header : header + 4] == b"PE\0\0" and len(data) >= header + 6:
            windows = _WINDOWS.get(struct.unpack_from("<H", data, header + 4)[0])
            if windows is not None:
                return windows
    raise SystemExit("%s is no library for 64-bit Linux or Windows on x86-64 or Arm; take it out or replace it" % path)


def beside(folder: str) -> List[str]:
    """The native libraries in this folder."""
    files = [os.path.join(folder, PACKAGE, name) for name in LIBRARIES]
    return [file for file in files if os.path.exists(file)]


HERE = os.path.dirname(os.path.abspath(__file__))


class Package(Distribution):
    """A distribution for one platform, if the native library is part of it."""

    def has_ext_modules(self) -> bool:
        return bool(beside(HERE))


def commands() -> Any:
    if bdist_wheel is None:
        return {}

    class Wheel(bdist_wheel):
        """A wheel whose tag names the platform of the native library, if it contains one."""

        def finalize_options(self) -> None:
            super().finalize_options()
            libraries = beside(HERE)
            if len(libraries) > 1:
                raise SystemExit("a wheel is for one system; take out one of: %s" % ", ".join(libraries))
            self.native = platform(libraries[0]) if libraries else "any"

        def run(self) -> None:
            # A library that an earlier build left would become part of this wheel.
            for left in beside(self.get_finalized_command("build").build_lib):
                os.remove(left)
            super().run()

        def get_tag(self) -> Tuple[str, str, str]:
            return "py3", "none", self.native

    return {"bdist_wheel": Wheel}


setup(distclass=Package, cmdclass=commands())
