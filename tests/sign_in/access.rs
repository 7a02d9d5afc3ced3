//! The check of the access: what it finds of the sign-in, the permissions and the clock.

use std::time::{Duration, Instant};

use mde_simulator::{Application, Config, DEFAULT_CLIENT, DEFAULT_TENANT, Simulator};
use mde_tests::access::{Checked, clock_is_behind, grants, wants_consent};
use mde_tests::{Cancel, Client, client, simulator};
use serde_json::{Value, json};

const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";
const DIRECT: (&str, &str) = ("proxy", "none");

fn check(sim: &Simulator, more: &[(&str, &str)]) -> Checked {
    Checked::of(&client(sim, &[&[DIRECT], more].concat()))
}

fn paths(sim: &Simulator) -> Vec<String> {
    let requests = sim.requests().into_iter();
    requests
        .map(|it| if it.query.is_empty() { it.path } else { format!("{}?{}", it.path, it.query) })
        .collect()
}

/// How many calls of an endpoint were counted.
fn used(client: &Client, endpoint: &str) -> u64 {
    let quotas = client.quota().ok();
    let all = quotas["quotas"].as_array().unwrap();
    let row = all.iter().find(|it| it["endpoint"] == endpoint).unwrap();
    row.get("used").and_then(Value::as_u64).unwrap_or(0)
}

fn with_roles(roles: &[&str]) -> Simulator {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let applications = vec![Application { roles, ..Application::default() }];
    Simulator::start(Config { applications, ..Config::default() }).unwrap()
}

#[test]
fn where_all_is_well_it_says_who_and_what_and_how() {
    let sim = simulator();
    let client = client(&sim, &[DIRECT]);
    client.list("").ok();
    sim.clear_requests();
    let checked = Checked::of(&client);
    checked.is_fine();
    // A new token, and one device. Nothing else.
    let token = format!("/{DEFAULT_TENANT}/oauth2/v2.0/token");
    assert_eq!(paths(&sim), [token.as_str(), "/api/machines?$top=1"]);
    assert_eq!(["machines", "list", "read"].map(|endpoint| used(&client, endpoint)), [1, 1, 0]);
    let Checked(access) = &checked;
    let identity = &access["identity"];
    assert_eq!(identity["kind"], "application");
    assert_eq!(
        (&identity["tenant"], &identity["application"]),
        (&json!(DEFAULT_TENANT), &json!(DEFAULT_CLIENT))
    );
    assert!(identity["object"].is_string() && identity.get("user").is_none(), "{identity}");
    assert_eq!(identity["permissions"], json!(["Machine.CollectForensics", "Machine.Read.All"]));
    assert!(identity["expires_at"].as_str().unwrap().ends_with('Z'), "{identity}");
    for function in
        ["mde_fetch_package", "mde_fetch_packages", "mde_cancel_action", "mde_find_machines"]
    {
        assert!(checked.lacks(function).is_empty());
    }
    for host in ["sign_in_host", "api_host"] {
        let host = &access[host];
        assert_eq!((&host["host"], &host["http_status"]), (&json!("127.0.0.1"), &json!(200)));
        assert_eq!(host["proxy"], json!({"because": "option", "set_by": "proxy"}));
        let address = format!("127.0.0.1:{}", host["port"]);
        assert_eq!(host["addresses"], json!([{"address": address, "used": true}]));
        let mut phases: Vec<_> = host["ms"].as_object().unwrap().keys().collect();
        phases.sort();
        assert_eq!(phases, ["connect", "first_byte", "lookup"], "{host}");
        assert!(host["clock_ahead_s"].as_i64().unwrap().abs() < 5, "{host}");
        assert!(host.get("tls").is_none() && host.get("issuer").is_none(), "{host}");
    }
}

