//! Real proxies and faulty ones, and the environment variables that name them.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use mde_simulator::{Config, Simulator};
use mde_tests::child::{self, Task};
use mde_tests::peers::proxies::Proxy;
use mde_tests::peers::stub_proxy::{StubProxy, tunnel};
use mde_tests::{Client, Outcome, client};
use serde_json::{Value, json};

const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";
const OPEN: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// Simulators that serve HTTPS, and one file with all their authorities.
pub struct Services {
    pub sims: Vec<Simulator>,
    pub ca_file: PathBuf,
}

impl Services {
    pub fn start(count: usize) -> Services {
        let secure = || Simulator::start(Config { tls: true, ..Config::default() }).unwrap();
        let sims: Vec<_> = (0..count).map(|_| secure()).collect();
        let all: String = sims.iter().map(|sim| sim.ca_pem().unwrap()).collect();
        let name = format!("proxies-{}.pem", sims[0].api_url().rsplit_once(':').unwrap().1);
        let ca_file = mde_tests::scratch().join(name);
        std::fs::write(&ca_file, all).unwrap();
        Services { sims, ca_file }
    }

    pub fn client(&self, proxy: &str, more: &[(&str, &str)]) -> Client {
        let url = self.url(0);
        let usual = [
            ("ca_file", self.ca_file.to_str().unwrap()),
            ("proxy", proxy),
            ("api_url", &url),
            ("login_url", &url),
        ];
        client(&self.sims[0], &[&usual, more].concat())
    }

    /// By a name that only a proxy knows: loopback addresses are reached without one.
    pub fn url(&self, n: usize) -> String {
        format!("https://{}", self.authority(n))
    }

    pub fn machine(&self) -> String {
        self.sims[0].machine_id(0)
    }

    fn authority(&self, n: usize) -> String {
        let port = self.sims[n].api_url().rsplit_once(':').unwrap().1.to_owned();
        format!("service{n}.simulator.test:{port}")
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.ca_file);
    }
}

/// A failure of the proxy, which is named without its login.
#[track_caller]
fn is_the_proxys(outcome: Outcome, port: u16, words: &str) -> Value {
    assert!(!outcome.text.contains("canary"), "{}", outcome.text);
    let error = outcome.error("proxy");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&format!("the proxy 127.0.0.1:{port}")), "{message}");
    assert!(message.contains(words), "no `{words}` in: {message}");
    assert_eq!(error.get("outcome"), None, "{error}");
    error
}

/// Both a call that reads and one that changes something fail so, and the service hears of neither.
#[track_caller]
fn refused_by(services: &Services, proxy: &str, port: u16, words: &str) {
    let client = services.client(proxy, &[("connect_timeout_ms", "5000")]);
    is_the_proxys(client.collect(&services.machine(), "x"), port, words);
    is_the_proxys(client.action(ID), port, words);
    assert_eq!(services.sims[0].requests(), []);
}

#[test]
fn many_calls_and_the_sign_in_go_through_one_tunnel() {
    let services = Services::start(1);
    let port = services.authority(0).rsplit_once(':').unwrap().1.parse().unwrap();
    let (stub, next) = (StubProxy::to(port), StubProxy::to(port));
    // tinyproxy cannot look up the name, so it has a proxy of its own.
    let real = Proxy::tinyproxy(&format!("Upstream http 127.0.0.1:{}", next.port));
    for (round, url) in [stub.url(), real.url()].into_iter().enumerate() {
        services.sims[0].clear_requests();
        let client = services.client(&url, &[]);
        for n in 0..10 {
            client.collect(&services.sims[0].machine_id(10 * round + n), "x").ok();
            client.action(ID).error("not_found");
        }
        let requests = services.sims[0].requests();
        assert_eq!(requests.len(), 21);
        assert_eq!(requests[0].endpoint, "token");
        let mut headers = requests.iter().flat_map(|request| &request.headers);
        assert!(headers.all(|(name, _)| !name.starts_with("proxy-")));
    }
    assert_eq!(stub.targets(), [services.authority(0)]);
    assert_eq!(next.targets(), [services.authority(0)], "{}", real.log());
}

