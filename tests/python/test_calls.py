"""Results and exceptions of calls."""

import ast
import contextlib
import copy
import ctypes
import gc
import http.server
import io
import json
import logging
import os
import pathlib
import pickle
import re
import subprocess
import sys
import threading
import time
import unittest
import weakref
from datetime import timedelta
from typing import Any, List
from unittest import mock

import mde
import mde._client
import mde._library
import mde._log
import mde._text

from support import CHECKOUT, MACHINES, NO_ACTION, OPTIONS, Background, Case, control, requests, with_token


def checkout(path: str) -> str:
    return pathlib.Path(CHECKOUT, path).read_text(encoding="utf-8")


class Table(unittest.TestCase):
    """The package against the header and the lists of the checkout."""

    def test_every_status(self) -> None:
        header = checkout("include/mde.h")
        found = {name: int(code) for name, code in re.findall(r"#define MDE_(?:ERR_)?(\w+) (\d+)\n", header)}
        levels = {name for name in found if name.startswith(("HEADER_", "LOG_"))}
        known = {name: code for name, code in found.items() if name not in levels}
        self.assertEqual({status.name: int(status) for status in mde.Status}, known)
        for status in mde.Status:
            self.assertEqual(mde.status_name(status), status.name.lower())
        self.assertEqual(mde.abi_version(), found["HEADER_ABI_VERSION"])
        self.assertEqual(mde.abi_version(), mde._library.ABI_VERSION)
        self.assertEqual('"%s"' % mde.version(), re.findall(r"#define MDE_HEADER_VERSION (.*)", header)[0])
        self.assertIn('version = "%s"' % mde.version(), checkout("bindings/python/pyproject.toml"))
        self.assertEqual(mde.__version__, mde.version())

    def test_every_function(self) -> None:
        exports = set(checkout("tests/abi/exports.txt").split())
        self.assertEqual(set(mde._library.SIGNATURES), exports)
        folder = pathlib.Path(mde.__file__).parent
        sources = [file.read_text(encoding="utf-8") for file in folder.glob("*.py") if file.name != "_library.py"]
        used = set(re.findall(r"mde_[a-z_]+", "".join(sources))) | {"mde_string_free", "mde_abi_version"}
        self.assertEqual(exports - used, set())

    def test_the_number_of_arguments_is_that_of_the_header(self) -> None:
        header = re.sub(r"/\*.*?\*/", "", checkout("include/mde.h"), flags=re.S)
        for name, (result, arguments) in mde._library.SIGNATURES.items():
            given = re.search(r"MDE_API\s+(\w+)[^;]*?\b%s\(([^)]*)\);" % name, header)
            assert given is not None, name
            types = [] if given.group(2) == "void" else given.group(2).split(",")
            self.assertEqual(len(types), len(arguments), name)
            self.assertEqual(given.group(1) == "void", result is None, name)
            self.assertEqual(given.group(1) == "mde_status", result is ctypes.c_int32, name)

    def test_every_duration(self) -> None:
        named = re.findall(r"^\| `(\w+)_ms` \|", checkout("docs/options.md"), flags=re.M)
        self.assertEqual(sorted(named), sorted(mde._client.DURATIONS))

    def test_the_oldest_syntax(self) -> None:
        folder = pathlib.Path(mde.__file__).parent
        for file in list(folder.glob("*.py")) + [pathlib.Path(os.environ["MDE_TEST_EXAMPLE"])]:
            ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 8))

    def test_unknown_codes_survive(self) -> None:
        new = mde.Status(67890)
        self.assertEqual((int(new), new.name, str(int(new))), (67890, "UNKNOWN_67890", "67890"))
        self.assertEqual(mde.status_name(67890), "unknown")
        for code, kind in [(19, mde.UsageError), (35, mde.SignInError), (59, mde.NetworkError), (79, mde.ServiceError),
                           (99, mde.LimitError), (119, mde.LocalError), (500, mde.MdeError)]:
            error = mde._errors.error(code, None)
            self.assertIs(type(error), kind)
            self.assertEqual((error.status, error.retryable, error.message), (code, False, "unknown_%d" % code))
        self.assertEqual(pickle.loads(pickle.dumps(new)), new)

    def test_a_refused_package(self) -> None:
        kept: mde.RefusedPackage = {"path": "p.zip.unsafe", "bytes": 7, "sha256": "s", "unsafe_count": 1,
                                    "unsafe_entries": [{"name": "../x", "reason": "has a path"}]}
        members: mde.ErrorMembers = {"status": 103, "name": "unsafe", "message": "m", "retryable": False}
        error = mde._errors.error(103, {"error": members, "package": kept})
        self.assertIs(type(error), mde.UnsafeError)
        self.assertIsInstance(error, mde.LocalError)
        self.assertEqual((error.status, error.package), (mde.Status.UNSAFE, kept))
        self.assertIsNone(mde._errors.error(102, {"error": members}).package)
        self.assertIsNone(mde._errors.error(102, None).package)


