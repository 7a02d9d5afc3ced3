#!/usr/bin/env python3
"""Compares measured figures with those that are committed.

    compare.py [--update] [--without NAME] GATES MEASURED

Each file has a name and a figure in a line. A figure may be 3 % above its gate. If one is higher, or is missing, the exit
code is 1. One that is more than 3 % lower is pointed out. --update writes what was measured into GATES.
"""
import argparse
import pathlib
import sys

ROOM = 0.03


def read(path):
    lines = (line.split() for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {name: int(figure) for name, figure in lines}


def verdict(gate, figure):
    if figure is None:
        return "missing"
    if gate is None:
        return "no gate"
    if figure > gate * (1 + ROOM):
        return "exceeded"
    return "better" if figure < gate * (1 - ROOM) else "holds"


def update(path, gates, measured):
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")] if path.exists() else []
    lines = [f"{name} {figure}" for name, figure in sorted({**gates, **measured}.items())]
    path.write_text("\n".join(comments + lines) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("gates", type=pathlib.Path)
    parser.add_argument("measured", type=pathlib.Path)
    given = parser.parse_args()
    measured = read(given.measured)
    gates = read(given.gates) if given.gates.exists() else {}
    verdicts = {}
    print("| figure | measured | gate | change | |")
    print("|---|---|---|---|---|")
    for name in sorted({*gates, *measured}):
        gate, figure = gates.get(name), measured.get(name)
        if name in given.without:
            verdicts[name] = "not measured"
        else:
            verdicts[name] = verdict(gate, figure)
        change = f"{(figure / gate - 1) * 100:+.1f} %" if gate and figure is not None else ""
        cells = [name, "" if figure is None else figure, "" if gate is None else gate, change, verdicts[name]]
        print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)
    if given.update:
        # Figures that are not measured any more go, but for those that this run leaves out.
        kept = {name: gate for name, gate in gates.items() if name in given.without}
        update(given.gates, kept, measured)
        print(f"\nThe gates are now those figures: {given.gates}")
        return
    how = "MDE_UPDATE_GATES=1 benches/run.sh gates"
    better = [name for name, one in verdicts.items() if one == "better"]
    if better:
        print(f"\nBetter than their gates by more than 3 %: {', '.join(better)}. Lower them: {how}")
    wrong = [f"{name} ({one})" for name, one in verdicts.items() if one in ("exceeded", "missing", "no gate")]
    if wrong:
        sys.exit(f"\nbenches/gates: {', '.join(wrong)}. If that has a good reason: {how}")


main()