#[test]
fn a_refused_sign_in_hides_neither_host() {
    let unknown = "00000000-0000-0000-0000-00000000000a";
    let sim = simulator();
    for (option, value, words) in [
        ("client_secret", "canary-secret-9~%&", "the client secret is wrong"),
        ("tenant_id", unknown, "the tenant is unknown here"),
        ("client_id", unknown, "the application is not in this tenant"),
    ] {
        sim.clear_requests();
        let client = client(&sim, &[DIRECT, (option, value), ("max_retries", "4")]);
        let outcome = client.check_access();
        assert!(!outcome.text.contains("canary"), "{}", outcome.text);
        let checked = Checked(outcome.ok()["access"].clone());
        let error = checked.fails_first("sign_in", "token", words);
        assert!(error["request_id"].is_string() && error["stage"] == "token", "{error}");
        let skipped = [("permissions", "skipped"), ("api", "skipped")];
        assert_eq!(checked.others()[1..], skipped, "{}", checked.0);
        // Reached without a token, which the service says.
        assert_eq!(checked.0["api_host"]["http_status"], 401);
        assert_eq!(sim.requests().len(), 2, "{:?}", paths(&sim));
        assert_eq!(used(&client, "machines"), 0);
        assert!(checked.0.get("identity").is_none() && checked.0.get("functions").is_none());
    }
}

#[test]
fn missing_consent_is_named() {
    let sim = simulator();
    sim.script(wants_consent()).unwrap();
    let words = "AADSTS65001: The user or administrator has not consented";
    let error = check(&sim, &[]).fails_first("sign_in", "token", words).clone();
    assert!(error["message"].as_str().unwrap().contains("an administrator must grant"), "{error}");
}

#[test]
fn one_of_the_two_permissions_is_not_enough() {
    let checked = check(&with_roles(&["Machine.Read.All"]), &[]);
    checked.fails_first(
        "permissions",
        "forbidden",
        "lacks the application permission Machine.CollectForensics, ",
    );
    assert_eq!(checked.others(), [("permissions", "failed")]);
    assert_eq!(checked.lacks("mde_fetch_package"), ["Machine.CollectForensics"]);
    assert!(checked.lacks("mde_find_machines").is_empty());

    let checked = check(&with_roles(&["Machine.CollectForensics"]), &[]);
    checked.fails_first("permissions", "forbidden", "Machine.Read.All");
    assert_eq!(checked.others(), [("permissions", "failed"), ("api", "failed")]);
    assert_eq!(checked.step("api")["error"]["http_status"], 403);
    assert_eq!(checked.lacks("mde_cancel_action"), ["Machine.Read.All"]);

    let checked = check(&with_roles(&[]), &[]);
    let both = "Machine.CollectForensics and Machine.Read.All, so that 10 of 10 functions are not allowed; grant ";
    checked.fails_first("permissions", "forbidden", both);
    // More than is needed.
    check(
        &with_roles(&["Machine.ReadWrite.All", "Machine.CollectForensics", "Alert.Read.All"]),
        &[],
    )
    .is_fine();
}

#[test]
fn a_users_token_is_called_one() {
    let sim = simulator();
    let claims = json!({"scp": "Machine.Read", "tid": ID, "oid": ID, "appid": ID, "upn": "ann@contoso.example"});
    let refused = json!({"error": {"code": "Forbidden", "message": "no", "target": "|1."}});
    sim.script(json!([
        grants(&claims),
        {"match": {"path_contains": "/api/"}, "times": 0, "reply": {"status": 403, "json": refused}},
    ]))
    .unwrap();
    let client = client(&sim, &[DIRECT]);
    let checked = Checked::of(&client);
    let words =
        "the token is a user's and lacks the delegated permission Machine.CollectForensics, ";
    let error = checked.fails_first("permissions", "forbidden", words);
    assert!(error["message"].as_str().unwrap().contains("sign in as an application"), "{error}");
    let identity = &checked.0["identity"];
    assert_eq!(
        (&identity["kind"], &identity["user"]),
        (&json!("user"), &json!("ann@contoso.example"))
    );
    assert!(checked.lacks("mde_get_action").is_empty());
    // Calls say so as well.
    let error = client.list("").error("forbidden");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("the token is a user's; "), "{message}");
}

#[test]
fn a_clock_that_is_off_is_named() {
    let sim = simulator();
    sim.script(clock_is_behind(3_600)).unwrap();
    let checked = check(&sim, &[]);
    checked.fails_first(
        "clock",
        "token",
        "this host's clock is 60 minutes ahead of the service's: set it right",
    );
    assert_eq!(checked.others(), [("clock", "failed")]);
    let ahead = checked.0["api_host"]["clock_ahead_s"].as_i64().unwrap();
    assert!((3_599..3_620).contains(&ahead), "{ahead}");
}

