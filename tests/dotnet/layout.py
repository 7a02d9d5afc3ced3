"""Does with the project of the .NET binding what the SDK would, since there is none:

    layout.py pack [--unchecked] PROJECT NATIVE FOLDER   writes the package, unpacked, into an empty folder
    layout.py check FOLDER                               lays out programs that use it; fails where one would not work

PROJECT is the project file, NATIVE the folder of native libraries. Assemblies are empty files.
"""

import re
import shutil
import sys
import xml.etree.ElementTree
from pathlib import Path


def parse(path):
    """An XML file without the namespace of MSBuild."""
    root = xml.etree.ElementTree.parse(path).getroot()
    for element in root.iter():
        element.tag = element.tag.split("}")[-1]
    return root


def expand(text, properties):
    return re.sub(r"\$\((\w+)\)", lambda it: properties.get(it[1], ""), text)


def holds(condition, properties):
    """Conditions of comparisons with `and` and `or`. MSBuild compares without regard to case."""
    if condition is None:
        return True
    text = expand(condition, properties).casefold()
    assert re.fullmatch(r"(?:'[^']*'|==|!=|\band\b|\bor\b|\s)+", text), f"this reads no condition like {condition}"
    return eval(text)  # Only literals and comparisons are left.


def pack(project, native, package, checked):
    root = parse(project)
    assembly = root.findtext(".//AssemblyName")
    libraries = []
    for item in [*root.iter("None"), *root.iter("MdeNative")]:
        if item.get("Pack") != "true":
            continue
        source = project.parent / expand(item.get("Include"), {"MdeNativeFolder": str(native)})
        if source.name == "**":
            shutil.copytree(source.parent, package / item.get("PackagePath"))
            continue
        if not source.exists() and "Exists(" in item.get("Condition", ""):
            continue
        if item.tag == "MdeNative":
            libraries.append(source)
        if not source.exists():
            sys.exit(f"{source} is missing")
        for place in item.get("PackagePath").split(";"):
            # Without the slash it would be the name of the file.
            assert place.endswith("/"), place
            target = package / place.lstrip("/") / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    if checked:
        error = [it.get("Condition") for it in root.iter("Error")]
        assert error == [
            "!Exists('%(MdeNative.FullPath)')",
            "!Exists('$(MdeNativeFolder)/licenses')",
            "'%(MdeNative.Filename)' == '$(AssemblyName)'",
        ], error
        for library in libraries:
            if library.stem.casefold() == assembly.casefold():
                sys.exit(f"{library} and the assembly {assembly}.dll are one file on Windows")
    for framework in root.findtext(".//TargetFrameworks").split(";"):
        target = package / "lib" / framework / (assembly + ".dll")
        target.parent.mkdir(parents=True)
        target.touch()


# Identifiers and the more general ones that stand in for them, nearest first.
NEAREST = {
    "win-x64": ["win-x64", "win", "any"],
    "linux-x64": ["linux-x64", "linux", "unix-x64", "unix", "any"],
    "linux-arm64": ["linux-arm64", "linux", "unix-arm64", "unix", "any"],
}


class Program:
    """The output folder of a program: paths in it, and the files that lie there."""

    def __init__(self, what):
        self.what = what
        self.files = []

    def add(self, path, source):
        self.files.append((path, source))

    def problems(self, libraries):
        """`libraries` are the paths where native libraries have to be."""
        seen = {}
        for path, source in self.files:
            other = seen.setdefault(path.casefold(), (path, source))
            if other[1] != source:
                yield f"{self.what}: {other[0]} and {path} are one file on Windows: {other[1]} and {source}"
        for path in libraries:
            found = seen.get(path.casefold(), ("", None))
            if found[0] != path or "native" not in found[1].parts:
                yield f"{self.what}: the native library {path} is missing"


def core(package, assembly, rid):
    """A program for .NET 8."""
    program = Program(f"net8.0, {rid or 'no identifier'}")
    program.add("App.dll", Path("App.dll"))
    program.add(assembly.name, assembly)
    if rid is None:
        for file in sorted(package.glob("runtimes/*/native/*")):
            program.add(str(file.relative_to(package)), file)
        needed = ["win-x64/native/mde.dll", "linux-x64/native/libmde.so", "linux-arm64/native/libmde.so"]
        return program.problems([f"runtimes/{it}" for it in needed])
    for near in NEAREST[rid]:
        files = sorted(package.glob(f"runtimes/{near}/native/*"))
        for file in files:
            program.add(file.name, file)
        if files:
            break
    return program.problems(["mde.dll" if rid == "win-x64" else "libmde.so"])


def framework(package, assembly, folder, properties, what):
    """A program for .NET Framework 4.8, with the targets out of one folder of the package."""
    program = Program(f"net48, {what}")
    program.add("App.exe", Path("App.exe"))
    targets = list((package / folder / "net462").glob("*.targets"))
    # NuGet imports only the one that has the name of the package, which is also the assembly's.
    if [it.stem for it in targets] != [assembly.stem]:
        yield f"net48, {what}: {folder}/net462 has {[it.name for it in targets]}"
    resolved = assembly
    for file in targets:
        for group in parse(file).iter("ItemGroup"):
            if not holds(group.get("Condition"), properties):
                continue
            for item in group.iter("None"):
                source = Path(expand(item.get("Include"), {"MSBuildThisFileDirectory": f"{file.parent}/"})).resolve()
                if not source.exists():
                    yield f"net48, {what}: {source} is missing"
                program.add(item.findtext("Link"), source)
                # MSBuild looks among the items of the project first when it resolves a reference.
                if source.stem.casefold() == assembly.stem.casefold():
                    resolved = source
    if properties.get("RuntimeIdentifier") and properties.get("UsingMicrosoftNETSdk"):
        for file in sorted((package / "runtimes" / properties["RuntimeIdentifier"] / "native").glob("*")):
            program.add(file.name, file)
    if resolved != assembly:
        yield f"net48, {what}: the reference {assembly.stem} is resolved to the native {resolved}"
    program.add(assembly.name, resolved)
    yield from program.problems(["mde.dll"])


def check(package):
    modern, = (package / "lib/net8.0").glob("*.dll")
    old, = (package / "lib/netstandard2.0").glob("*.dll")
    problems = []
    for rid in [*NEAREST, None]:
        problems += core(package, modern, rid)
    sdk = {"UsingMicrosoftNETSdk": "true"}
    problems += framework(package, old, "buildTransitive", sdk, "PackageReference, no identifier")
    problems += framework(package, old, "buildTransitive", {**sdk, "RuntimeIdentifier": "win-x64"}, "PackageReference, win-x64")
    problems += framework(package, old, "buildTransitive", {}, "PackageReference without the SDK")
    problems += framework(package, old, "build", {}, "packages.config")
    sys.exit("\n".join(problems) or 0)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    unchecked = "--unchecked" in arguments
    if unchecked:
        arguments.remove("--unchecked")
    if arguments[0] == "pack":
        pack(*(Path(it).resolve() for it in arguments[1:]), checked=not unchecked)
    else:
        check(Path(arguments[1]).resolve())