class Loading(unittest.TestCase):
    def python(self, program: str, **environment: str) -> str:
        own = {name: value for name, value in os.environ.items() if name not in ("MDE_LIBRARY", "LD_LIBRARY_PATH")}
        own.update(environment)
        ran = subprocess.run([sys.executable, "-c", program], env=own, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=60)
        return ran.stdout.decode()

    def test_where_it_is_looked_for(self) -> None:
        library = mde.load()
        say = "import mde; print(mde.load(), mde.version())"
        self.assertEqual(self.python(say, MDE_LIBRARY=library), "%s %s\n" % (library, mde.version()))
        lib = os.environ["MDE_TEST_LIB"]
        self.assertEqual(self.python(say, LD_LIBRARY_PATH=lib), "libmde.so.0 %s\n" % mde.version())
        named = "import mde; print(mde.load(%r), flush=True); mde.load('/other')" % library
        said = self.python(named, MDE_LIBRARY="/nowhere/libmde.so")
        self.assertTrue(said.startswith(library + "\n"), said)
        self.assertIn("RuntimeError: the library was loaded from %s already" % library, said)

    def test_beside_the_module(self) -> None:
        folder = pathlib.Path(mde.__file__).parent
        beside = folder / "libmde.so.0"
        beside.symlink_to(mde.load())
        try:
            self.assertEqual(self.python("import mde; print(mde.load())"), "%s\n" % beside)
        finally:
            beside.unlink()

    def test_what_is_missing(self) -> None:
        said = self.python("import mde; mde.version()")
        self.assertIn("LibraryNotFoundError: the native library of mde could not be loaded (libmde.so.0: ", said)
        self.assertIn("name its file with mde.load() or in MDE_LIBRARY", said)
        said = self.python("import mde; mde.version()", MDE_LIBRARY="/nowhere/libmde.so")
        self.assertIn("/nowhere/libmde.so", said)
        said = self.python("import mde; mde.version()", MDE_LIBRARY="libc.so.6")
        self.assertIn("libc.so.6 is no library that this module can use", said)


