//! Tests of `examples/c/check.c`: which line is red first, and what it says.

use std::process::Command;

use mde_simulator::{Application, Config, DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT};
use serde_json::{Value, json};

use super::scenarios::{Example, has};
use super::{How, on_a_terminal, on_a_terminal_until, run, start};
use crate::access::{clock_is_behind, grants, wants_consent};
use crate::peers::keys::Keys;
use crate::peers::openssl::{Pki, Wish};
use crate::peers::stub_proxy::StubProxy;

/// The example, against a simulator with these rules.
fn example(how: How, rules: Option<Value>) -> Example {
    let example = Example::of("examples/c/check.c", how, Config::default());
    if let Some(rules) = rules {
        example.service.sim.script(rules).unwrap();
    }
    example
}

/// With these further options.
fn command(example: &Example, options: &[&str]) -> Command {
    let mut command = example.bare_command();
    command.arg("--option=proxy=none");
    for option in options {
        command.args(["--option", option]);
    }
    command
}

/// The first line that is red on a terminal has these parts.
#[track_caller]
fn is_red(command: &mut Command, code: i32, step: &str, parts: &[&str]) {
    let shown = run(command).expect(code).stdout;
    let line = shown.lines().find(|line| line.contains(" FAILED "));
    let line = line.unwrap_or_else(|| panic!("nothing has failed:\n{shown}"));
    assert!(line.starts_with(step), "not of {step}: {line}");
    parts.iter().for_each(|part| has(line, part));
    assert!(!shown.contains('\u{1b}') && !shown.contains(DEFAULT_SECRET), "{shown}");
}

/// All is well, as text and as JSON.
#[track_caller]
pub fn succeeds(how: How) {
    let example = example(how, None);
    let shown = run(&mut command(&example, &[])).expect(0).stdout;
    for step in ["sign_in_host", "sign_in", "permissions", "api_host", "api", "clock"] {
        has(&shown, &format!("{step:<13} ok"));
    }
    has(&shown, &format!("application {DEFAULT_CLIENT}, tenant {DEFAULT_TENANT}, object "));
    has(&shown, "permissions: Machine.CollectForensics, Machine.Read.All\n");
    has(&shown, ", no proxy (proxy)\n");
    has(&shown, ": used\n");
    has(&shown, "milliseconds: lookup ");
    has(&shown, "mde_fetch_package      yes\n");
    let json = run(command(&example, &[]).arg("--json")).expect(0).stdout;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["access"]["ok"], true, "{json}");
    let mut token = command(&example, &[]);
    token.env_remove("MDE_CLIENT_SECRET").env("MDE_ACCESS_TOKEN", &example.service.token);
    has(&run(&mut token).expect(0).stdout, "sign_in_host  skipped");
    takes_a_password(&example);
    let wrong = run(command(&example, &[]).args(["--machine", "x"])).expect(2);
    has(&wrong.stderr, "unknown argument: --machine");
    let help = run(start(&example.program, how).arg("--help")).expect(0).stdout;
    assert!(!help.contains("--comment") && help.contains("--secret-file"), "{help}");
}

/// Of a certificate and of a proxy, from the environment.
#[track_caller]
fn takes_a_password(example: &Example) {
    let keys = Keys::new();
    keys.openssl("pkcs12 -export -in cert.pem -inkey key.pem -out own.pfx -passout pass:abcdef");
    let certificate = format!("client_certificate={}", keys.path("own.pfx"));
    let with = |password: &str| {
        let mut command = command(example, &[&certificate]);
        command.env_remove("MDE_CLIENT_SECRET").env("MDE_CERTIFICATE_PASSWORD", password);
        run(&mut command)
    };
    has(&with("abcdef").expect(0).stdout, "sign_in       ok");
    has(&with("wrong").expect(2).stderr, "option `certificate_password` is wrong");
    let mut proxy = example.bare_command();
    let refused = run(proxy.env("MDE_PROXY", "ftp://user:canary@host:1")).expect(2).stderr;
    has(&refused, "option `proxy` names a kind of proxy that is not supported");
    assert!(!refused.contains("canary"), "{refused}");
}

