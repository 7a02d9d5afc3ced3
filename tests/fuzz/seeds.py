"""Makes the first inputs of every target, in `corpus`: recorded replies, and what the tests and the documents write.

What fuzzing adds is kept elsewhere. `run.sh merge` takes over what reaches other code.
"""
import io
import json
import pathlib
import subprocess
import tempfile
import zipfile

HERE = pathlib.Path(__file__).parent
SAMPLES = HERE.parent / "samples"
A, M = "5382f7ea-7557-4ab7-9782-d50480024a4e", "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9"


def put(target, name, *parts):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    data = b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)
    (folder / name).write_bytes(data)


def byte(*numbers):
    return bytes(numbers)


def part(data):
    data = data if isinstance(data, bytes) else data.encode()
    return byte(len(data)) + data


def options():
    values = {
        0: "contoso.onmicrosoft.com", 11: "certificate", 12: "gcc", 13: "https://gateway.example:8443/mde",
        19: "http://user:p%40ss@proxy.example:3128", 20: "10.0.0.0/8, *.example, [2001:db8::1]:443, localhost",
        21: "negotiate,basic", 22: "60000", 30: "collect=100/60,1500/3600;link=2/60,120/3600", 31: "50",
        32: "/var/lib/agent/quota", 33: "rediss://agent:p%40ss@cache.example:6380/3", 34: "local:25",
        35: "security.microsoft.com, *.blob.core.windows.net", 36: "18446744073709551615", 37: "yes",
        7: "no", 9: "client_id:" + A, 10: "eyJ0eXAi.eyJhdWQi.c2ln", 40: "host/1.0 (build 7)",
    }
    for which, value in values.items():
        put("options", f"value-{which}", byte(which), value)
    put("options", "name", byte(0xFE), "client-secret")
    whole = {"tenant_id": A, "client_id": A, "client_secret": "s\\u0065cret \U0001f600", "timeout_ms": 6e4, "cloud": "eu"}
    put("options", "object", byte(0xFF), json.dumps(whole))
    put("options", "object-odd", byte(0xFF), ' {"no_proxy" : "*",\n"max_retries":2.0,"max_retries":3,"x":null} ')


def devices():
    listed = [M, {"machine_id": M[::-1], "comment": "case 4711", "file": "pc1.zip"}]
    put("devices", "list", byte(0), json.dumps(listed))
    found = {"machines": [{"id": M, "computerDnsName": "pc1"}], "checks": [{"problems": ["inactive"]}], "more": False}
    put("devices", "found", byte(0), json.dumps(found))
    for number, query in enumerate((
        M, A, "10.0.0.5@2026-01-24T22:17:02Z", "2001:db8::1", "pc1.contoso.com",
        "tag:DMZ and not os:Linux and group:Servers and filter:healthStatus eq 'Active'",
    )):
        put("devices", f"query-{number}", byte(1), query)


def replies():
    readers = {"token_error": 1, "error": 2, "blob": 3, "action": 5, "collect": 5, "restrict": 5, "list": 6, "machine": 7,
               "package_uri": 8}
    for sample in sorted(SAMPLES.iterdir()):
        if sample.suffix not in (".json", ".xml"):
            continue
        name = sample.stem.split("_", 1)[1]
        reader = next((number for start, number in readers.items() if name.startswith(start)), 2)
        body = sample.read_bytes().replace(b'"123"', f'"{A}"'.encode()).replace(b'"123abc"', f'"{M}"'.encode())
        for form in (0, 3, 0x30 | 12):
            put("replies", f"{name}-{form}", byte(reader, form), body)
    for number, life in enumerate((
        '"expires_in":3599', '"expires_in":"3599"', '"expires_on":"1560999478"', '"expires_on":"06/20/2019 02:57:58 +00:00"',
        '"expires_on":"9/14/2017 12:00:00 PM +00:00"', '"expires_on":"2019-06-20T02:57:58.12+01:30"',
    )):
        put("replies", f"token-{number}", byte(0, 16), '{"token_type":"Bearer",' + life + ',"access_token":"eyJ0.eyJleHAiOjF9.c2ln"}')
    put("replies", "gateway", byte(2, 14), "<html><head><title>502 Bad Gateway</title></head></html>")
    put("replies", "gateway-json", byte(2, 12), '{"statusCode":429,"message":"Rate limit is exceeded. Try again in 8 seconds."}')
    put("replies", "link-quoted", byte(8, 0), '{"value":"\\"https://a.blob.core.windows.net/c/b.zip?sig=x\\""}')
    put("replies", "machines", byte(7, 0), json.dumps({"value": [{"id": M, "computerDnsName": "pc1", "machineTags": ["a"]}], "@odata.nextLink": "/x"}))
    put("replies", "surrogates", byte(2, 3), '{"error":{"code":"A","message":"half \\ud83d of \\ude00 one","target":"t"}}')