class Results(Case):
    def test_a_package_from_end_to_end(self) -> None:
        events: List[Any] = []
        fetched = self.client.fetch_package(MACHINES[0], "case 4711", pathlib.Path(self.file()), progress=events.append)
        self.assertEqual(fetched["package"]["path"], self.file())
        self.assertFalse(fetched["package"]["existing"])
        self.assertTrue({"collect", "wait", "download", "verify"} <= {event["stage"] for event in events})
        checked: List[Any] = []
        inspected = mde.inspect_package(self.file(), progress=checked.append, timeout=60)
        self.assertEqual({event["stage"] for event in checked}, {"verify"})
        self.assertEqual(inspected["package"]["sha256"], fetched["package"]["sha256"])
        self.assertEqual(len(inspected["package"]["files"]), fetched["package"]["entries"])
        again = self.client.fetch_package(MACHINES[0], "case 4711", self.file())
        self.assertTrue(again["package"]["existing"])

    def test_the_steps(self) -> None:
        found = self.client.find_machines(MACHINES[1])
        self.assertEqual(found["machines"][0]["id"], MACHINES[1])
        collected = self.client.collect_package(MACHINES[1], "why", timeout=timedelta(seconds=30))
        action = collected["action"]["id"]
        self.assertFalse(collected["adopted"])
        self.assertEqual(self.client.get_action(action)["action"]["id"], action)
        self.assertEqual(self.client.wait_action(action, timeout=30)["action"]["status"], "Succeeded")
        self.assertTrue(self.client.get_package_uri(action)["uri"].startswith("http"))
        listed = self.client.list_actions("machineId eq '%s'" % MACHINES[1])["actions"]
        self.assertIn(action, [one["id"] for one in listed])
        package = self.client.download_package(action, self.folder)["package"]
        self.assertTrue(os.path.exists(package["path"]))
        quotas = self.client.get_quota()
        self.assertEqual({one["endpoint"] for one in quotas["quotas"]},
                         {"collect", "read", "list", "cancel", "link", "machines"})

    def test_the_access(self) -> None:
        access = self.client.check_access(timeout=30)["access"]
        self.assertTrue(access["ok"], access)
        self.assertEqual([step["result"] for step in access["steps"]], ["ok"] * 6)
        self.assertEqual(access["identity"]["kind"], "application")
        self.assertTrue(all(one["allowed"] for one in access["functions"]))
        self.assertEqual(access["api_host"]["http_status"], 200)

    def test_cancelling_an_action(self) -> None:
        control("behaviour", {"pending_s": 600})
        try:
            action = self.client.collect_package(MACHINES[2], "why")["action"]["id"]
            ended = self.client.cancel_action(action, "no longer needed")
        finally:
            control("behaviour", {"pending_s": 0.1})
        self.assertTrue(ended["cancelled"])
        with self.assertRaises(mde.ActionEndedError) as caught:
            self.client.wait_action(action)
        self.assertEqual(caught.exception.status, mde.Status.ACTION_CANCELLED)
        assert caught.exception.action is not None
        self.assertEqual(caught.exception.action["id"], action)

    def test_json_get(self) -> None:
        text = '{"a": ["x", null, 1.5, {"b": true}]}'
        self.assertEqual(mde.json_get(text, "/a/0"), "x")
        self.assertIsNone(mde.json_get(text, "/a/1"))
        self.assertEqual(mde.json_get(text, "/a/3"), '{"b": true}')
        with self.assertRaises(mde.NotFoundError):
            mde.json_get(text, "/b")

    def test_a_client_from_json(self) -> None:
        import json

        with mde.Client.from_json(json.dumps(OPTIONS)) as client:
            self.assertEqual(client.find_machines(MACHINES[0])["machines"][0]["id"], MACHINES[0])
        with self.assertRaisesRegex(mde.ConfigError, "tenat"):
            mde.Client.from_json('{"tenat": "x"}')


