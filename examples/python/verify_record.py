#!/usr/bin/env python3
"""Checks a record of packages, the files beside it, and the packages: verify_record.py FOLDER/packages.jsonl"""
import hashlib
import json
import os
import re
import sys


def sha256_of(path: str) -> str:
    whole = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                whole.update(block)
    except OSError as error:
        sys.exit("verify_record.py: cannot read %s: %s" % (path, error.strerror))
    return whole.hexdigest()


def listed(sha256: str, name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return "%s%s  %s\n" % ("\\" * (escaped != name), sha256, escaped)


if len(sys.argv) != 2:
    sys.exit(__doc__)
folder, record = os.path.split(os.path.abspath(sys.argv[1]))
if not os.path.isfile(sys.argv[1]):
    sys.exit("verify_record.py: there is no record %s" % sys.argv[1])
os.chdir(folder)
before, packages, number = "0" * 64, {}, 0
for number, line in enumerate(open(record, "rb"), 1):
    entry = json.loads(line)
    if entry["previous"] != before:
        sys.exit("verify_record.py: line %d does not follow the line before" % number)
    before = hashlib.sha256(line).hexdigest()
    if "package" in entry:
        file = entry["package"]["file"]
        packages[re.sub(r"\.(unsafe|damaged)$", "", file)] = file, entry["package"]["sha256"]
files = dict(packages.values())
texts = {record + ".sha256": listed(sha256_of(record), record)}
texts["SHA256SUMS"] = "".join(listed(sha256, file) for file, sha256 in files.items())
files.update((file, hashlib.sha256(text.encode()).hexdigest()) for file, text in texts.items() if text)
for file, sha256 in files.items():
    if sha256_of(file) != sha256:
        sys.exit("verify_record.py: %s was changed" % file)
print("%d lines, %d packages: all is as it was written" % (number, len(packages)))
