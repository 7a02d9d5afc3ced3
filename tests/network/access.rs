//! The check of the access: what it finds on the way to the hosts.

use std::path::PathBuf;

use mde_simulator::{Config, DEFAULT_SECRET, Simulator};
use mde_tests::access::Checked;
use mde_tests::child::{self, Task};
use mde_tests::peers::openssl::{Pki, Wish};
use mde_tests::peers::stub_proxy::StubProxy;
use mde_tests::{Client, options, simulator};
use serde_json::{Value, json};

/// A simulator that serves HTTPS, under a name that only a proxy knows.
struct Service {
    sim: Simulator,
    ca_file: PathBuf,
    port: u16,
}

impl Service {
    fn start() -> Service {
        let sim = Simulator::start(Config { tls: true, ..Config::default() }).unwrap();
        let port = sim.api_url().rsplit_once(':').unwrap().1.parse().unwrap();
        let ca_file = mde_tests::scratch().join(format!("access-{port}.pem"));
        std::fs::write(&ca_file, sim.ca_pem().unwrap()).unwrap();
        Service { sim, ca_file, port }
    }

    fn options(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let url = format!("https://service0.simulator.test:{}", self.port);
        let ca_file = self.ca_file.to_str().unwrap();
        let own = [("api_url", url.as_str()), ("login_url", &url), ("ca_file", ca_file)];
        let usual = options(&self.sim);
        let usual = usual.iter().map(|(name, value)| (*name, value.as_str()));
        let all = usual.chain(own).chain(more.iter().copied());
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn check(&self, more: &[(&str, &str)]) -> Checked {
        let options = self.options(more);
        let options: Vec<_> =
            options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Checked::of(&Client::with(&options).unwrap_or_else(|outcome| panic!("{}", outcome.text)))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.ca_file);
    }
}

fn phases(host: &Value) -> Vec<&str> {
    let mut phases: Vec<_> = host["ms"].as_object().unwrap().keys().map(String::as_str).collect();
    phases.sort_unstable();
    phases
}

#[test]
fn the_way_through_a_proxy_has_all_its_phases() {
    let service = Service::start();
    let proxy = StubProxy::to(service.port);
    let checked = service.check(&[("proxy", &proxy.url())]);
    checked.is_fine();
    let address = format!("127.0.0.1:{}", proxy.port);
    for name in ["sign_in_host", "api_host"] {
        let host = &checked.0[name];
        assert_eq!(host["host"], "service0.simulator.test");
        let by_option = json!({"address": address, "because": "option", "set_by": "proxy"});
        assert_eq!(host["proxy"], by_option);
        assert_eq!(host["addresses"], json!([{"address": address, "used": true}]));
        assert_eq!(host["tls"], "TLS 1.3");
        assert!(host["issuer"].as_str().unwrap().starts_with("CN="), "{host}");
        assert_eq!(phases(host), ["connect", "first_byte", "lookup", "tls", "tunnel"]);
    }
    // Each host has a connection of its own, which was opened for the check.
    assert_eq!(proxy.targets().len(), 2);
}

#[test]
fn the_reason_for_the_way_is_named() {
    let service = Service::start();
    let proxy = StubProxy::to(service.port);
    let in_environment = |variables: &[(&str, &str)], more: &[(&str, &str)]| -> Value {
        let mut command = Task::Check { options: service.options(more) }.command();
        for name in ["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_ascii_lowercase());
        }
        let printed = child::finished(command.envs(variables.iter().copied()).output().unwrap());
        let document: Value = serde_json::from_str(printed.trim_end()).unwrap();
        document["access"]["api_host"]["proxy"].clone()
    };
    let (url, address) = (proxy.url(), format!("127.0.0.1:{}", proxy.port));
    for name in ["HTTPS_PROXY", "all_proxy"] {
        assert_eq!(
            in_environment(&[(name, &url)], &[]),
            json!({"address": address, "because": "variable", "set_by": name})
        );
    }
    let (variable, excepted) = (("HTTPS_PROXY", url.as_str()), ("no_proxy", "simulator.test"));
    assert_eq!(
        in_environment(&[variable, excepted], &[]),
        json!({"because": "no_proxy", "set_by": "no_proxy"})
    );
    assert_eq!(
        in_environment(&[variable, ("NO_PROXY", "*")], &[]),
        json!({"because": "no_proxy", "set_by": "NO_PROXY"})
    );
    let here = service.sim.api_url();
    assert_eq!(in_environment(&[variable], &[("api_url", &here)]), json!({"because": "loopback"}));
    assert_eq!(in_environment(&[], &[]), json!({"because": "none"}));
}