class Failures(Case):
    def test_a_client_is_not_copied(self) -> None:
        # A copy would free what the client still uses.
        for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
            with self.assertRaisesRegex(TypeError, "cannot be copied"):
                duplicate(self.client)

    def test_bad_options_are_named(self) -> None:
        for options, settings, says in [
            ("x", {}, "options must be a mapping, not str"),
            (None, {"timeout_ms": None}, "timeout_ms must be a str or a path of str, not NoneType"),
            (None, {"download_hosts": ["a"]}, "download_hosts must be a str or a path of str, not list"),
            (None, {"ca_file": b"x"}, "ca_file must be a str or a path of str, not bytes"),
            (None, {"timeout": 5, "timeout_ms": 7}, "timeout is given twice"),
        ]:
            with self.assertRaisesRegex(TypeError, says):
                mde.Client(options, **settings)  # type: ignore[arg-type]
        with self.assertRaisesRegex(ValueError, "timeout must be a number of seconds, 0 or more, not nan"):
            mde.Client(timeout=float("nan"))

    def test_a_provider_that_gives_no_token(self) -> None:
        with mde.Client(dict(OPTIONS), auth="token_provider", token_provider=lambda scope: 5) as client:  # type: ignore
            with self.assertRaisesRegex(TypeError, "the token must be a str, not int"):
                client.list_actions()

    def test_a_provider_is_kept_as_long_as_its_client(self) -> None:
        class Provider:
            def __call__(self, scope: str) -> str:
                return os.environ["MDE_TEST_TOKEN"]

        before = len(mde._client._providers)
        provider = Provider()
        kept = weakref.ref(provider)
        with with_token(provider) as client:
            del provider
            client.list_actions()
            self.assertIsNotNone(kept())
        gc.collect()
        self.assertIsNone(kept())
        with self.assertRaises(mde.ConfigError):
            mde.Client(auth="client_secret", token_provider=Provider())
        self.assertEqual(len(mde._client._providers), before)

    def test_what_cannot_be_called_is_refused_before_anything_happens(self) -> None:
        before = len(self.client.list_actions()["actions"])
        path = os.path.join(self.folder, "never.zip")
        for call in (
            lambda: self.client.fetch_package(MACHINES[0], "why", path, progress=5),  # type: ignore[arg-type]
            lambda: self.client.wait_action(NO_ACTION, progress="x"),  # type: ignore[arg-type]
            lambda: self.client.download_package(NO_ACTION, path, progress=5),  # type: ignore[arg-type]
        ):
            with self.assertRaisesRegex(TypeError, "progress"):
                call()
        for name in ("token_provider", "signer"):
            bad: Any = {name: 42}
            makes: List[Any] = [lambda: mde.Client(OPTIONS, **bad), lambda: mde.Client.from_json("{}", **bad)]
            for make in makes:
                with self.assertRaisesRegex(TypeError, "^%s must be a function that takes .*, or None, not int" % name):
                    make()
        with self.assertRaisesRegex(TypeError, "logger"):
            mde.log_to("x")  # type: ignore[arg-type]
        self.assertEqual(len(self.client.list_actions()["actions"]), before)
        self.assertEqual(os.listdir(self.folder), [])

    def test_what_an_error_carries(self) -> None:
        with self.assertRaises(mde.NotFoundError) as caught:
            self.client.get_action(NO_ACTION)
        error = caught.exception
        self.assertIsInstance(error, mde.ServiceError)
        self.assertEqual((error.status, error.name, error.http_status), (mde.Status.NOT_FOUND, "not_found", 404))
        self.assertEqual(error.document["error"]["message"], error.message)
        self.assertIn(error.message, str(error))
        self.assertFalse(error.retryable)
        self.assertEqual((error.retry_after, error.outcome, error.attempts), (None, None, 1))
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((type(again), again.document), (mde.NotFoundError, error.document))

    def test_retry_after(self) -> None:
        limits = dict(OPTIONS, quota="fail", quota_limits="machines=1/3600", tenant_id="a0000000-0000-4000-8000-00000000000a")
        control("script", {"match": {"path_contains": "/token"},
                           "reply": {"status": 200, "json": {"access_token": "t", "expires_in": 3599}}})
        control("script", {"match": {"path_contains": "machines/" + MACHINES[3]},
                           "reply": {"status": 200, "json": {"id": MACHINES[3]}}})
        with mde.Client(limits) as client:
            client.find_machines(MACHINES[3])
            with self.assertRaises(mde.RateLimitedError) as caught:
                client.find_machines(MACHINES[3])
        assert caught.exception.retry_after is not None
        self.assertTrue(3500 < caught.exception.retry_after < 3700, caught.exception.retry_after)
        self.assertTrue(caught.exception.retryable)

    def test_an_unknown_outcome(self) -> None:
        before = len(requests(MACHINES[3]))
        control("script", {"match": {"path_contains": MACHINES[3]}, "times": 1, "stall": True})
        with self.assertRaises(mde.DeadlineError) as caught:
            self.client.collect_package(MACHINES[3], "why", timeout=0.3)
        self.assertEqual(caught.exception.outcome, "unknown")
        self.assertIsInstance(caught.exception, TimeoutError)
        self.assertEqual(len(requests(MACHINES[3])), before + 1)

    def test_a_wrong_secret(self) -> None:
        with mde.Client(OPTIONS, client_secret="wrong") as client:
            with self.assertRaises(mde.SignInError) as caught:
                client.find_machines(MACHINES[0])
        self.assertEqual(caught.exception.status, mde.Status.TOKEN)
        self.assertNotIn("wrong", repr(caught.exception.document).replace("is wrong", ""))