def headers():
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    for number, value in enumerate(("120", "29.5 s", "30 Seconds", "Wed, 21 Oct 2026 07:30:00 GMT", "Wednesday, 21-Oct-26 07:30:00 GMT", "-1", "99999999999999999999")):
        put("headers", f"time-{number}", byte(0), value, byte(0), date)
    for number, value in enumerate(("bytes 5-9/10", "bytes 5-9/*", "bytes */5", "BYTES  5 - 9 / 10", "bytes 5-18446744073709551615/*")):
        put("headers", f"range-{number}", byte(1, 0, 5, 0), value)
    put("headers", "range-length", byte(1, 0, 5, 1, 0, 5), "bytes 5-9/10")
    for number, (head, body) in enumerate((
        ('Proxy-Authenticate: Negotiate YII+/=, NTLM, Basic realm="a, b"\r\nContent-Length: 5', "hello"),
        ("Proxy-Authenticate: Negotiate\r\nproxy-authenticate:NTLM\r\nTransfer-Encoding: chunked", "5;x=y\r\nhello\r\n0\r\nt: u\r\n\r\n"),
        ('Proxy-Authenticate: Digest realm = "a" , nonce = y\r\nProxy-Connection: close', ""),
    )):
        put("headers", f"challenge-{number}", byte(2), head, byte(0), body)


def proxies():
    for number, (url, exceptions, host) in enumerate((
        ("http://user:p%40ss@proxy.example:3128", "10.0.0.0/8,.example,localhost:8080", "10.1.2.3"),
        ("http://[2001:db8::1]:8080/", "[2001:db8::]/32, *.corp.example; <local>", "[2001:db8::7]"),
        ("socks5://proxy", "*", "api.securitycenter.microsoft.com"),
        ("http://proxy.example", "10.*;*.corp", "a.corp."),
    )):
        put("proxies", f"{number}", url, byte(0), exceptions, byte(0), host, byte(0, 1, 187))


def redirects():
    for number, to in enumerate((
        "https://other.example/x", "//other.example/x", "/a/../b?c=d", "../b.zip", "?sig=y", "x/./y/..", "https://host.example:443/x#f",
        "/a//../../..//b", "mailto:a@b",
    )):
        put("redirects", f"to-{number}", byte(number % 4), to)
    for number, link in enumerate((
        "https://api.securitycenter.microsoft.com/api/machineactions?$filter=a eq 'b'&$skip=100", "api/machineactions?%24skiptoken=7",
        "https://wdatpapi-eus-prd.securitycenter.windows.com/api/machines?$skip=1", "/prefix/api/machines", "machineactions?$skip=\u00e4\"<>",
    )):
        put("redirects", f"next-{number}", byte(4 + number % 2), link)


