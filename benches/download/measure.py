#!/usr/bin/env python3
"""Downloads one large package alternately with libmde and with curl, and compares the costs.

    measure.py [--rounds N] [--mib N] [--azurite] WORK PROGRAM BLOBS TARGET

WORK holds server.pem, server.key and ca.pem; PROGRAM is the one from download.c; BLOBS makes blobs and links
(tests/azurite/blobs.mjs); TARGET is a folder for the downloads. Wall is the time of the whole process, CPU the user and
system time of it and its children, memory its peak. Ratios are taken within a round: to `curl -o`, and to the whole job, `curl -o`
with `openssl dgst` and `unzip -t` behind it. The table has their median, smallest and largest.
"""
import argparse
import atexit
import json
import os
import pathlib
import random
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import time
import zlib

ACTION = "5382f7ea-7557-4ab7-9782-d50480024a4%d"

NGINX = """
%(user)s daemon off; master_process off; pid download.pid; error_log error.log;
events { worker_connections 64; }
http {
    access_log off; root www; default_type application/json; sendfile on; tcp_nopush on;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    ssl_certificate server.pem; ssl_certificate_key server.key; ssl_protocols TLSv1.2 TLSv1.3;
    server { listen 127.0.0.1:%(slow)d; limit_rate 120m; }
    server {
        listen 127.0.0.1:%(http)d; listen 127.0.0.1:%(https)d ssl;
        location ~ ^/api/machineactions/[^/]*$ { try_files $uri/record.json =404; }
    }
}
"""


def ports(count):
    """Unused ports below those that the system gives to connections."""
    found = set()
    while len(found) < count:
        port = random.randrange(20000, 32000)
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)):
                found.add(port)
    return list(found)


def start(words, port, **more):
    process = subprocess.Popen(words, **more)
    atexit.register(lambda: (process.terminate(), process.wait()))
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process
        except OSError:
            time.sleep(0.1)
    sys.exit(f"measure.py: {words[0]} does not listen")


def package(path, size):
    """A zip with one stored entry of random bytes."""
    name, crc = b"Security event log/Security.evtx", 0
    with open(path, "wb") as out:
        out.write(bytes(30 + len(name)))
        left = size
        while left:
            block = os.urandom(min(left, 1 << 20))
            crc = zlib.crc32(block, crc)
            out.write(block)
            left -= len(block)
        at = out.tell()
        common = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, crc, size, size, len(name), 0)
        out.write(b"PK\1\2\x14\0" + common + bytes(14) + name)
        length = out.tell() - at
        out.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, length, at, 0))
        out.seek(0)
        out.write(b"PK\3\4" + common + name)


def run(command, target):
    for left in target.iterdir():
        left.unlink()
    # Otherwise the system would write the previous run's data during this one.
    os.sync()
    printed = target.parent / "printed"
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.execv(command[0], command)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - start
    if status:
        sys.exit(f"measure.py: failed: {command}")
    # The program of libmde prints the seconds after the last byte.
    after = float(printed.read_text() or 0)
    return wall, usage.ru_utime + usage.ru_stime, wall - after


def peak(command, target):
    """The peak memory, of a separate run. wait4() would return this program's own memory, which its child starts with."""
    for left in target.iterdir():
        left.unlink()
    found = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                break
            found = max([found, *(int(l.split()[1]) for l in status.splitlines() if l.startswith("VmHWM"))])
            time.sleep(0.005)
    return found


def spread(took, name, other, at=0):
    ratio = [ours[at] / theirs[at] for ours, theirs in zip(took[name], took[other])]
    return f"{statistics.median(ratio):.2f} ({min(ratio):.2f} to {max(ratio):.2f})"


