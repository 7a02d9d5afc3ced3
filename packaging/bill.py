"""Lists the crates in the library: a CycloneDX bill of materials, and their licences.

Cargo's messages name the crates that were compiled for the target. `cargo metadata` would also name those of other
platforms and of the tests. The lock files have the checksums and dependencies of the crates.
"""

import argparse
import json
import os
import re
import shutil
import tomllib
import uuid
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

# The names that crates use for their licence files.
TERMS = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
NOT_TERMS = {".rs", ".py", ".sh", ".toml", ".json", ".c", ".h", ".go", ".S"}


class Crate:
    def __init__(self, name, version, folder, terms, authors, repository):
        self.name, self.version, self.folder = name, version, folder
        self.licence, self.authors, self.repository = terms, authors, repository
        self.checksum, self.needs = None, set()

    @property
    def id(self):
        return f"{self.name}-{self.version}"

    @property
    def purl(self):
        if self.name == "std":
            return f"pkg:generic/rust-std@{quote(self.version)}"
        return f"pkg:cargo/{self.name}@{quote(self.version)}"


def locked(path):
    """The packages of a lock file by name and version, each with its dependencies."""
    packages = tomllib.loads(path.read_text())["package"]
    versions = {}
    for package in packages:
        versions.setdefault(package["name"], []).append(package["version"])
    found = {}
    for package in packages:
        needs = []
        for need in package.get("dependencies", []):
            # "name", or "name version" if there are several.
            name, _, version = need.partition(" ")
            needs += [(name, version.split(" ")[0])] if version else [(name, v) for v in versions[name]]
        found[package["name"], package["version"]] = (package.get("checksum"), needs)
    return found


def compiled(messages, rust):
    """The crates that were compiled for the target. Those of the compiler's own sources are one, `std`."""
    crates = {}
    workspace = tomllib.loads(Path("Cargo.toml").read_text())["workspace"]["package"]
    for line in messages.read_text().splitlines():
        message = json.loads(line)
        if message.get("reason") != "compiler-artifact":
            continue
        kinds = set(message["target"]["kind"])
        built_for_target = any(f"/{arguments.target}/" in name for name in message["filenames"])
        if not built_for_target or kinds & {"custom-build", "proc-macro", "bin"}:
            continue
        manifest = Path(message["manifest_path"])
        folder = Path(os.path.realpath(manifest.parent))
        # What is part of the standard library, and not vendored into it.
        own = folder.is_relative_to(rust) and "vendor" not in folder.relative_to(rust).parts
        package = tomllib.loads(manifest.read_text())["package"]
        if own:
            continue
        # What a package of the workspace has from there.
        shared = (name for name, value in package.items() if value == {"workspace": True})
        package |= {name: workspace[name] for name in shared}
        terms = package.get("license")
        crate = Crate(package["name"], str(package["version"]), folder, terms, package.get("authors"),
                      package.get("repository"))
        crates[crate.name, crate.version] = crate
    return crates


def reachable(start, lock):
    """All direct and indirect dependencies of packages in a lock file."""
    seen, left = set(), [key for key in lock if key[0] in start]
    while left:
        key = left.pop()
        if key not in seen:
            seen.add(key)
            left += [need for need in lock[key][1] if need in lock]
    return seen


def terms_of(folder):
    """The licence files of a crate, also those of code that it contains."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in {"tests", "benches", "examples", "vendor", "target", ".git"})
        inside = Path(place).name.lower() in {"licenses", "license"}
        for name in sorted(files):
            path = Path(place) / name
            if (inside or TERMS.match(name)) and path.suffix not in NOT_TERMS:
                found.append(path)
    return found


def licence_files(crates, std, to):
    """One folder for each crate, and a page that lists them."""
    shutil.rmtree(to, ignore_errors=True)
    lines = ["# What is in the library besides its own code", "",
             "| crate | licence | texts |", "|---|---|---|"]
    for crate in crates:
        files = [(path, path.relative_to(crate.folder)) for path in terms_of(crate.folder)]
        if crate is std:
            files = [(path, name) for path, name in files if len(name.parts) == 1]
            # These sources have no licence files. Debian keeps the terms with its documentation, and the
            # texts are those of the crate `libc` of the same project.
            for extra in (Path("/usr/share/doc/rust-web-src/copyright"),):
                if extra.exists():
                    files.append((extra, Path("copyright")))
            libc = next(other for other in crates if other.name == "libc")
            files += [(path, Path(path.name)) for path in terms_of(libc.folder)]
        if not files:
            raise SystemExit(f"bill.py: {crate.id} has no file with its licence")
        names = []
        for path, name in files:
            place = to / crate.id / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
            names.append(f"[{name}]({crate.id}/{name})")
        lines.append(f"| {crate.name} {crate.version} | {crate.licence} | {', '.join(sorted(set(names)))} |")
    (to / "README.md").write_text("\n".join(lines) + "\n")


def component(crate, kind="library"):
    entry = {"type": kind, "bom-ref": crate.purl, "name": crate.name, "version": crate.version,
             "scope": "required", "purl": crate.purl, "licenses": [{"expression": spdx(crate.licence)}]}
    if crate.checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": crate.checksum}]
    if crate.repository:
        entry["externalReferences"] = [{"type": "vcs", "url": crate.repository}]
    return entry


def spdx(terms):
    """Replaces the slash with which older crates separate alternatives."""
    return re.sub(r"\s*/\s*", " OR ", terms)


def bill(own, crates):
    """The bill of materials, as CycloneDX 1.5."""
    moment = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), timezone.utc)
    main = component(own)
    del main["scope"]
    known = {(crate.name, crate.version): crate.purl for crate in crates}
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {
            "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": main,
            "properties": [{"name": "mde:target", "value": arguments.target},
                           {"name": "mde:rustc", "value": arguments.rustc}],
        },
        "components": [component(crate) for crate in crates],
        "dependencies": [{"ref": crate.purl,
                          "dependsOn": sorted(known[need] for need in crate.needs if need in known)}
                         for crate in [own, *crates]],
    }
    # The number is derived from the content, so that equal bills have equal numbers.
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"
    return document


parser = argparse.ArgumentParser(description=__doc__)
for option in ("version", "target", "rustc"):
    parser.add_argument(f"--{option}", required=True)
for option in ("messages", "lock", "rust", "to"):
    parser.add_argument(f"--{option}", required=True, type=Path)
arguments = parser.parse_args()

found = compiled(arguments.messages, arguments.rust)
ours, theirs = locked(arguments.lock), locked(arguments.rust / "library/Cargo.lock")
below_std = reachable({"std", "panic_unwind"}, theirs)
version = arguments.rustc.split()[1]
std = Crate("std", version, arguments.rust, "(MIT OR Apache-2.0) AND Apache-2.0 WITH LLVM-exception", None,
            "https://github.com/rust-lang/rust")
std.needs = {key for key in below_std if key in found}
for key, crate in list(found.items()):
    if key in ours:
        crate.checksum, needs = ours[key]
        crate.needs = set(needs) & found.keys()
    elif key in below_std:
        crate.checksum, needs = theirs[key]
        crate.needs = set(needs) & found.keys()
    else:
        # The interface of macros is compiled with the standard library, but is in no library.
        del found[key]
own = found.pop(("mde", arguments.version))
own.needs |= {("std", version)}
crates = sorted([*found.values(), std], key=lambda crate: (crate.name, crate.version))
arguments.to.mkdir(parents=True, exist_ok=True)
licence_files(crates, std, arguments.to / "licenses")
(arguments.to / "mde.cdx.json").write_text(json.dumps(bill(own, crates), indent=1) + "\n")