def json_get():
    for number, (pointer, document) in enumerate((
        ("/a/0/b", '{"a":[{"b":"x\\u0041\\ud83d\\ude00"}]}'), ("/1", "[1,2.5e300,-0,true,null,\"\",{}]"), ("/a", '{"a":1,"a":2}'),
        ("", '"\\u0000"'), ("/~1~0/m~n", '{"/~":{"m~n":[]}}'), ("/0/0/0", "[" * 100 + "]" * 100), ("a", "{}"), ("/01", "[1,2]"),
    )):
        put("json_get", f"{number}", pointer, byte(0), document)


def states():
    state = {"version": 1, "machine_id": M, "comment": "case 4711", "began": "2026-01-24T22:17:02.360Z", "action_id": A,
             "adopted": True, "service_date": "2026-01-24T22:17:03Z", "other_comments": ["a", "b"]}
    put("states", "fetch", byte(0), json.dumps(state))
    put("states", "fetch-2", byte(0), json.dumps({**state, "version": 2}))
    put("states", "fetch-id", byte(0), json.dumps({**state, "action_id": "x"}))
    sha = "0" * 63 + "f"
    put("states", "part", byte(1), json.dumps({"action_id": A, "etag": "W/\"1\"", "last_modified": "x", "total": 7, "sha256": sha, "claimed": True}))
    put("states", "receipt", byte(2), f"1 {A} 7340032 {sha}")
    line = {"p": 0, "state": "done", "machine_id": M, "action_id": A, "package": {"file": "a/4711.zip", "sha256": sha}}
    failed = {"p": 0, "state": "failed", "machine_id": M, "asked": "2026-01-24T22:17:02Z"}
    lines = "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in (line, failed, {**line, "state": "unsafe"}))
    sums = f"{sha}  a/4711.zip\n"
    put("states", "record", byte(3, 1 | 2 | 8), part(sums), part(""), lines)
    put("states", "record-behind", byte(3, 1), part(""), part(""), lines)
    put("states", "record-torn", byte(3, 1 | 8), part(""), part(""), lines[:-30])
    put("states", "record-other", byte(3, 1 | 2 | 4), part(sums + sums), part(sha + "  record.jsonl\n"), lines)


def journal():
    head = {"journal": "mde fleet 2", "service": "127.0.0.1:1", "tenant": None, "application": None}
    mark = '{"flushed":true}'
    asked = {"version": 1, "machine_id": M, "comment": "c", "began": "2026-01-24T22:17:02.360Z", "action_id": None}
    action = {"id": A, "type": "CollectInvestigationPackage", "status": "InProgress", "machineId": M}
    entries = [
        {"n": 0, "machine_id": M, "state": "queued", "comment": "c", "file": "f.zip", "asked": asked},
        {"n": 1, "machine_id": M[::-1], "state": "waiting", "asked": asked, "action": action, "adopted": False},
        {"n": 2, "machine_id": "1" * 40, "state": "done", "action": {**action, "status": "Succeeded"}, "package": {"path": "p", "bytes": 7}},
        {"n": 3, "machine_id": "2" * 40, "state": "failed", "error": {"status": 1, "retryable": True}},
        {"n": 4, "machine_id": "3" * 40, "state": "skipped", "problems": ["inactive"]},
    ]

    def text(*lines):
        return "".join((line if isinstance(line, str) else json.dumps(line, separators=(",", ":"))) + "\n" for line in lines)

    put("journal", "all", text(head, mark, *entries, mark))
    put("journal", "last-counts", text(head, mark, entries[0], mark, {**entries[0], "state": "running"}, mark))
    put("journal", "no-mark", text(head, mark, entries[0], mark, entries[1]))
    put("journal", "torn", text(head, mark, entries[0], mark) + text(entries[1])[:50])
    put("journal", "damaged", text(head, mark, "!0000", entries[0], mark))
    put("journal", "gap", text(head, mark, entries[0], entries[3], mark))
    put("journal", "other", text({**head, "journal": "mde fleet 3"}))
    large = {**entries[2], "package": {"bytes": (1 << 64) - 1}}
    put("journal", "large", text(head, mark, {**large, "n": 0}, mark))


