#!/usr/bin/env python3
"""Draws the pictures of docs/performance.md from what the benches have printed.

    plots.py [FOLDER]

Reads the tables of benches/results.md, and benches/fleet/progress.txt, which has its command in the first line. Writes into
docs, or FOLDER.
"""
import html
import math
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
OURS, THEIRS, INK, PAPER, GRID = "#2f6db5", "#b9c2cf", "#1f2937", "#f4f6f9", "#d5dbe3"
WIDTH = 640


def text(x, y, what, size=12, anchor="start", weight=400):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
            f'fill="{INK}">{html.escape(str(what))}</text>')


def box(x, y, width, height, fill):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>'


def line(x, y, to_x, to_y, color=GRID):
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{color}"/>'


def picture(height, title, parts):
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-label="{html.escape(title)}" font-family="system-ui, sans-serif">')
    return "\n".join([head, box(0, 0, WIDTH, height, PAPER), text(12, 24, title, 14, weight=600), *parts, "</svg>", ""])


def legend(names, y=44):
    parts, x = [], 12
    for name, color in names:
        parts += [box(x, y - 10, 12, 12, color), text(x + 18, y, name)]
        x += 36 + 7 * len(name)
    return parts


def rows(head):
    """The cells of the first table of the results that has this head."""
    lines = (HERE / "results.md").read_text().splitlines()
    at = lines.index(head) + 2
    found = []
    while lines[at].startswith("|"):
        found.append([cell.strip() for cell in lines[at].strip("|").split("|")])
        at += 1
    return found


def bars(title, unit, groups, names):
    """Groups of horizontal bars, the first of each in the colour of the library."""
    most = max(value for _, values in groups for value in values)
    left, right, y, parts = 130, 70, 62, legend(names)
    for label, values in groups:
        parts.append(text(left - 10, y + 9 * len(values) + 3, label, anchor="end"))
        for value, (_, color) in zip(values, names):
            width = (WIDTH - left - right) * value / most
            parts += [box(left, y, width, 15, color), text(left + width + 6, y + 12, f"{value:g} {unit}")]
            y += 18
        y += 12
    return picture(y + 4, title, parts)


def ticks(most):
    """At most six round steps from 0 to what is at least the most."""
    steps = (factor * 10 ** power for power in range(9) for factor in (1, 2, 5))
    step = next(step for step in steps if most <= 6 * step)
    return [step * number for number in range(math.ceil(most / step) + 1)]


def curve(title, x_name, y_name, series):
    """Lines in one frame, each with a name, a colour and points."""
    xs = ticks(max(x for *_, points in series for x, _ in points))
    ys = ticks(max(y for *_, points in series for _, y in points))
    left, top, width, height = 60, 78, WIDTH - 90, 240
    at = lambda x, y: (left + width * x / xs[-1], top + height - height * y / ys[-1])
    parts = legend([(name, color) for name, color, _ in series])
    for x in xs:
        parts += [line(*at(x, 0), *at(x, ys[-1])), text(at(x, 0)[0], top + height + 18, f"{x:g}", anchor="middle")]
    for y in ys:
        parts += [line(*at(0, y), *at(xs[-1], y)), text(left - 8, at(0, y)[1] + 4, f"{y:g}", anchor="end")]
    for _, color, points in series:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
    parts += [text(left + width, top + height + 36, x_name, anchor="end"), text(12, top - 12, y_name)]
    return picture(top + height + 48, title, parts)


def pairs(table, column, theirs):
    """The figures of the library and of the others, case by case."""
    cost = {(row[0], row[1]): float(row[column]) for row in table}
    return [(case, [cost[case, "mde"], cost[case, theirs]]) for case in dict.fromkeys(row[0] for row in table)]


def calls():
    table = rows("| case | program | CPU µs per call | wall µs per call | CPU ratio | wall ratio |")
    return bars("Processor time of a call over a keep-alive connection", "µs", pairs(table, 2, "curl"),
                [("libmde", OURS), ("libcurl and cJSON", THEIRS)])


def download():
    whole = "curl -o && openssl dgst && unzip -t"
    table = rows("| from | program | wall s | CPU s | peak MiB | to curl -o | to the last byte | to the whole job |")
    return bars("Seconds of a download with its checks", "s", pairs(table, 2, whole), [("libmde", OURS), (whole, THEIRS)])


def fleet():
    lines = (HERE / "fleet/progress.txt").read_text().splitlines()
    points = [tuple(map(float, one.split())) for one in lines if not one.startswith("#")]
    # Two links a minute, the first two when the first collection has ended after 65 s.
    last, quota = points[-1][1], [(0, 0), (65 / 60, 0)]
    while quota[-1][1] < last:
        minute, packages = quota[-1]
        next_one = min(packages + 2, last)
        quota += [(minute, next_one)] if next_one == last else [(minute, next_one), (minute + 1, next_one)]
    steps = [(0, 0)]
    for minute, packages in points:
        steps += [(minute, steps[-1][1]), (minute, packages)]
    return curve("One call over many devices", "minutes of the service", "packages",
                 [("the most that the quota allows", THEIRS, quota), ("mde_fetch_packages", OURS, steps)])


def waiting():
    table = rows("| devices | bytes per device | threads |")
    points = [(float(row[0]), float(row[0]) * float(row[1]) / 1024) for row in table]
    return curve("Memory of devices that wait in one call", "devices", "KiB", [("libmde", OURS, [(0, 0), *points])])


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "docs"
    for name, draw in (("calls", calls), ("download", download), ("fleet", fleet), ("waiting", waiting)):
        (folder / f"performance-{name}.svg").write_text(draw())


main()