#[test]
fn the_sign_in_service_has_a_separate_tunnel() {
    let services = Services::start(2);
    let stub = StubProxy::start(|mut near, port| {
        if near.write_all(OPEN).is_ok() {
            tunnel(near, port);
        }
    });
    let login = services.url(1);
    let client = services.client(&stub.url(), &[("login_url", &login)]);
    // The token of another service is not known here; that it was asked for is what counts.
    client.collect(&services.machine(), "x").error("unauthorized");
    let targets = stub.targets();
    assert_eq!(targets, [services.authority(1), services.authority(0)]);
    assert!(services.sims[1].requests().iter().all(|r| r.endpoint == "token"));
    assert!(services.sims[0].requests().iter().all(|r| r.endpoint != "token"));
}

#[test]
fn a_refused_tunnel_reports_the_proxys_status() {
    let services = Services::start(1);
    let proxy = Proxy::tinyproxy("ConnectPort 443");
    refused_by(&services, &proxy.url_with("user:canary@"), proxy.port, "403 Access violation");
    for (reply, words) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 403 Forbidden"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "HTTP/1.1 502 Bad Gateway"),
        ("HTTP/1.0 503 Busy\r\n\r\n<html>", "HTTP/1.0 503 Busy"),
        ("HTTP/1.1 301 see http://u:canary@h/?canary\r\n\r\n", "301"),
        (
            "HTTP/1.1 407 \x1b[2J\r\n\r\n",
            "it asks for a login (407) and offers no kind of login: put user and password into `proxy`",
        ),
        (
            "HTTP/1.1 407 No\r\nproxy-authenticate: NTLM\r\n\r\n",
            "and offers NTLM: NTLM is supported on Windows only",
        ),
        (
            "HTTP/1.1 407 No\nProxy-Authenticate: Digest realm=\"canary\"\n\n",
            "and offers Digest: this library knows Negotiate, Basic, and NTLM on Windows",
        ),
        (
            "HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: basic realm=x\r\n\r\n",
            "and offers NTLM, basic: put user and password into `proxy`",
        ),
        ("HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n", "HTTP/1.1 403 Forbidden"),
    ] {
        let stub = StubProxy::answering(reply);
        refused_by(&services, &stub.url(), stub.port, words);
        let error = services.client(&stub.url(), &[("max_retries", "0")]).action(ID).error("proxy");
        let counts = reply.rsplit("HTTP/1.").next().unwrap();
        assert_eq!(error["http_status"], counts[2..5].parse::<u16>().unwrap(), "{error}");
    }
}

#[test]
fn a_missing_or_wrong_login_is_reported() {
    let services = Services::start(1);
    let port = services.authority(0).rsplit_once(':').unwrap().1.parse().unwrap();
    let next = StubProxy::to(port);
    let lines = format!("BasicAuth us.er pa_ss.1\nUpstream http 127.0.0.1:{}", next.port);
    let proxy = Proxy::tinyproxy(&lines);
    refused_by(&services, &proxy.url(), proxy.port, "407");
    for wrong in ["us.er:canary@", "canary:pa_ss.1@", "canary@"] {
        refused_by(&services, &proxy.url_with(wrong), proxy.port, " 401 ");
        refused_by(&services, &proxy.url_with(wrong), proxy.port, "check the login in `proxy`");
    }
    let right = services.client(&proxy.url_with("us%2eer:pa_ss.1@"), &[]);
    right.collect(&services.machine(), "x").ok();
}