def certificates():
    with tempfile.TemporaryDirectory() as folder:
        def openssl(*words):
            subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

        def read(name):
            return (pathlib.Path(folder) / name).read_bytes()

        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-out", "c.pem", "-subj", "/CN=x", "-days", "36500")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "e.pem", "-out", "ec.pem", "-subj", "/CN=x", "-days", "36500")
        openssl("x509", "-in", "c.pem", "-outform", "der", "-out", "c.der")
        openssl("x509", "-in", "ec.pem", "-outform", "der", "-out", "ec.der")
        openssl("pkcs8", "-topk8", "-nocrypt", "-in", "k.pem", "-outform", "der", "-out", "k.der")
        openssl("pkcs8", "-topk8", "-nocrypt", "-in", "e.pem", "-outform", "der", "-out", "e.der")
        openssl("rsa", "-in", "k.pem", "-traditional", "-outform", "der", "-out", "k1.der")
        openssl("ec", "-in", "e.pem", "-outform", "der", "-out", "e1.der")
        openssl("pkcs8", "-topk8", "-in", "k.pem", "-outform", "der", "-out", "ke.der", "-passout", "pass:x", "-iter", "2")
        p12 = ["pkcs12", "-export", "-iter", "2"]
        openssl(*p12, "-inkey", "e.pem", "-in", "ec.pem", "-out", "ec.p12", "-passout", "pass:x")
        openssl(*p12, "-inkey", "e.pem", "-in", "ec.pem", "-out", "empty.p12", "-passout", "pass:")
        openssl(*p12, "-inkey", "e.pem", "-in", "ec.pem", "-out", "plain.p12", "-passout", "pass:x", "-nomac", "-keypbe", "NONE", "-certpbe", "NONE")
        openssl(*p12, "-legacy", "-inkey", "e.pem", "-in", "ec.pem", "-out", "legacy.p12", "-passout", "pass:x")
        openssl(*p12, "-inkey", "k.pem", "-in", "c.pem", "-out", "rsa.p12", "-passout", "pass:x")

        def key(name):
            data = read(name)
            return len(data).to_bytes(2, "big") + data

        put("certificates", "pem-no-key", byte(8), read("ec.pem"))
        put("certificates", "der", byte(8 | 1), key("e.der"), read("ec.der"))
        put("certificates", "der-sec1", byte(8 | 1), key("e1.der"), read("ec.der"))
        put("certificates", "der-rsa", byte(1), key("k.der"), read("c.der"))
        put("certificates", "der-pkcs1", byte(1), key("k1.der"), read("c.der"))
        put("certificates", "der-encrypted", byte(4 | 1), key("ke.der"), read("c.der"))
        for name in ("ec", "plain", "legacy", "rsa"):
            put("certificates", f"p12-{name}", byte(8 | 4), read(f"{name}.p12"))
        put("certificates", "p12-empty", byte(8 | 2), read("empty.p12"))
        put("certificates", "p12-wrong", byte(8 | 6), read("ec.p12"))


def quota_file():
    for form in range(8):
        put("quota_file", f"edits-{form}", byte(form, 2, 40), byte(0, 100, 1, 0, 200, 255, 1, 200, 7))
    put("quota_file", "none", byte(0, 0, 0))
    put("quota_file", "cut", byte(1, 1, 200))
    put("quota_file", "states", byte(2, 0, 0), bytes(value for at in range(192, 456, 9) for value in (at >> 8, at & 255, 0)))


def raw_zips():
    for method in (0, 8):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for number in range(2):
                archive.writestr(zipfile.ZipInfo(f"Autoruns/f{number}.txt"), "some text " * 20, method)
            archive.writestr(zipfile.ZipInfo("folder/"), "")
        put("zip", f"python-{method}", byte(0), file.getvalue())
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", 8) as archive:
        with archive.open(zipfile.ZipInfo("wide"), "w", force_zip64=True) as member:
            member.write(b"abc" * 50)
        archive.comment = b"a comment"
    put("zip", "python-64", byte(0), file.getvalue())