def compare(label, programs, target, rounds):
    names = list(programs)
    whole = names[-1]
    took = {name: [] for name in names}
    for name in names:
        run(programs[name], target)
    for number in range(rounds):
        for name in names if number % 2 else reversed(names):
            took[name].append(run(programs[name], target))
    for name in names:
        wall, cpu = (statistics.median(one[at] for one in took[name]) for at in range(2))
        shown = "1" if name == "curl -o" else spread(took, name, "curl -o")
        apart = spread(took, name, "curl -o", 2) if name == "mde" else ""
        job = "1" if name == whole else spread(took, name, whole)
        memory = f"{peak(programs[name], target) / 1024:.1f}" if "&&" not in name else ""
        print(f"| {label} | {name} | {wall:.2f} | {cpu:.2f} | {memory} | {shown} | {apart} | {job} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--azurite", action="store_true")
    for name in ("work", "program", "blobs", "target"):
        parser.add_argument(name, type=pathlib.Path)
    given = parser.parse_args()
    work, target = given.work.resolve(), given.target.resolve()
    target.mkdir(exist_ok=True)
    http, https, slow, blob_http, blob_https = ports(5)
    user = "user root;" if os.geteuid() == 0 else ""
    (work / "nginx-download.conf").write_text(NGINX % {"user": user, "http": http, "https": https, "slow": slow})
    actions = work / "www/api/machineactions"
    actions.mkdir(parents=True, exist_ok=True)
    package(work / "www/package.zip", given.mib << 20)
    nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    start([nginx, "-p", str(work), "-c", "nginx-download.conf", "-e", "error.log"], http, stderr=subprocess.DEVNULL)
    links = [f"http://127.0.0.1:{http}/package.zip", f"https://127.0.0.1:{https}/package.zip"]
    links.append(f"http://127.0.0.1:{slow}/package.zip")
    labels = ["nginx, HTTP", "nginx, TLS", "nginx, 120 MB/s"]
    if given.azurite:
        main_js = given.blobs.parent / "node_modules/azurite/dist/src/blob/main.js"
        options = ["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--blobHost", "127.0.0.1"]
        tls = ["--cert", str(work / "server.pem"), "--key", str(work / "server.key")]
        environment = dict(os.environ, NODE_EXTRA_CA_CERTS=str(work / "ca.pem"))
        for port, more, scheme in ((blob_http, [], "http"), (blob_https, tls, "https")):
            place = ["--location", str(work / f"azurite-{scheme}"), "--blobPort", str(port)]
            start(["node", str(main_js), *options, *place, *more], port, stdout=subprocess.DEVNULL)
            blobs = ["node", str(given.blobs), f"{scheme}://127.0.0.1:{port}"]
            subprocess.run([*blobs, "put", "packages", "b", str(work / "www/package.zip")], check=True, env=environment)
            link = subprocess.run([*blobs, "link", "packages", "b", "36000"], check=True, capture_output=True, env=environment)
            links.append(link.stdout.decode().strip())
            labels.append(f"Azurite, {'TLS' if scheme == 'https' else 'HTTP'}")
    curl, shell = shutil.which("curl"), shutil.which("sh")
    for number, (label, link) in enumerate(zip(labels, links)):
        action = ACTION % number
        (actions / action).mkdir(exist_ok=True)
        record = {"id": action, "type": "CollectInvestigationPackage", "status": "Succeeded"}
        (actions / action / "record.json").write_text(json.dumps(record))
        (actions / action / "getPackageUri").write_text(json.dumps({"value": link}))
        fetch = f"{curl} -sS --cacert {work}/ca.pem -o {target}/f '{link}'"
        compare(label, {
            "mde": [str(given.program), f"http://127.0.0.1:{http}", action, f"{target}/f", f"{work}/ca.pem"],
            "curl -o": [curl, "-sS", "--cacert", f"{work}/ca.pem", "-o", f"{target}/f", link],
            "curl -o && openssl dgst && unzip -t": [
                shell, "-c", f"{fetch} && openssl dgst -sha256 {target}/f >{target}/hash && unzip -tq {target}/f >{target}/test",
            ],
        }, target, given.rounds)


main()