class Arguments(Case):
    def test_a_null_character(self) -> None:
        def check(name: str, call: Any) -> None:
            with self.assertRaisesRegex(ValueError, "^%s holds the character U\\+0000" % re.escape(name)):
                call()

        c = self.client
        check("machine_id", lambda: c.collect_package("a\0b", "why"))
        check("comment", lambda: c.collect_package(MACHINES[0], "a\0b"))
        check("machine_id", lambda: c.fetch_package("a\0b", "why", "p"))
        check("comment", lambda: c.fetch_package(MACHINES[0], "\0", "p"))
        check("path", lambda: c.fetch_package(MACHINES[0], "why", "p\0q"))
        check("action_id", lambda: c.get_action("a\0"))
        check("action_id", lambda: c.wait_action("a\0"))
        check("action_id", lambda: c.cancel_action("a\0", "why"))
        check("comment", lambda: c.cancel_action(NO_ACTION, "a\0"))
        check("action_id", lambda: c.download_package("a\0", "p"))
        check("path", lambda: c.download_package(NO_ACTION, "p\0q"))
        check("action_id", lambda: c.get_package_uri("a\0"))
        check("odata_filter", lambda: c.list_actions("a\0"))
        check("query", lambda: c.find_machines("a\0"))
        check("path", lambda: mde.inspect_package("a\0"))
        check("document", lambda: mde.json_get("\0", ""))
        check("pointer", lambda: mde.json_get("1", "\0"))
        check("client_secret", lambda: mde.Client(client_secret="a\0b"))
        check("text", lambda: mde.Client.from_json("{}\0"))
        check("path", lambda: mde._library._find("/a\0b"))

    def test_other_bad_values(self) -> None:
        with self.assertRaisesRegex(ValueError, "^client_secret is not valid Unicode"):
            mde.Client(client_secret="\udc80secret")
        with self.assertRaisesRegex(TypeError, "^machine_id must be a str, not bytes"):
            self.client.collect_package(b"x", "why")  # type: ignore[arg-type]
        with self.assertRaisesRegex(TypeError, "^path must be a str or a path of str, not bytes"):
            self.client.download_package(NO_ACTION, b"x")  # type: ignore[arg-type]
        with self.assertRaisesRegex(ValueError, "^timeout must be a number of seconds, 0 or more, not "):
            self.client.get_action(NO_ACTION, timeout=-1)
        with self.assertRaisesRegex(ValueError, "^timeout must be a number of seconds, 0 or more, not "):
            mde.Cancel(float("nan"))
        with self.assertRaisesRegex(TypeError, "^timeout must be a number of seconds or a timedelta"):
            mde.Cancel("3")  # type: ignore[arg-type]
        with self.assertRaisesRegex(TypeError, "^cancel must be a mde.Cancel"):
            self.client.get_action(NO_ACTION, cancel=3)  # type: ignore[arg-type]

    def test_times(self) -> None:
        for given, wanted in [(None, 0), (0, 1), (0.0001, 1), (1.5, 1500), (timedelta(minutes=2), 120000),
                              (float("inf"), 0), (1e30, 315360000000)]:
            self.assertEqual(mde._text.deadline_ms("timeout", given), wanted)
        with mde.Client(OPTIONS, timeout=0.2, connect_timeout=timedelta(seconds=3)) as client:
            with self.assertRaises(mde.DeadlineError):
                self.stalled(client)


class Tokens(Case):
    def test_a_provider(self) -> None:
        asked = []

        def provider(scope: str) -> Any:
            asked.append(scope)
            return os.environ["MDE_TEST_TOKEN"], timedelta(hours=1)

        with with_token(provider) as client:
            client.find_machines(MACHINES[0])
            client.find_machines(MACHINES[1])
        self.assertEqual(len(asked), 1)
        self.assertIn(".default", asked[0])

    def test_a_provider_without_a_time(self) -> None:
        asked = []

        def provider(scope: str) -> str:
            asked.append(scope)
            return os.environ["MDE_TEST_TOKEN"]

        with with_token(provider) as client:
            client.find_machines(MACHINES[0])
            client.find_machines(MACHINES[1])
        self.assertEqual(len(asked), 2)