#[test]
fn a_tenant_without_devices_and_a_service_that_is_none_are_told_apart() {
    let list =
        |reply: Value| json!({"match": {"path_contains": "/api/"}, "times": 0, "reply": reply});
    let nobody =
        json!({"error": {"code": "ResourceNotFound", "message": "No machines were found"}});
    for (reply, name, words) in [
        (json!({"status": 200, "json": {"value": []}}), "", ""),
        (json!({"status": 404, "json": nobody}), "", ""),
        (json!({"status": 200, "body": "<html>portal"}), "protocol", "is not a list of devices"),
        (json!({"status": 404, "body": "<html>"}), "not_found", "check `api_url`"),
        (json!({"status": 503}), "service", "try again later"),
        (
            json!({"status": 401, "json": {"error": {"code": "Unauthorized", "message": "No Tvm license"}}}),
            "unauthorized",
            "licence",
        ),
    ] {
        let sim = simulator();
        sim.script(list(reply)).unwrap();
        let checked = check(&sim, &[("max_retries", "4")]);
        if name.is_empty() {
            checked.is_fine();
        } else {
            checked.fails_first("api", name, words);
        }
        // Nothing is repeated, and no token is renewed once more.
        assert_eq!(sim.requests().len(), 2, "{words}");
    }
}

/// Their clients have no sign-in host.
#[test]
fn tokens_of_the_host_are_used_as_they_are() {
    let sim = simulator();
    client(&sim, &[]).list("").ok();
    let token = sim.requests().iter().rev().find_map(|it| {
        let mut headers = it.headers.iter();
        headers
            .find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
            .map(|(_, value)| value.clone())
    });
    let token = token.unwrap().split_off("Bearer ".len());
    let with = |token: &str| {
        let url = sim.api_url();
        let client = Client::with(&[("access_token", token), ("api_url", &url), DIRECT]).unwrap();
        let outcome = client.check_access();
        assert!(!outcome.text.contains(token), "{}", outcome.text);
        Checked(outcome.ok()["access"].clone())
    };
    let checked = with(&token);
    assert_eq!(checked.others(), [("sign_in_host", "skipped")]);
    assert!(checked.0.get("sign_in_host").is_none());
    let checked = with("canary-opaque-token");
    assert_eq!(checked.0["identity"], json!({"kind": "unknown", "permissions": []}));
    assert_eq!(checked.step("permissions")["result"], "skipped");
    checked.fails_first("api", "unauthorized", "make a client with a new `access_token`");

    let url = sim.api_url();
    let expected = "the token provider gave no token: the vault is closed";
    struct Closed;
    impl mde::TokenProvider for Closed {
        fn token(&self, _: &str) -> Result<mde::ProvidedToken, String> {
            Err("the vault is closed".to_owned())
        }
    }
    let mut options = mde::Options::new();
    options.set("api_url", &url).unwrap();
    options.set("proxy", "none").unwrap();
    options.set_token_provider(std::sync::Arc::new(Closed));
    let access = mde::Client::new(&options).unwrap().check_access(None).unwrap();
    assert!(!access.is_ok());
    let failed = access.steps().iter().find(|step| step.result() == "failed").unwrap();
    assert_eq!((failed.name(), failed.error().unwrap().message()), ("sign_in", expected));
    assert!(access.steps().iter().any(|it| (it.name(), it.result()) == ("api_host", "ok")));
}

/// The device is read with the token that the document describes.
#[test]
fn a_token_without_a_lifetime_is_got_once() {
    let sim = simulator();
    let mut rules = clock_is_behind(0);
    rules[0]["reply"]["json"]["expires_in"] = json!(0);
    sim.script(rules).unwrap();
    check(&sim, &[]).is_fine();
    let token = format!("/{DEFAULT_TENANT}/oauth2/v2.0/token");
    assert_eq!(paths(&sim), [token.as_str(), "/api/machines?$top=1"]);
}

#[test]
fn a_check_that_fails_takes_no_token_away() {
    let sim = simulator();
    let client = client(&sim, &[DIRECT, ("max_retries", "3")]);
    client.list("").ok();
    sim.script(json!({"match": {"path_contains": "/token"}, "times": 0, "reply": {"status": 503}}))
        .unwrap();
    sim.clear_requests();
    let checked = Checked::of(&client);
    checked.fails_first("sign_in", "service", "HTTP 503");
    client.list("").ok();
    let tokens = paths(&sim).iter().filter(|path| path.ends_with("/token")).count();
    assert_eq!(tokens, 1, "{:?}", paths(&sim));
}

