"""Fetches the packages of the devices in a CSV file: fleet.py DEVICES.csv FOLDER COMMENT"""
import csv
import json
import sys

import mde


def show(event: mde.ProgressEvent) -> None:
    if event["stage"] == "fleet":
        job = event["done"], event["devices"], event.get("eta_ms", 0) // 60000
        print("%d of %d done, at least %d min left" % job, end=" \r", file=sys.stderr)


ids = []
try:
    with open("mde.json", "rb") as options, open(sys.argv[1], encoding="utf-8-sig") as file, \
            mde.Client(json.load(options), wait_timeout_ms=0) as client:
        for name in filter(None, (row[0].strip().lower() for row in csv.reader(file) if row)):
            exact = [it["id"] for it in client.find_machines(name)["machines"]  # and longer names
                     if name == it["id"] or (it["computerDnsName"] + ".").startswith(name + ".")]
            print("%s: %d devices" % (name, len(exact)), file=sys.stderr)
            ids.extend(exact if len(exact) == 1 else [])  # never one of several
        packages = client.fetch_packages(ids, sys.argv[3], sys.argv[2], progress=show)["packages"]
except (mde.MdeError, KeyboardInterrupt) as error:
    print(str(error) or "interrupted; run the same command to resume", file=sys.stderr)
    packages = getattr(error, "packages", None) or []
for it in packages:
    print("%(state)-8s%(machine_id)s" % it, it.get("error", it.get("package", it).get("path", "")))
sys.exit({it["state"] for it in packages} != {"done"})