/// In every form in which it was sent.
#[test]
fn a_login_that_the_proxy_repeats_is_masked() {
    let services = Services::start(1);
    let stub = StubProxy::start(|mut near, _| {
        let _ = near.write_all(b"HTTP/1.1 403 no dXNlcjpzd29yZGZpc2g= or user:swordfish\r\n\r\n");
    });
    let url = stub.url().replace("http://", "http://user:swordfish@");
    let outcome = services.client(&url, &[("max_retries", "0")]).action(ID);
    assert!(!outcome.text.contains("dXNlcjpzd29yZGZpc2g"), "{}", outcome.text);
    assert!(!outcome.text.contains("swordfish"), "{}", outcome.text);
    assert!(outcome.text.contains("403 no *** or ***"), "{}", outcome.text);
}

#[test]
fn a_proxy_is_told_who_asks() {
    let services = Services::start(1);
    let stub = StubProxy::start(|mut near, port| {
        if near.write_all(OPEN).is_ok() {
            tunnel(near, port);
        }
    });
    services.client(&stub.url(), &[("user_agent", "Agent/7 (case)")]).action(ID).error("not_found");
    let agent = format!("\r\nUser-Agent: mde/{}", env!("CARGO_PKG_VERSION"));
    for head in stub.heads() {
        assert!(head.contains("Agent/7 (case)"), "{head}");
    }
    let before = stub.heads().len();
    services.client(&stub.url(), &[]).action(ID).error("not_found");
    for head in stub.heads().iter().skip(before) {
        assert!(head.contains(&agent), "{head}");
    }
    assert!(stub.heads().len() > before);
}

