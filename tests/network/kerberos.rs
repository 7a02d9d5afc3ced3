//! Logins at proxies by Kerberos: MIT's KDC, and squid with its helper. Tickets are named by the environment, so each
//! call has a process of its own.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use mde_tests::child::{self, Task};
use mde_tests::client;
use mde_tests::packages::{Folder, lead_to};
use mde_tests::peers::kerberos::{PASSWORD, Realm, USER};
use mde_tests::peers::proxies::Proxy;
use mde_tests::peers::server::ID;
use mde_tests::peers::stub_proxy::StubProxy;
use serde_json::{Value, json};

use crate::proxies::Services;

type Variables = [(&'static str, String)];

/// The error of a call through this proxy, which is the proxy's, and the status that it had.
#[track_caller]
fn error(services: &Services, proxy: &str, variables: &Variables, words: &[&str]) -> Value {
    let url = services.url(0);
    let options = [
        ("ca_file", services.ca_file.to_str().unwrap()),
        ("proxy", proxy),
        ("api_url", &url),
        ("login_url", &url),
        ("connect_timeout_ms", "3000"),
    ];
    let options = child::options(&services.sims[0], &options);
    let command = Task::Read { options, action: ID.to_owned() }.command();
    error_of(command, variables, words)
}

#[track_caller]
fn error_of(mut command: std::process::Command, variables: &Variables, words: &[&str]) -> Value {
    let output = command.envs(variables.iter().map(|(name, value)| (name, value))).output();
    let printed = child::finished(output.unwrap());
    assert!(!printed.contains("canary"), "{printed}");
    let (_, text) = printed.trim_end().split_once(' ').unwrap();
    let error = serde_json::from_str::<Value>(text).unwrap()["error"].clone();
    assert_eq!(error["name"], "proxy", "{error}");
    let message = error["message"].as_str().unwrap();
    for words in words {
        assert!(message.contains(words), "no `{words}` in: {message}");
    }
    error
}

/// squid is a service that its Debian package starts: only the full run asks for it.
mod full {
    use super::*;

    fn squid(realm: &Realm, more: &str) -> Proxy {
        let (keytab, mut variables) = realm.of_the_proxy();
        variables.push(("KRB5RCACHETYPE", "none".to_owned()));
        let lines = format!(
            "hosts_file {{folder}}/hosts\n\
             auth_param negotiate program /usr/lib/squid/negotiate_kerberos_auth -k {keytab} -s HTTP/localhost\n\
             auth_param negotiate children 2\n{more}\nacl known proxy_auth REQUIRED\n\
             http_access allow known\nhttp_access deny all"
        );
        Proxy::squid_in(&lines, &variables)
    }

    fn by_name(proxy: &Proxy, login: &str) -> String {
        format!("http://{login}localhost:{}", proxy.port)
    }

    #[test]
    fn a_package_is_fetched_through_a_proxy_that_wants_a_ticket() {
        let (services, realm) = (Services::start(1), Realm::start());
        let proxy = squid(&realm, "");
        let folder = Folder::new();
        let sim = &services.sims[0];
        sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
        // Links lead to the name that only the proxy knows, so that packages come through it as well.
        let action = sim.add_action(json!({"status": "Succeeded"})).unwrap();
        let direct = [("ca_file", services.ca_file.to_str().unwrap())];
        let link = client(sim, &direct).package_uri(action["id"].as_str().unwrap()).ok();
        let link = link["uri"].as_str().unwrap().replace(&sim.api_url(), &services.url(0));
        lead_to(sim, &link);
        let fetch = |login: &str, auth: &str, name: &str, n: usize| {
            let url = services.url(0);
            let proxy = by_name(&proxy, login);
            let options = [
                ("ca_file", services.ca_file.to_str().unwrap()),
                ("proxy", &proxy),
                ("proxy_auth", auth),
                ("api_url", &url),
                ("login_url", &url),
                ("poll_interval_ms", "100"),
            ];
            let options = child::options(&services.sims[0], &options);
            let path = folder.0.join(name).to_str().unwrap().to_owned();
            let machine = services.sims[0].machine_id(n);
            let mut command = Task::Fetch { options, machine, path }.command();
            let printed = child::finished(command.envs(realm.of_the_client()).output().unwrap());
            serde_json::from_str::<Value>(&printed).unwrap()
        };
        realm.log_in("5m");
        sim.clear_requests();
        let document = fetch("", "negotiate,ntlm,basic", "as-process.zip", 0);
        assert!(document["package"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{document}");
        let name = services.url(0).replace("https://", "");
        for request in sim.requests() {
            let host = request.headers.iter().find(|(name, _)| name == "host").unwrap();
            assert_eq!(host.1, name, "{}", request.path);
        }

        // With the ticket destroyed it fails, and says so.
        realm.log_out();
        let document = fetch("", "negotiate", "without.zip", 1);
        let message = document["error"]["message"].as_str().unwrap_or_default();
        for words in [
            "asks for a login (407) and offers Negotiate: the login by Negotiate as the account of this process failed",
            "No Kerberos credentials available",
            "get a ticket (kinit)",
        ] {
            assert!(message.contains(words), "no `{words}` in {document}");
        }
        assert_eq!(document["error"]["http_status"], 407, "{document}");

        // User and password get a ticket of their own.
        let login = format!("{USER}:{}@", PASSWORD);
        let document = fetch(&login, "negotiate", "as-user.zip", 2);
        assert!(document["package"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{document}");
    }

    #[test]
    fn each_failure_says_what_is_wrong() {
        let (services, mut realm) = (Services::start(1), Realm::start());
        let proxy = squid(&realm, "");
        let (plain, client) = (by_name(&proxy, ""), realm.of_the_client());
        let fails = |proxy: &str, words: &[&str]| error(&services, proxy, &client, words);
        let login = |user: &str, password: &str| by_name(&proxy, &format!("{user}:{password}@"));

        fails(
            &login(USER, "canary"),
            &["as the user of `proxy` failed", "check user and password"],
        );
        // A few of them may lock the account.
        assert_eq!(realm.wrong_passwords(), 1);
        fails(
            &login("canary", PASSWORD),
            &["as the user of `proxy` failed", "check user and password"],
        );
        realm.log_in("5m");
        // The realm does not know the proxy by this name.
        fails(&proxy.url(), &["127.0.0.1@MDE.TEST", "not found", "service principal (HTTP/name)"]);
        realm.log_in("1s");
        std::thread::sleep(Duration::from_millis(2_100));
        fails(&plain, &["xpired", "renew the ticket (kinit)"]);

        // An hour and more behind the KDC.
        realm.log_in("5m");
        let url = services.url(0);
        let options = [("proxy", plain.as_str()), ("api_url", &url), ("login_url", &url)];
        let options = child::options(&services.sims[0], &options);
        let mut late = std::process::Command::new("faketime");
        late.args(["-f", "-2h"]).env("DONT_FAKE_MONOTONIC", "1");
        late.args(Task::Read { options, action: ID.to_owned() }.words());
        error_of(late, &client, &["set the clock of this host right"]);

        // The proxy has an old key.
        realm.change_key("HTTP/localhost");
        realm.log_in("5m");
        let refused =
            fails(&plain, &["it refuses the login (407) by Negotiate", "offers Negotiate"]);
        assert_eq!(refused["retryable"], false, "{refused}");

        // The KDC is away, and then silent.
        realm.log_in("5m");
        realm.stop();
        let away = fails(&plain, &["Cannot contact any KDC", "reaches a key distribution centre"]);
        assert_eq!(away["retryable"], true, "{away}");
        fails(&login(USER, PASSWORD), &["Cannot contact any KDC"]);
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        realm.configure(silent.local_addr().unwrap().port());
        let began = Instant::now();
        fails(
            &plain,
            &["was not ready in time (", "at most `connect_timeout_ms`)", "(KDC) may be away"],
        );
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        assert_eq!(services.sims[0].requests(), []);
    }

    /// Basic is the weaker one, and the password is not sent.
    #[test]
    fn a_proxy_that_offers_both_gets_a_ticket() {
        let (services, realm) = (Services::start(1), Realm::start());
        let proxy = squid(
            &realm,
            "auth_param basic program /usr/lib/squid/basic_ncsa_auth {folder}/logins",
        );
        // Basic would do.
        let login = "us.er:pa_ss.1@";
        services
            .client(&proxy.url_with(login), &[("proxy_auth", "basic")])
            .action(ID)
            .error("not_found");
        let client = realm.of_the_client();
        error(
            &services,
            &by_name(&proxy, login),
            &client,
            &["the login by Negotiate as the user of `proxy` failed"],
        );
    }
}

/// Without a realm at all, and whether or not the library for it is there.
#[test]
fn a_proxy_that_wants_a_ticket_is_told_apart() {
    let services = Services::start(1);
    let stub = StubProxy::answering(
        "HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n\r\n",
    );
    let nowhere =
        [("KRB5_CONFIG", "/dev/null".to_owned()), ("KRB5CCNAME", "FILE:/nowhere".to_owned())];
    let words = ["asks for a login (407) and offers Negotiate, NTLM: the login by Negotiate"];
    error(&services, &stub.url(), &nowhere, &words);

    // A host that was never set up for it can still use Basic.
    let both = StubProxy::answering(
        "HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: Basic realm=x\r\n\r\n",
    );
    let login = both.url().replace("http://", "http://us.er:canary@");
    error(
        &services,
        &login,
        &nowhere,
        &["it refuses the login (407) by Basic as the user of `proxy`"],
    );
    let logins =
        both.heads().into_iter().map(|head| head.contains("\r\nProxy-Authorization: Basic "));
    // The sign-in asks first.
    assert_eq!(logins.collect::<Vec<_>>(), [false, true]);
}