def zips():
    raw_zips()
    a, b, folder = byte(0, 0), byte(0x21, 1), byte(2, 0)  # stored, deflated, a folder: (form, more)
    file, packed = part("hello"), part("some text " * 5)
    end = byte(0)
    put("zip", "two", byte(1, 2), a, file, b, packed, end)
    put("zip", "folder", byte(1, 3), folder, byte(3, 0), file, b, packed, end)
    put("zip", "streamed", byte(1, 2), byte(0xA0, 0), packed, byte(0xA1, 0x20), file, end)
    put("zip", "gap", byte(1, 2), a, file, byte(0x11, 0), file, part("padding"), end)
    put("zip", "gap-at-the-end", byte(1, 1), a, file, byte(1), part("padding"))
    put("zip", "comment", byte(1, 1), a, file, byte(16), part("a comment"))
    put("zip", "comments", byte(1, 2), a, file, b, packed, byte(2), part("one"), part("two"))
    put("zip", "zeros", byte(1, 1), a, file, byte(32, 0, 20))
    put("zip", "wide", byte(1, 1), a, file, byte(12), byte(0))
    put("zip", "wide-short", byte(1, 1), a, file, byte(4), byte(0))
    put("zip", "utf8", byte(1, 1), byte(0x45, 1), file, end)
    put("zip", "extra", byte(1, 1), byte(0, 12), file, part(b"UT\x05\x00\x03\x00\x00\x00\x5a"), part(b"UT\x00\x00"), end)
    put("zip", "nothing", byte(1, 0), end)


def server():
    put("fetch", "polls", byte(0, 1, 3, 2, 4, 5))
    put("fetch", "whole", byte(0, 15, 4, 5))
    put("fetch", "adopts", byte(0, 13, 9, 4, 5))
    put("fetch", "chunked", byte(0, 15, 4, 14, 7))
    put("fetch", "cut", byte(0, 15, 4, 7, 0, 120, 2, 4, 6, 40))
    put("fetch", "moved", byte(0, 15, 4, 11), part("/other?x=y"), byte(5))
    put("fetch", "throttled", byte(0, 12, 1))
    put("fetch", "not-there", byte(0, 15, 10, 2, 4, 5))
    put("fetch", "cancelled", byte(2, 15, 4, 5))
    put("fetch", "error", byte(0, 8, 3, 0, 2), "{}")
    put("fetch", "raw", byte(0, 15, 4, 0x80, 0, 40), "HTTP/1.1 200 OK\r\n\r\nPK\x03\x04 no package     ")
    put("fetch", "closes", byte(0, 0x8F, 0x84, 0x85))


def c_calls():
    make = byte(0, 9, 0, 0, 4, 0)  # options, a provider, a client
    put("c_calls", "life", part(make + byte(6, 10, 14, 0, 0, 0, 0, 11, 0, 5, 0, 8, 0, 1, 0)), byte(2))
    put("c_calls", "shared", part(make + byte(6, 15, 16, 0, 0, 2, 0xC1, 10, 0, 0)), byte(3, 2, 9))
    put("c_calls", "progress", part(make + byte(6, 19, 14, 0, 0, 0x12, 0, 14, 0, 0, 0x22, 0, 14, 0, 0, 0x42, 0)), byte(3, 2, 3))
    put("c_calls", "nothing", part(byte(2, 0, 0, 4, 0, 7, 0, 14, 0, 0, 1, 0, 11, 0, 13, 0, 0, 12, 0)))
    put("c_calls", "values", part(byte(3, 5) + b"proxy" + part("http://a:b@c") + byte(3, 4) + b"auth" + part('{"auth":1}')))
    for which in range(8):
        put("c_calls", f"call-{which}", part(make + byte(14, 0, 0, which, 0)), byte(9, 2, 4))


for make in (options, devices, replies, headers, proxies, redirects, json_get, states, journal, certificates, quota_file,
             zips, server, c_calls):
    make()
