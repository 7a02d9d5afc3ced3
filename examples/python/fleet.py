#!/usr/bin/env python3
"""Fetches the packages of all devices in the first column of a CSV file: fleet.py DEVICES.csv FOLDER COMMENT

The options of docs/options.md are in mde.json. After Ctrl-C or a kill, the same command resumes.
"""

import csv
import json
import pathlib
import sys
from typing import Tuple

import mde


def show(event: mde.ProgressEvent) -> None:
    if event["stage"] == "fleet":
        minutes = event.get("eta_ms", 0) // 60000
        line = "\r%d of %d done, at least %d min left " % (event["done"], event["devices"], minutes)
        print(line, end="", file=sys.stderr, flush=True)


def names(machine: mde.Machine) -> Tuple[str, str, str]:
    whole = str(machine["computerDnsName"]).lower()
    return whole, whole.split(".")[0], machine["id"]


def main(devices: str, folder: str, comment: str) -> int:
    # Without this the call ends after an hour. What mde.json sets counts.
    options = {"wait_timeout_ms": 0, **json.loads(pathlib.Path("mde.json").read_text(encoding="utf-8"))}
    job: mde.Found = {"machines": [], "checks": [], "more": False}
    with mde.Client(options) as client, open(devices, encoding="utf-8-sig", newline="") as file:
        # The service keeps names in lower case.
        for name in (row[0].strip().lower() for row in csv.reader(file) if row):
            found = client.find_machines(name)
            # A search also finds names that merely begin so.
            own = [at for at, one in enumerate(found["machines"]) if name in names(one)]
            if len(own) == 1:
                job["machines"].append(found["machines"][own[0]])
                job["checks"].append(found["checks"][own[0]])
            else:
                print("left out: %d devices have the name %s" % (len(own), name), file=sys.stderr)
        try:
            packages = client.fetch_packages(job, comment, folder, progress=show)["packages"]
        except mde.MdeError as error:
            print("\n%s" % error, file=sys.stderr)
            packages = error.packages or []
    for one in packages:
        print(one["state"], one["machine_id"], one["package"]["path"] if one["state"] == "done" else one.get("error"))
    return 0 if packages and all(one["state"] == "done" for one in packages) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("\nfleet.py: interrupted; run the same command to resume")