#[test]
fn a_proxy_that_wants_a_login_is_named() {
    let service = Service::start();
    let proxy = StubProxy::answering(
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n",
    );
    let words = format!("the proxy 127.0.0.1:{} did not open a tunnel", proxy.port);
    let checked = service.check(&[("proxy", &proxy.url())]);
    let error = checked.fails_first("sign_in_host", "proxy", &words);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("put user and password into `proxy`"), "{message}");
    assert_eq!(error["http_status"], 407);
    // The other host is asked for as well.
    assert_eq!(checked.step("api_host")["error"]["name"], "proxy");
    assert_eq!(phases(&checked.0["api_host"]), ["connect", "lookup"]);
    let url = proxy.url().replace("http://", "http://user:canary@");
    let checked = service.check(&[("proxy", &url)]);
    checked.fails_first("sign_in_host", "proxy", "it refuses the login (407)");
    assert!(!checked.0.to_string().contains("canary"), "{}", checked.0);
    assert!(!checked.0.to_string().contains(DEFAULT_SECRET));
}

#[test]
fn an_unknown_authority_is_named() {
    let pki = Pki::new();
    pki.issue("service", &Wish { names: "DNS:service0.simulator.test", ..Wish::default() });
    let inspecting = pki.listener("service", &[]);
    let service = Service::start();
    let proxy = StubProxy::to(inspecting.port);
    let checked = service.check(&[("proxy", &proxy.url())]);
    for step in ["sign_in_host", "api_host"] {
        let error = &checked.step(step)["error"];
        let message = error["message"].as_str().unwrap();
        assert_eq!(error["name"], "tls", "{error}");
        assert!(message.contains("issuer is not trusted here"), "{message}");
        assert!(message.contains("was issued by `CN=root`: if that is a proxy"), "{message}");
        let host = &checked.0[step];
        assert_eq!(host["issuer"], "CN=root", "{host}");
        assert_eq!(phases(host), ["connect", "lookup", "tunnel"]);
    }
    checked.fails_first("sign_in_host", "tls", "add its CA to the system or to `ca_file`");
    for secret in ["POST ", "GET ", "client_secret"] {
        assert!(!inspecting.output().contains(secret), "{}", inspecting.output());
    }
}

/// The advice for an unknown authority is not given for other faults of a certificate.
#[test]
fn a_certificate_that_has_expired_is_not_blamed_on_its_authority() {
    let pki = Pki::new();
    let valid = Some(("20200101000000Z", "20210101000000Z"));
    pki.issue("service", &Wish { names: "DNS:service0.simulator.test", valid, ..Wish::default() });
    let server = pki.listener("service", &[]);
    let service = Service::start();
    let proxy = StubProxy::to(server.port);
    let root = pki.path("root");
    let checked = service.check(&[("proxy", &proxy.url()), ("ca_file", &root)]);
    let words = "the certificate has expired, or this machine's clock is ahead";
    let error = checked.fails_first("sign_in_host", "tls", words);
    assert!(!error["message"].as_str().unwrap().contains("was issued by"), "{error}");
    assert_eq!(checked.0["sign_in_host"]["issuer"], "CN=root");
}

#[test]
fn a_dead_name_hides_nothing() {
    let sim = simulator();
    let dead = "https://no-such-host.invalid";
    let more = [("proxy", "none"), ("max_retries", "4")];
    let checked =
        Checked::of(&mde_tests::client(&sim, &[&more[..], &[("api_url", dead)]].concat()));
    let error = checked.fails_first("api_host", "resolve", "check the name and DNS");
    assert!(error["message"].as_str().unwrap().contains("`no-such-host.invalid`"), "{error}");
    assert_eq!(checked.others(), [("api_host", "failed"), ("api", "skipped")]);
    let host = &checked.0["api_host"];
    assert_eq!((&host["addresses"], &host["ms"]), (&json!([]), &json!({})));

    let checked =
        Checked::of(&mde_tests::client(&sim, &[&more[..], &[("login_url", dead)]].concat()));
    checked.fails_first("sign_in_host", "resolve", "could not be resolved");
    assert_eq!(checked.step("sign_in")["result"], "skipped");
    assert_eq!(checked.step("api_host")["result"], "ok");
}

#[test]
fn an_address_that_refuses_is_listed() {
    let sim = simulator();
    let checked = Checked::of(&mde_tests::client(
        &sim,
        &[("proxy", "none"), ("api_url", "http://127.0.0.1:1")],
    ));
    checked.fails_first("api_host", "connect", "127.0.0.1:1 did not accept");
    let [address] = &checked.0["api_host"]["addresses"].as_array().unwrap()[..] else {
        panic!("{}", checked.0)
    };
    assert_eq!((&address["address"], &address["used"]), (&json!("127.0.0.1:1"), &json!(false)));
    assert!(address["problem"].as_str().unwrap().contains("did not accept"), "{address}");
}