/// Each cause of the first hour, by the first red line.
#[track_caller]
pub fn names_the_cause(how: How) {
    let usual = example(how, None);
    let mut wrong = command(&usual, &[]);
    let advice = "set `client_secret` to the secret's value, not to its id";
    is_red(wrong.env("MDE_CLIENT_SECRET", "wrong"), 1, "sign_in ", &["AADSTS7000215", advice]);
    let mut unknown = command(&usual, &["tenant_id=00000000-0000-0000-0000-00000000000a"]);
    is_red(&mut unknown, 1, "sign_in ", &["AADSTS90002", "check `tenant_id`"]);
    let no_consent = example(how, Some(wants_consent()));
    let parts = ["AADSTS65001", "an administrator must grant"];
    is_red(&mut command(&no_consent, &[]), 1, "sign_in ", &parts);

    let roles = vec!["Machine.Read.All".to_owned()];
    let applications = vec![Application { roles, ..Application::default() }];
    let config = Config { applications, ..Config::default() };
    let one_role = Example::of("examples/c/check.c", how, config);
    let parts = ["lacks the application permission Machine.CollectForensics", "; grant "];
    is_red(&mut command(&one_role, &[]), 1, "permissions ", &parts);
    let shown = run(&mut command(&one_role, &[])).stdout;
    has(&shown, "mde_fetch_package      no: lacks Machine.CollectForensics\n");
    let delegated =
        example(how, Some(grants(&json!({"scp": "User.Read", "upn": "ann@contoso.example"}))));
    let parts = ["the token is a user's and lacks the delegated", "sign in as an application"];
    is_red(&mut command(&delegated, &[]), 1, "permissions ", &parts);

    let mut dead = command(&usual, &["api_url=https://no-such-host.invalid", "max_retries=0"]);
    // Programs get the same code.
    let document = run(command(&usual, &["api_url=https://no-such-host.invalid"]).arg("--json"));
    has(&document.expect(3).stdout, "\"ok\":false");
    is_red(
        &mut dead,
        3,
        "api_host ",
        &["`no-such-host.invalid` could not be", "check the name and DNS"],
    );
    let pki = Pki::new();
    pki.issue("service", &Wish { names: "DNS:api.corp.test", ..Wish::default() });
    let inspecting = pki.listener("service", &[]);
    let proxy = format!("proxy={}", StubProxy::to(inspecting.port).url());
    let mut inspected = command(&usual, &["api_url=https://api.corp.test", &proxy]);
    let parts = ["issuer is not trusted here; add its CA", "was issued by `CN=root`"];
    is_red(&mut inspected, 1, "api_host ", &parts);
    let wants_login =
        StubProxy::answering("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n");
    let proxy = format!("proxy={}", wants_login.url());
    let mut through = command(&usual, &["api_url=https://api.corp.test", &proxy]);
    let parts = ["it asks for a login (407) and offers Basic: put user and password into `proxy`"];
    is_red(&mut through, 1, "api_host ", &parts);
    let late = example(how, Some(clock_is_behind(3_600)));
    let parts = ["clock is 60 minutes ahead of the service's: set it right"];
    is_red(&mut command(&late, &[]), 1, "clock ", &parts);
}

/// Red on a terminal alone, and not where the user wants none.
#[track_caller]
pub fn is_coloured_on_a_terminal(how: How) {
    let example = example(how, None);
    let mut ok = command(&example, &[]);
    assert!(!on_a_terminal(&ok).contains("\u{1b}["), "nothing has failed");
    ok.env("MDE_CLIENT_SECRET", "wrong").env_remove("NO_COLOR");
    let shown = on_a_terminal_until(&ok, 1);
    let red = shown.lines().find(|line| line.starts_with("\u{1b}[31m"));
    has(red.unwrap_or_else(|| panic!("nothing is red: {shown}")), "sign_in       FAILED ");
    ok.env("NO_COLOR", "1");
    let shown = on_a_terminal_until(&ok, 1);
    assert!(shown.contains(" FAILED ") && !shown.contains('\u{1b}'), "{shown}");
}
