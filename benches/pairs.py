#!/usr/bin/env python3
"""Runs commands alternately, round after round, and compares their costs.

    pairs.py [--rounds N] [--calls N] [--core N] LABEL COMMAND [COMMAND...]

Each command is one shell-quoted string. Ratios are relative to the second. CPU is user and system time of the
whole process, as wait4() returns it. Ratios are taken within a round, so that other work of the machine
affects them less. Their median is printed with the smallest and largest.
"""
import argparse
import os
import shlex
import statistics
import sys
import time


def run(command):
    words = shlex.split(command)
    start = time.monotonic()
    pid = os.spawnv(os.P_NOWAIT, words[0], words)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - start
    if status != 0:
        sys.exit(f"pairs.py: failed: {command}")
    return usage.ru_utime + usage.ru_stime, wall


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=10000)
    parser.add_argument("--core", type=int, help="run all commands on this core")
    parser.add_argument("label")
    parser.add_argument("commands", nargs="+")
    given = parser.parse_args()
    commands = given.commands
    if given.core is not None:
        os.sched_setaffinity(0, {given.core})
    for command in commands:
        run(command)
    rounds = []
    for number in range(given.rounds):
        order = list(range(len(commands)))
        if number % 2:
            order.reverse()
        costs = [None] * len(commands)
        for at in order:
            costs[at] = run(commands[at])
        rounds.append(costs)

    for at, command in enumerate(commands):
        name = os.path.basename(shlex.split(command)[0]).replace("_calls", "")
        micro = [statistics.median(r[at][what] for r in rounds) / given.calls * 1e6 for what in (0, 1)]
        cells = [given.label, name, f"{micro[0]:.1f}", f"{micro[1]:.1f}"]
        for what in (0, 1):
            ratios = [r[at][what] / r[1][what] for r in rounds]
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            cells.append("1" if at == 1 else spread)
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
