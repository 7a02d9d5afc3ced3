"""Fetches the packages of the devices in a CSV file: fleet.py DEVICES.csv FOLDER COMMENT

The folder exists. The options of the client are in mde.json, in the current folder (docs/python.md).
"""
import csv
import json
import sys

import mde


def show(event: mde.ProgressEvent) -> None:
    if event["stage"] == "fleet":
        job = event["done"], event["devices"], event.get("eta_ms", 0) // 60000
        print("%d of %d done, at least %d min left" % job, end=" \r", file=sys.stderr)


if len(sys.argv) != 4:
    sys.exit(__doc__)
ids = []
left_out = []
try:
    with open("mde.json", "rb") as options, open(sys.argv[1], encoding="utf-8-sig") as file, \
            mde.Client(json.load(options), wait_timeout_ms=0) as client:
        names = filter(None, (row[0].strip().lower() for row in csv.reader(file) if row))
        for number, name in enumerate(names):
            exact = [it["id"] for it in client.find_machines(name)["machines"]  # and longer names
                     if name == it["id"] or (it["computerDnsName"] + ".").startswith(name + ".")]
            print("%s: %d devices" % (name, len(exact)), file=sys.stderr)
            ids.extend(exact if len(exact) == 1 else [])  # never one of several
            if len(exact) > 1 or not exact and number > 0:  # the first may be the header
                left_out.append(name)
        packages = client.fetch_packages(ids, sys.argv[3], sys.argv[2], progress=show)["packages"]
except (mde.MdeError, KeyboardInterrupt, OSError) as error:
    print(str(error) or "interrupted; run the same command to resume", file=sys.stderr)
    packages = getattr(error, "packages", None) or []
for it in packages:
    print("%(state)-8s%(machine_id)s" % it, it.get("error", it.get("package", it).get("path", "")))
if left_out:
    print("\nleft out, since they name no device, or several:", ", ".join(left_out), file=sys.stderr)
sys.exit(bool(left_out) or {it["state"] for it in packages} != {"done"})
