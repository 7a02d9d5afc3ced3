#!/usr/bin/env python3
"""Fetches an investigation package from one device, shows progress, and prints what arrived.

After Ctrl-C, a kill or a restart, run the same command to resume. The secret comes from the environment variable
MDE_CLIENT_SECRET or from a file, never from the command line, where other users can read it.

Exit codes: 0 the package is there; 1 it failed; 2 the command line is wrong; 3 it failed, but may succeed when tried
again later; 130 it was interrupted.
"""

import argparse
import json
import logging
import os
import sys
import time
from typing import Dict, List, Optional, Tuple

import mde


def visible(text: object) -> str:
    """Replaces control characters, which could rewrite what a terminal shows."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))


class Progress:
    """Shows progress on stderr: one line that is redrawn on a terminal, else a line every few seconds."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.last_line = ""
        self.last_stage = ""
        self.shown = 0.0

    def __call__(self, event: mde.ProgressEvent) -> None:
        stage = event["stage"]
        if stage == "collect":
            how = "which existed already" if event["adopted"] else "started now"
            line = "collecting   action %s, %s" % (visible(event["action_id"]), how)
        elif stage == "quota":
            line = "queueing     for the quota of %s" % event["endpoint"]
            if "wait_ms" in event:
                line += ", %d s at least" % (event["wait_ms"] // 1000)
        elif stage == "wait":
            line = "waiting      %s for %d s" % (visible(event.get("status", "…")), event["elapsed_ms"] / 1000)
        elif stage in ("download", "verify"):
            total = event.get("total")
            share = "%3d %%" % (100 * event["bytes"] / total) if total else "     "
            name = "downloading" if stage == "download" else "checking"
            line = "%-12s %s  %.1f MB" % (name, share, event["bytes"] / 1e6)
        else:
            # A stage of a later version of the library.
            return
        self.show(stage, line)

    def show(self, stage: str, line: str) -> None:
        if self.terminal:
            newline = "\n" if self.last_stage not in ("", stage) else ""
            sys.stderr.write("%s\r%s\x1b[K" % (newline, line))
            sys.stderr.flush()
        elif stage != self.last_stage or (line != self.last_line and time.monotonic() - self.shown > 5):
            print(line, file=sys.stderr, flush=True)
            self.shown = time.monotonic()
        self.last_stage, self.last_line = stage, line

    def end(self) -> None:
        if self.terminal and self.last_stage:
            print(file=sys.stderr)


def pair(text: str) -> Tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("expected NAME=VALUE, not %r" % text)
    if name in ("client_secret", "access_token", "client_key", "tls_key", "certificate_password"):
        raise argparse.ArgumentTypeError("secrets do not belong on a command line: %s" % name)
    return name, value


def arguments(given: Optional[List[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="fetch.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    env = os.environ.get

    def add(flag: str, variable: str, meaning: str, default: Optional[str] = None) -> None:
        value = env(variable, default)
        text = "%s; or %s in the environment" % (meaning, variable)
        parser.add_argument(flag, default=value, required=value is None, help=text)

    add("--tenant", "MDE_TENANT_ID", "the Entra tenant")
    add("--client", "MDE_CLIENT_ID", "the application's id")
    add("--machine", "MDE_MACHINE_ID", "the device id, 40 hexadecimal digits")
    add("--comment", "MDE_COMMENT", "why, for the audit trail of the tenant")
    add("--out", "MDE_OUT", "the file to make, or the folder to make it in", ".")
    parser.add_argument("--secret-file", help="a file with the client secret")
    parser.add_argument("--option", type=pair, action="append", default=[], metavar="NAME=VALUE",
                        help="any other option of docs/options.md; may be repeated")
    parser.add_argument("--timeout", type=float, help="give up after so many seconds")
    parser.add_argument("--json", action="store_true", help="print the library's document")
    parser.add_argument("--verbose", action="store_true", help="show the library's log lines")
    return parser.parse_args(given)


def options(chosen: argparse.Namespace) -> Dict[str, mde.Option]:
    found: Dict[str, mde.Option] = {"tenant_id": chosen.tenant, "client_id": chosen.client}
    if chosen.secret_file:
        with open(chosen.secret_file, encoding="utf-8") as file:
            found["client_secret"] = file.read().strip()
    elif "MDE_CLIENT_SECRET" in os.environ:
        found["client_secret"] = os.environ["MDE_CLIENT_SECRET"]
    found.update(chosen.option)
    return found


def show(fetched: mde.Fetched) -> None:
    package = fetched["package"]
    adopted = "yes" if fetched["adopted"] else "no (started by this call)"
    for name, value in (
        ("package", package["path"]),
        ("bytes", package["bytes"]),
        ("sha256", package["sha256"]),
        ("computer", package.get("computer_name", "unknown")),
        ("adopted", adopted),
        ("device", package.get("device", "unknown")),
        ("missing", ", ".join(package["missing"]) or "nothing"),
    ):
        print("%-12s %s" % (name, visible(value)))
    contents = mde.inspect_package(package["path"])["package"]["files"]
    print("%-12s %d entries" % ("contents", len(contents)))
    for file in contents:
        print("%12d %s" % (file["bytes"], visible(file["name"])))


def complain(error: mde.MdeError) -> None:
    print("fetch.py: %s" % visible(error), file=sys.stderr)
    for name in ("stage", "http_status", "service_code", "request_id", "correlation_id", "action_id"):
        value = getattr(error, name)
        if value is not None:
            print("  %-14s %s" % (name, visible(value)), file=sys.stderr)
    if error.retryable:
        after = " in %d s" % error.retry_after if error.retry_after else " later"
        print("  the error is transient; run the same command to resume%s" % after, file=sys.stderr)


def main(given: Optional[List[str]] = None) -> int:
    chosen = arguments(given)
    if chosen.verbose:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")
        mde.log_to(logging.getLogger("mde"))
    progress = Progress()
    try:
        with mde.Client(options(chosen)) as client:
            fetched = client.fetch_package(
                chosen.machine, chosen.comment, chosen.out, progress=progress, timeout=chosen.timeout
            )
        progress.end()
        if chosen.json:
            print(json.dumps(fetched))
        else:
            show(fetched)
        return 0
    except mde.UsageError as error:
        print("fetch.py: %s" % visible(error), file=sys.stderr)
        return 2
    except mde.MdeError as error:
        progress.end()
        complain(error)
        return 3 if error.retryable else 1
    except OSError as error:
        print("fetch.py: %s" % visible(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        progress.end()
        for outcome in getattr(interrupt, "mde_outcomes", ()):
            if "package" in outcome:
                print("fetch.py: the package is there: %s" % visible(outcome["package"]["path"]), file=sys.stderr)
            else:
                print("fetch.py: %s" % visible(outcome["error"]["message"]), file=sys.stderr)
        print("fetch.py: interrupted; run the same command to resume", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