class OwnClient(Case):
    """A callback that gets a token, or signs for one, and uses the client that waits for it."""

    def refused(self, call: Any) -> Any:
        """The document of a refusal, which comes long before the deadline."""
        begun = time.monotonic()
        with self.assertRaisesRegex(mde.SignInError, "give it another client") as caught:
            call()
        self.assertLess(time.monotonic() - begun, 10)
        return caught.exception.document

    def test_it_is_refused_at_once_in_every_thread(self) -> None:
        uses: List[Any] = [
            lambda client: client.list_actions(timeout=30),
            lambda client: client.check_access(timeout=30),
            lambda client: next(client.iter_packages(MACHINES[:1], "why", self.file("job"), timeout=30)),
        ]
        for use in uses:
            clients: List[mde.Client] = []
            with with_token(lambda scope: use(clients[0])) as client:
                clients.append(client)
                here = self.refused(lambda: client.list_actions(timeout=30))
                self.assertEqual((here["error"]["status"], here["error"]["stage"]), (mde.Status.TOKEN, "token"))
                there = Background(lambda: self.refused(lambda: client.list_actions(timeout=30))).end()
                self.assertEqual((there.result, there.error), (here, None))
        self.assertFalse(os.path.exists(self.file("job")))

    def test_the_words_are_those_of_the_library(self) -> None:
        clients: List[mde.Client] = []

        def without_the_check(scope: str) -> Any:
            with mock.patch.object(mde._client, "check_not_for_token"):
                return clients[0].list_actions(timeout=30)

        providers = [without_the_check, lambda scope: clients[0].list_actions(timeout=30)]
        said = []
        for provider in providers:
            with with_token(provider) as client:
                clients[:] = [client]
                said.append(Background(lambda: self.refused(lambda: client.list_actions(timeout=30))).end().result)
        self.assertEqual(said[0], said[1])

    def test_a_signer(self) -> None:
        own = {name: value for name, value in OPTIONS.items() if name != "client_secret"}
        clients: List[mde.Client] = []

        def sign(request: mde.SigningRequest) -> bytes:
            clients[0].list_actions(timeout=30)
            return b""

        with mde.Client(own, client_certificate=os.environ["MDE_TEST_CERTIFICATE"], signer=sign) as client:
            clients.append(client)
            self.refused(lambda: client.list_actions(timeout=30))

    def test_other_clients_and_other_callbacks_may(self) -> None:
        seen: List[Any] = []

        def provider(scope: str) -> str:
            # By way of another client, whose progress callback is not the one that gets a token.
            self.client.wait_action(action, progress=lambda event: seen.append(event["stage"]))
            seen.append(client.get_quota()["quotas"][0]["endpoint"])
            return os.environ["MDE_TEST_TOKEN"]

        action = self.client.collect_package(MACHINES[3], "why")["action"]["id"]
        with with_token(provider) as client:
            client.wait_action(action, progress=lambda event: seen.append(client.get_quota()))
            # Its own token is there by then, in a callback that gets none.
            client.wait_action(action, progress=lambda event: seen.append(self.client.list_actions()))
        self.client.wait_action(action, progress=lambda event: seen.append(self.client.list_actions()))
        self.assertGreaterEqual(len(seen), 5)

        def through_another(scope: str) -> str:
            self.client.wait_action(action, progress=lambda event: clients[0].list_actions(timeout=30))
            return os.environ["MDE_TEST_TOKEN"]

        clients: List[mde.Client] = []
        with with_token(through_another) as client:
            clients.append(client)
            self.refused(lambda: client.list_actions(timeout=30))


class Authority(http.server.BaseHTTPRequestHandler):
    """Grants a token that lives for six seconds, whoever asks."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        token = {"token_type": "Bearer", "access_token": os.environ["MDE_TEST_TOKEN"], "expires_in": 6}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(token).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Signers(Case):
    """The key of the certificate is nobody's, so no signature fits it."""

    def client_with(self, signer: Any) -> mde.Client:
        own = {name: value for name, value in OPTIONS.items() if name != "client_secret"}
        return mde.Client(own, client_certificate=os.environ["MDE_TEST_CERTIFICATE"], signer=signer)

    def test_what_it_is_asked(self) -> None:
        asked: List[mde.SigningRequest] = []

        def sign(request: mde.SigningRequest) -> bytes:
            asked.append(request)
            return bytes(256)

        with self.client_with(sign) as client:
            with self.assertRaisesRegex(mde.SignInError, "does not fit `client_certificate`"):
                client.find_machines(MACHINES[0], timeout=5)
            (request,) = asked
            self.assertEqual((request.algorithm, request.data.count(b".")), ("PS256", 1))
            assert request.time_left is not None
            self.assertTrue(0 < request.time_left <= 5)

    def test_what_it_raises_comes_out(self) -> None:
        def fail(request: mde.SigningRequest) -> bytes:
            raise LookupError("no key today")

        with self.client_with(fail) as client:
            with self.assertRaisesRegex(LookupError, "no key today"):
                client.find_machines(MACHINES[0])
            raised = Background(lambda: client.find_machines(MACHINES[0])).end().error
            self.assertIsInstance(raised, LookupError)
        with self.client_with(lambda request: "text") as client:
            with self.assertRaisesRegex(TypeError, "the signature must be bytes, not str"):
                client.find_machines(MACHINES[0])
        with self.client_with(lambda request: b"") as client:
            with self.assertRaisesRegex(mde.SignInError, "mde_signature_set: argument `size`"):
                client.find_machines(MACHINES[0])

    def test_one_that_obeys_its_time_does_not_stop_the_call(self) -> None:
        def openssl(words: str, given: bytes = b"") -> bytes:
            command = ["openssl"] + words.split()
            return subprocess.run(command, cwd=self.folder, input=given, capture_output=True, check=True).stdout

        openssl("req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 30 -subj /CN=agent")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Authority)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        own = {name: value for name, value in OPTIONS.items() if name != "client_secret"}
        own["login_url"] = "http://127.0.0.1:%d" % server.server_address[1]
        late: List[float] = []

        def sign(request: mde.SigningRequest) -> bytes:
            assert request.time_left is not None
            if not late:
                return openssl("dgst -sha256 -sign key.pem", request.data)
            late.append(request.time_left)
            time.sleep(request.time_left + 0.01)
            raise TimeoutError("the vault does not answer")

        options = dict(own, certificate_algorithm="RS256", client_certificate=self.file("cert.pem"))
        with mde.Client(options, signer=sign) as client:
            client.find_machines(MACHINES[0], timeout=30)
            # Half the life of the token is over. It is renewed early, which may take a quarter of the call.
            time.sleep(3.1)
            late.append(0)
            client.find_machines(MACHINES[0], timeout=2)
            self.assertEqual(len(late), 2)
            self.assertTrue(0 < late[1] <= 0.5, late)
        with mde.Client(options, signer=sign) as client:
            # It has no token at all.
            with self.assertRaises(mde.DeadlineError):
                client.find_machines(MACHINES[0], timeout=0.2)

    def test_it_is_kept_as_long_as_its_client(self) -> None:
        before = len(mde._client._signers)
        with self.client_with(lambda request: b"") as client:
            self.assertEqual(len(mde._client._signers), before + 1)
            self.assertRaises(mde.SignInError, lambda: client.find_machines(MACHINES[0]))
        self.assertEqual(len(mde._client._signers), before)
        with self.assertRaises(mde.ConfigError):
            mde.Client(auth="certificate", signer=lambda request: b"")
        self.assertEqual(len(mde._client._signers), before)


