#!/usr/bin/env python3
"""Writes a package with the same bytes in every run: package.py PATH"""
import sys
import zipfile

FOLDERS = ["Autoruns", "Installed Programs", "Network Connections", "Prefetch Files", "Processes", "Scheduled Tasks"]


def content(number):
    """Lines of a report, which can be compressed, and none of which is like another."""
    return "".join(f"{line};{line * line * (number + 7)};HKLM\\Software\\Run\r\n" for line in range(800)).encode()


with zipfile.ZipFile(sys.argv[1], "w") as package:
    for number in range(24):
        entry = zipfile.ZipInfo(f"{FOLDERS[number % 6]}/{number}.csv", (2026, 1, 24, 22, 17, 2))
        # Every third one is stored.
        entry.compress_type = zipfile.ZIP_DEFLATED if number % 3 else zipfile.ZIP_STORED
        package.writestr(entry, content(number))