#[test]
fn an_invalid_reply_of_a_proxy_is_a_proxy_error() {
    let services = Services::start(1);
    let cases: [(&[u8], &str); 9] = [
        (b"", "did not answer"),
        (b"HTTP/1.1 200 OK\r\n", "did not answer"),
        (b"HTTP/1.1 200 OK\nEnd: no\n", "did not answer"),
        (b"HTTP/1.1 100 Go\r\n\r\n", "did not answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "its answer is not HTTP"),
        (b"\x16\x03\x01\x00\x00\r\n\r\n", "its answer is not HTTP"),
        (b"HTTP/2 200\r\n\r\n", "its answer is not HTTP"),
        (b"HTTP/1.1\r\n\r\n", "its answer is not HTTP"),
        (b"\r\n\r\n", "its answer is not HTTP"),
    ];
    for (reply, words) in cases {
        let stub = StubProxy::answering(reply);
        refused_by(&services, &stub.url(), stub.port, words);
    }
    let endless = StubProxy::start(|mut near, _| while near.write_all(&[b'x'; 4096]).is_ok() {});
    refused_by(&services, &endless.url(), endless.port, "its answer is not HTTP");
}

#[test]
fn an_absent_proxy_is_a_proxy_error() {
    let services = Services::start(1);
    let client = services.client("http://127.0.0.1:1", &[("max_retries", "2")]);
    let error = is_the_proxys(client.collect(&services.machine(), "x"), 1, "is not reachable");
    assert_eq!((&error["attempts"], &error["retryable"]), (&json!(3), &json!(true)), "{error}");
}

#[test]
fn a_silent_proxy_is_bounded_by_the_connect_timeout() {
    let services = Services::start(1);
    let silent = StubProxy::start(|_near, _| std::thread::sleep(Duration::from_secs(60)));
    let slow = StubProxy::start(|mut near, _| {
        let _ = near.write_all(b"HTTP/1.1 200 OK\r\nX: ");
        while near.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    for stub in [silent, slow] {
        let client = services.client(&stub.url(), &[("connect_timeout_ms", "300")]);
        let outcome = client.collect(&services.machine(), "x");
        is_the_proxys(
            outcome,
            stub.port,
            "took too long (300 ms, at most `connect_timeout_ms`); check host and port in `proxy`",
        );
    }
}

#[test]
fn a_tunnel_without_a_peer_has_carried_no_request() {
    let services = Services::start(1);
    let stub = StubProxy::answering(OPEN);
    let client = services.client(&stub.url(), &[("max_retries", "1")]);
    for outcome in [client.collect(&services.machine(), "x"), client.action(ID)] {
        let error = outcome.error_in(&["connect", "broken", "proxy"]);
        assert_eq!((error.get("outcome"), &error["retryable"]), (None, &json!(true)), "{error}");
    }
    assert_eq!(services.sims[0].requests(), []);
}

#[test]
fn the_head_of_the_answer_may_come_in_pieces_and_hold_more() {
    let services = Services::start(1);
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.0 200 Connection established\r\nProxy-Agent: x\r\nX: \u{e9}\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 \r\nVia: {}\r\n\r\n", "v".repeat(2_000)),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\nVia: x\n\n".to_owned(),
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\n\nHTTP/1.1 200 OK\r\n\r\n".to_owned(),
    ] {
        let stub = StubProxy::start(move |mut near, port| {
            near.set_nodelay(true).unwrap();
            for byte in head.bytes() {
                if near.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::yield_now();
            }
            tunnel(near, port);
        });
        // A thousand writes take their time on a machine that has other work.
        let patient = [("connect_timeout_ms", "60000"), ("timeout_ms", "120000")];
        services.client(&stub.url(), &patient).action(ID).error("not_found");
    }
}

/// What a call to this host ends with in this environment.
#[track_caller]
fn in_environment(variables: &[(&str, &str)], url: &str, more: &[(&str, &str)]) -> Outcome {
    let usual = [
        ("access_token", "t"),
        ("api_url", url),
        ("max_retries", "0"),
        ("connect_timeout_ms", "500"),
    ];
    let options = usual.iter().chain(more);
    let options = options.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut command = Task::Read { options, action: ID.to_owned() }.command();
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    let printed = child::finished(command.envs(variables.iter().copied()).output().unwrap());
    let (status, text) = printed.trim_end().split_once(' ').unwrap();
    Outcome {
        status: status.parse().unwrap(),
        document: serde_json::from_str(text).unwrap(),
        text: text.to_owned(),
    }
}

const SERVICE: &str = "https://api.corp.invalid:8443";

fn refusing() -> StubProxy {
    StubProxy::answering("HTTP/1.1 502 Bad Gateway\r\n\r\n")
}

#[test]
fn the_environment_names_the_proxy_in_a_fixed_order() {
    const NAMES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let proxies = NAMES.map(|_| refusing());
    for first in 0..NAMES.len() {
        let urls: Vec<_> = proxies.iter().map(StubProxy::url).collect();
        let mut variables: Vec<_> =
            NAMES.into_iter().zip(urls.iter().map(String::as_str)).skip(first).collect();
        // Set and empty is as good as not set; the one for plain HTTP is not meant.
        variables.extend(NAMES.into_iter().take(first).zip([" ", "", ""]));
        variables.push(("HTTP_PROXY", "http://127.0.0.1:1"));
        is_the_proxys(in_environment(&variables, SERVICE, &[]), proxies[first].port, "502");
    }
    assert!(proxies.iter().all(|proxy| proxy.targets() == ["api.corp.invalid:8443"]));
}

/// What a user has to change is what named the proxy.
#[test]
fn messages_name_what_named_the_proxy() {
    let not_found = StubProxy::answering("HTTP/1.1 405 Not Allowed\r\n\r\n");
    let asking = StubProxy::answering(
        "HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    );
    let speaking = StubProxy::answering("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    let dead = "http://127.0.0.1:1".to_owned();
    for (url, words) in [
        (not_found.url(), "; check host and port in "),
        (asking.url(), "put user and password into "),
        (speaking.url(), "its answer is not HTTP; check host and port in "),
        (dead, "Connection refused (os error 111); check "),
    ] {
        let by_variable = in_environment(&[("HTTPS_PROXY", &url)], SERVICE, &[]);
        let by_option = in_environment(&[], SERVICE, &[("proxy", &url)]);
        for (outcome, named) in [(by_variable, "HTTPS_PROXY"), (by_option, "`proxy`")] {
            let error = outcome.error("proxy");
            let message = error["message"].as_str().unwrap();
            let expected = format!("{words}{named}");
            assert!(message.contains(&expected), "no `{expected}` in: {message}");
        }
    }
}

#[test]
fn the_environment_names_the_proxy_in_every_usual_form() {
    let proxy = refusing();
    let port = proxy.port;
    for value in [
        format!("127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}/"),
        format!(" HTTP://127.0.0.1:{port} "),
        format!("http://us%40er:canary@127.0.0.1:{port}"),
    ] {
        // The proxy asks for nothing.
        let basic = [("proxy_auth", "basic")];
        is_the_proxys(in_environment(&[("HTTPS_PROXY", &value)], SERVICE, &basic), port, "502");
    }
    let heads = proxy.heads();
    assert!(heads[..3].iter().all(|head| !head.contains("Proxy-Authorization")), "{heads:?}");
    // us@er:canary
    let login = "Proxy-Authorization: Basic dXNAZXI6Y2FuYXJ5\r\n";
    assert!(heads[3].contains(login), "{heads:?}");
    for value in [
        "socks5://user:canary@h:1",
        "https://user:canary@h:1",
        "http://u:canary@",
        "a b",
        "http://u:canary@h:99999",
        "h:0",
        "none",
    ] {
        let outcome = in_environment(&[("ALL_PROXY", value)], SERVICE, &[]);
        assert!(!outcome.text.contains("canary"), "{}", outcome.text);
        let error = outcome.error("config");
        assert!(error["message"].as_str().unwrap().contains("ALL_PROXY"), "{error}");
        in_environment(&[("ALL_PROXY", value)], SERVICE, &[("proxy", "none")]).error("resolve");
    }
}

#[test]
fn the_environment_names_the_hosts_without_a_proxy() {
    let proxy = refusing();
    let url = proxy.url();
    let network = "https://192.0.2.77:8443";
    // A list, the address, and whether it is reached without the proxy.
    for (list, service, direct) in [
        ("*", SERVICE, true),
        (" * ", SERVICE, true),
        ("corp.invalid", SERVICE, true),
        (".corp.invalid", SERVICE, true),
        ("*.corp.invalid", SERVICE, true),
        ("API.CORP.INVALID", SERVICE, true),
        ("other.invalid , corp.invalid", SERVICE, true),
        ("other.invalid  corp.invalid", SERVICE, true),
        ("api.corp.invalid:8443", SERVICE, true),
        ("api.corp.invalid:443", SERVICE, false),
        ("orp.invalid", SERVICE, false),
        ("api.corp.invalid.test,xapi.corp.invalid", SERVICE, false),
        (" , ,", SERVICE, false),
        ("192.0.2.0/24", network, true),
        ("10.0.0.0/8, 192.0.2.77", network, true),
        ("192.0.2.64/26", network, true),
        ("192.0.2.0/26", network, false),
        ("192.0.2", network, false),
    ] {
        for name in ["NO_PROXY", "no_proxy"] {
            let before = proxy.targets().len();
            let outcome = in_environment(&[("HTTPS_PROXY", &url), (name, list)], service, &[]);
            match direct {
                true => drop(outcome.error_in(&["resolve", "connect"])),
                false => drop(is_the_proxys(outcome, proxy.port, "502")),
            }
            assert_eq!(proxy.targets().len() - before, usize::from(!direct), "{list}");
        }
    }
}

#[test]
fn an_invalid_range_is_refused_with_the_name_of_its_variable() {
    for name in ["NO_PROXY", "no_proxy"] {
        let variables = [("HTTPS_PROXY", "http://127.0.0.1:1"), (name, "192.0.2.0/240")];
        let error = in_environment(&variables, SERVICE, &[]).error("config");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("the environment variable {name} has an entry")),
            "{message}"
        );
        in_environment(&variables, SERVICE, &[("no_proxy", "corp.invalid")]).error("resolve");
    }
}

#[test]
fn options_override_the_environment() {
    let (proxy, other) = (refusing(), refusing());
    let (url, other_url) = (proxy.url(), other.url());
    let set = |name, value| {
        in_environment(
            &[("HTTPS_PROXY", &url), ("NO_PROXY", "corp.invalid")],
            SERVICE,
            &[(name, value)],
        )
    };
    // The option's list stands in place of the environment's.
    is_the_proxys(set("no_proxy", "other.invalid"), proxy.port, "502");
    // A proxy from the options is not excepted by the environment.
    is_the_proxys(set("proxy", &other_url), other.port, "502");
    set("proxy", "env").error("resolve");
    set("proxy", "none").error("resolve");
    let excepted = [("proxy", url.as_str()), ("no_proxy", "corp.invalid")];
    in_environment(&[], SERVICE, &excepted).error("resolve");
}

#[test]
fn no_proxy_is_for_this_machine() {
    let services = Services::start(1);
    let proxy = refusing();
    let url = proxy.url();
    let ca = services.ca_file.to_str().unwrap().to_owned();
    let by_option = [("ca_file", ca.as_str()), ("proxy", &url)];
    for host in ["127.0.0.1", "localhost", "LOCALHOST"] {
        let service = services.sims[0].api_url().replace("127.0.0.1", host);
        in_environment(&[("HTTPS_PROXY", &url)], &service, &[("ca_file", &ca)])
            .error("unauthorized");
        in_environment(&[], &service, &by_option).error("unauthorized");
    }
    // Nobody is there, and the proxy does not hear of it either.
    for host in ["127.9.8.7:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost.:1", "x.localhost:1"]
    {
        for scheme in ["http", "https"] {
            let service = format!("{scheme}://{host}");
            in_environment(&[("ALL_PROXY", &url)], &service, &[]).error_in(&["connect", "resolve"]);
            in_environment(&[], &service, &by_option).error_in(&["connect", "resolve"]);
        }
    }
    assert_eq!(proxy.heads(), [] as [String; 0]);
}

/// Plain HTTP with a token, which the proxy would read.
#[test]
fn a_proxy_never_hears_of_plain_http() {
    let (sim, proxy) = (mde_tests::simulator(), refusing());
    let client = client(&sim, &[("proxy", &proxy.url()), ("no_proxy", "")]);
    client.collect(&sim.machine_id(0), "x").ok();
    assert_eq!(proxy.heads(), [] as [String; 0]);
}

/// squid is a service that its Debian package starts: only the full run asks for it.
mod full {
    use super::*;

    #[test]
    fn squid_opens_tunnels_for_known_logins() {
        let services = Services::start(1);
        let proxy = Proxy::squid(
            "hosts_file {folder}/hosts\n\
             auth_param basic program /usr/lib/squid/basic_ncsa_auth {folder}/logins\n\
             acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all",
        );
        for (login, words) in [
            ("", "it asks for a login (407)"),
            ("us.er:canary@", "it refuses the login (407) by Basic"),
            ("canary:pa_ss.1@", "it refuses the login (407) by Basic"),
        ] {
            refused_by(&services, &proxy.url_with(login), proxy.port, words);
        }
        let client = services.client(&proxy.url_with("us%2eer:pa_ss.1@"), &[]);
        for n in 0..10 {
            client.collect(&services.sims[0].machine_id(n), "x").ok();
        }
        assert_eq!(services.sims[0].requests().len(), 11);
    }

    #[test]
    fn squid_refuses_ports_and_absent_peers() {
        let services = Services::start(1);
        let proxy =
            Proxy::squid("acl safe port 443\nhttp_access deny !safe\nhttp_access allow all");
        refused_by(&services, &proxy.url(), proxy.port, "HTTP/1.1 403 Forbidden");
        let open = Proxy::squid("hosts_file {folder}/hosts\nhttp_access allow all");
        let absent = [("api_url", "https://service0.simulator.test:1")];
        let nobody = services.client(&open.url(), &absent);
        // It signs in, and then finds no service.
        is_the_proxys(nobody.action(ID), open.port, "HTTP/1.1 503 Service Unavailable");
    }
}