class Log(Case):
    def test_lines_become_records(self) -> None:
        logger = logging.getLogger("test.mde")
        with self.assertLogs(logger, logging.DEBUG) as caught:
            mde.log_to(logger)
            self.client.find_machines(MACHINES[0])
            mde.log_to(None)
            self.client.find_machines(MACHINES[0])
        self.assertTrue(caught.records)
        self.assertEqual({record.name for record in caught.records}, {"test.mde"})
        count = len(caught.records)
        self.client.find_machines(MACHINES[0])
        self.assertEqual(len(caught.records), count)

    def test_a_logger_is_kept_until_another_is_set(self) -> None:
        mde.log_to(logging.getLogger("test.mde.first"))
        mde.log_to(logging.getLogger("test.mde.second"))
        self.assertEqual(len(mde._log._loggers), 1)
        mde.log_to(None)
        self.assertEqual(len(mde._log._loggers), 0)

    def test_a_level(self) -> None:
        logger = logging.getLogger("test.mde.quiet")
        with self.assertLogs(logger, logging.DEBUG) as caught:
            logger.error("so that there is one")
            mde.log_to(logger, logging.CRITICAL)
            self.client.find_machines(MACHINES[0])
            mde.log_to(None)
        self.assertEqual(len(caught.records), 1)

    def test_a_filter_that_raises_harms_no_call(self) -> None:
        logger = logging.getLogger("test.mde.bad")
        logger.setLevel(logging.DEBUG)

        def bad(_record: Any) -> bool:
            raise KeyError("of the filter")

        logger.addFilter(bad)
        mde.log_to(logger)
        try:
            self.assertEqual(self.client.find_machines(MACHINES[0])["machines"][0]["id"], MACHINES[0])
        finally:
            mde.log_to(None)
        self.assertTrue(self.unraisable)
        self.assertEqual({type(one.exc_value) for one in self.unraisable}, {KeyError})
        self.unraisable.clear()
        # As it is without a hook of one's own.
        mde.log_to(logger)
        said = io.StringIO()
        try:
            with mock.patch.object(sys, "unraisablehook", sys.__unraisablehook__), contextlib.redirect_stderr(said):
                self.client.find_machines(MACHINES[0])
        finally:
            mde.log_to(None)
        self.assertIn("KeyError: 'of the filter'", said.getvalue())


if __name__ == "__main__":
    unittest.main()