/// A file that cannot be read sends no request. The host is reached all the same.
#[test]
fn both_hosts_are_reached_where_no_token_is_asked_for() {
    let sim = simulator();
    let (api, login) = (sim.api_url(), sim.login_url());
    let client = Client::with(&[
        ("tenant_id", DEFAULT_TENANT),
        ("client_id", DEFAULT_CLIENT),
        ("federated_token_file", "/nonexistent/token"),
        ("api_url", &api),
        ("login_url", &login),
        DIRECT,
    ])
    .unwrap();
    let checked = Checked::of(&client);
    checked.fails_first("sign_in", "token", "the file that option `federated_token_file` names");
    assert_eq!(checked.step("sign_in_host")["result"], "ok");
    let page = format!("/{DEFAULT_TENANT}/v2.0/.well-known/openid-configuration");
    assert_eq!(paths(&sim), [page.as_str(), "/api/machines?$top=1"]);
}

#[test]
fn a_host_that_hangs_leaves_time_for_the_other() {
    let sim = simulator();
    sim.script(json!({"match": {"path_contains": "/token"}, "times": 0, "stall": true})).unwrap();
    let started = Instant::now();
    let checked = check(&sim, &[("timeout_ms", "2000")]);
    assert!(started.elapsed() < Duration::from_millis(1_900), "{:?}", started.elapsed());
    checked.fails_first("sign_in_host", "deadline", "raise `timeout_ms`");
    assert_eq!(checked.step("sign_in")["result"], "skipped");
    assert_eq!(checked.step("api_host")["result"], "ok");
}

/// The callback cannot be interrupted. What its time has left is shown all the same.
#[test]
fn a_callback_that_takes_all_the_time_hides_nothing() {
    struct Slow(bool);
    impl mde::TokenProvider for Slow {
        fn token(&self, _: &str) -> Result<mde::ProvidedToken, String> {
            std::thread::sleep(Duration::from_millis(400));
            let token = "canary-token".to_owned().into();
            let provided = mde::ProvidedToken { token, expires_in: None };
            self.0.then_some(provided).ok_or("the vault is slow".to_owned())
        }
    }
    let sim = simulator();
    for (gives, expected) in [(true, ["api_host", "api"]), (false, ["sign_in", "api_host"])] {
        let mut options = mde::Options::new();
        for (name, value) in [("api_url", &*sim.api_url()), DIRECT, ("timeout_ms", "200")] {
            options.set(name, value).unwrap();
        }
        options.set_token_provider(std::sync::Arc::new(Slow(gives)));
        let access = mde::Client::new(&options).unwrap().check_access(None).unwrap();
        let failed: Vec<_> =
            access.steps().iter().filter_map(|it| Some((it.name(), it.error()?))).collect();
        let names: Vec<_> = failed.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, expected);
        for (_, error) in failed {
            assert_eq!(error.status(), mde::Status::Deadline, "{error}");
            assert!(error.message().contains("raise `timeout_ms`"), "{error}");
        }
    }
}

#[test]
fn it_stops_as_every_call_does() {
    let stalled = |path: &str| {
        let sim = simulator();
        sim.script(json!({"match": {"path_contains": path}, "times": 0, "stall": true})).unwrap();
        sim
    };
    for path in ["/token", "/api/"] {
        let sim = stalled(path);
        let client = client(&sim, &[DIRECT]);
        let cancel = Cancel::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(200));
                cancel.trigger();
            });
            client.check_access_until(Some(&cancel)).error("cancelled");
        });
        client.check_access_until(Some(&cancel)).error("cancelled");
        client.check_access_until(Some(&Cancel::new(1))).error("deadline");
        client.shutdown(Duration::from_secs(5));
        client.check_access().error("closed");
    }
}

#[test]
fn a_full_quota_hides_no_host() {
    let sim = simulator();
    let client = client(&sim, &[DIRECT, ("quota", "fail"), ("quota_limits", "machines=1/60")]);
    Checked::of(&client).is_fine();
    let checked = Checked::of(&client);
    checked.fails_first("api", "rate_limited", "has no room now");
    assert_eq!(checked.others(), [("api", "failed")]);
    assert_eq!(checked.0["api_host"]["http_status"], 401);
}
