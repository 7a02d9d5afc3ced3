//! Signing in: by secret, by a fixed token, and renewing.

use std::time::Duration;

use base64::Engine;

use mde_simulator::{Application, Config, Simulator};
use mde_tests::{Client, client, simulator};
use serde_json::json;

fn token_requests(sim: &Simulator) -> usize {
    sim.requests().iter().filter(|r| r.path.ends_with("/token")).count()
}

#[test]
fn one_token_serves_many_calls_and_threads() {
    let sim = simulator();
    let client = client(&sim, &[]);
    std::thread::scope(|scope| {
        for n in 0..16 {
            let (client, id) = (&client, sim.machine_id(n));
            scope.spawn(move || client.collect(&id, "x").ok());
        }
    });
    client.list("").ok();
    assert_eq!(token_requests(&sim), 1);
}

#[test]
fn a_wrong_secret_is_reported_without_quoting_it() {
    let sim = simulator();
    let client = client(&sim, &[("client_secret", "canary-secret-9~%&"), ("max_retries", "3")]);
    let outcome = client.collect(&sim.machine_id(0), "x");
    assert!(!outcome.text.contains("canary"), "{}", outcome.text);
    let error = outcome.error("token");
    assert_eq!(
        (&error["stage"], &error["service_code"]),
        (&json!("token"), &json!("invalid_client"))
    );
    assert!(error["message"].as_str().unwrap().contains("AADSTS7000215"));
    assert!(error["request_id"].is_string() && error["correlation_id"].is_string());
    assert_eq!(token_requests(&sim), 1, "a wrong secret does not become right by repetition");
    assert_eq!(client.quota().ok()["quotas"][0]["used"], 0, "nothing was spent");
}

#[test]
fn unknown_tenants_and_applications_have_different_messages() {
    let sim = simulator();
    for (option, code) in [("tenant_id", "AADSTS90002"), ("client_id", "AADSTS700016")] {
        let client = client(&sim, &[(option, "00000000-0000-0000-0000-00000000000a")]);
        let error = client.collect(&sim.machine_id(0), "x").error("token");
        assert!(error["message"].as_str().unwrap().contains(code), "{error}");
    }
}

#[test]
fn a_revoked_token_is_renewed_once() {
    let sim = simulator();
    let client = client(&sim, &[]);
    client.collect(&sim.machine_id(0), "x").ok();
    sim.revoke_tokens();
    client.collect(&sim.machine_id(1), "x").ok();
    assert_eq!(token_requests(&sim), 2);
}

#[test]
fn a_401_that_a_fresh_token_does_not_cure_ends_after_one_renewal() {
    let sim = simulator();
    let why = json!({"error": {"code": "Unauthorized", "message": "Unauthorized request - reason of failure: nobody knows"}});
    sim.script(json!({"match": {"path_contains": "/api/"}, "times": 0, "reply": {"status": 401, "json": why}})).unwrap();
    let error = client(&sim, &[("max_retries", "4")])
        .collect(&sim.machine_id(0), "x")
        .error("unauthorized");
    assert!(error["message"].as_str().unwrap().contains("nobody knows"));
    assert_eq!(error["attempts"], 2);
    assert_eq!(token_requests(&sim), 2);
}

#[test]
fn a_missing_licence_renews_no_token() {
    for why in ["No Tvm license", "Account mode is inactive"] {
        let sim = simulator();
        let said = format!("Unauthorized request - reason of failure: {why}");
        let licence = json!({"error": {"code": "Unauthorized", "message": said}});
        sim.script(json!({"match": {"path_contains": "/api/"}, "times": 0, "reply": {"status": 401, "json": licence}})).unwrap();
        let error = client(&sim, &[("max_retries", "4")])
            .collect(&sim.machine_id(0), "x")
            .error("unauthorized");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(why) && message.contains("no token cures"), "{message}");
        assert_eq!((&error["attempts"], &error["retryable"]), (&json!(1), &json!(false)));
        assert_eq!(token_requests(&sim), 1);
    }
}

#[test]
fn a_token_is_renewed_early_and_the_old_one_is_used_if_that_fails() {
    let sim = Simulator::start(Config { token_lifetime_s: 4, ..Config::default() }).unwrap();
    // Retries or not: with a token that serves, a renewal that fails holds nobody up.
    let client = client(&sim, &[("max_retries", "5")]);
    client.collect(&sim.machine_id(0), "x").ok();
    std::thread::sleep(Duration::from_millis(2_100));
    sim.script(json!({"match": {"path_contains": "/token"}, "reply": {"status": 503}})).unwrap();
    client.collect(&sim.machine_id(1), "x").ok();
    assert_eq!(token_requests(&sim), 2, "past half its life it is due");
    client.collect(&sim.machine_id(2), "x").ok();
    assert_eq!(token_requests(&sim), 2, "and is not tried again at once");
    std::thread::sleep(Duration::from_millis(1_050));
    client.collect(&sim.machine_id(3), "x").ok();
    assert_eq!(token_requests(&sim), 3);
    assert!(sim.requests().iter().all(|r| r.status != 401));
}

#[test]
fn a_fixed_token_is_used_as_it_is() {
    let sim = simulator();
    client(&sim, &[]).list("").ok();
    let authorization = sim.requests().into_iter().find_map(|r| {
        r.headers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
    });
    let token = authorization.unwrap().1.split_off("Bearer ".len());
    let fixed = |token: &str| {
        Client::with(&[("access_token", token), ("api_url", &sim.api_url())]).unwrap()
    };
    sim.clear_requests();
    fixed(&token).collect(&sim.machine_id(0), "x").ok();
    fixed("not-a-token").collect(&sim.machine_id(0), "x").error("unauthorized");
    fixed(&"x".repeat(15_000)).collect(&sim.machine_id(0), "x").error("unauthorized");
    assert_eq!(token_requests(&sim), 0);
}

#[test]
fn a_missing_permission_names_what_to_grant() {
    let application =
        Application { roles: vec!["Machine.Isolate".into()], ..Application::default() };
    let sim =
        Simulator::start(Config { applications: vec![application], ..Config::default() }).unwrap();
    let error = client(&sim, &[]).collect(&sim.machine_id(0), "x").error("forbidden");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(
            "this call needs Machine.CollectForensics, and the token has Machine.Isolate"
        ),
        "{message}"
    );
}

#[test]
fn transient_failures_of_the_sign_in_service_are_retried() {
    let sim = simulator();
    sim.script(json!([
        {"match": {"path_contains": "/token"}, "reply": {"status": 503}},
        {"match": {"path_contains": "/token"}, "close": "before_reply"},
    ]))
    .unwrap();
    client(&sim, &[("max_retries", "3")]).collect(&sim.machine_id(0), "x").ok();
    assert_eq!(token_requests(&sim), 3);
}

#[test]
fn replies_without_a_token_are_errors() {
    for (reply, name) in [
        (json!({"status": 200, "body": "<html>portal</html>"}), "protocol"),
        (json!({"status": 200, "json": {"token_type": "Bearer"}}), "protocol"),
        (
            json!({"status": 200, "json": {"access_token": "a\r\nX-Evil: 1", "expires_in": 9}}),
            "token",
        ),
        (json!({"status": 302, "headers": {"Location": "https://evil.example/"}}), "protocol"),
        (json!({"status": 400, "body": "nope"}), "token"),
        (json!({"status": 500, "body": ""}), "service"),
    ] {
        let sim = simulator();
        sim.script(json!({"match": {"path_contains": "/token"}, "reply": reply})).unwrap();
        let error = client(&sim, &[]).collect(&sim.machine_id(0), "x").error(name);
        assert_eq!(error["stage"], "token");
    }
}

/// A portal that wants a login in a browser. Its query may be a secret.
#[test]
fn the_host_of_a_redirect_is_named() {
    let sim = simulator();
    let of = |path: &str, to: &str| {
        let reply = json!({"status": 302, "headers": {"Location": to}, "body": ""});
        sim.script(json!({"match": {"path_contains": path}, "reply": reply})).unwrap();
        let outcome = client(&sim, &[]).collect(&sim.machine_id(0), "x");
        assert!(!outcome.text.contains("canary"), "{}", outcome.text);
        let message = outcome.error("protocol")["message"].as_str().unwrap().to_owned();
        assert!(message.contains("any proxy or gateway"), "{message}");
        message
    };
    for path in ["/token", "/api/machines"] {
        let option = if path == "/token" { "`login_url`" } else { "`api_url`" };
        let message = of(path, "https://user:canary@Portal.example:8443/login?canary#canary");
        let words = "answered HTTP 302 (a redirect to `portal.example:8443`)";
        assert!(message.contains(words), "no `{words}` in: {message}");
        assert!(message.contains(option), "no {option} in: {message}");
        // What is no whole URL names no host.
        let message = of(path, "login;canary=1");
        assert!(message.contains("answered HTTP 302 with"), "{message}");
    }
}

#[test]
fn a_failing_sign_in_service_gets_few_requests() {
    let sim = simulator();
    sim.script(json!({"match": {"path_contains": "/token"}, "times": 0, "reply": {"status": 429, "body": ""}})).unwrap();
    let client = client(&sim, &[("max_retries", "1"), ("timeout_ms", "20000")]);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| client.list("").error("throttled"));
        }
    });
    // Who waited for a fetch that failed shares the failure; a few came too late to have waited.
    assert!(token_requests(&sim) <= 8, "{}", token_requests(&sim));
}

#[test]
fn one_identity_has_one_quota_however_its_tenant_is_named() {
    let sim = simulator();
    let payload =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"tid":"T-1","appid":"A-1"}"#);
    let token = json!({"access_token": format!("e30.{payload}.s"), "expires_in": 3599});
    sim.script(json!([
        {"match": {"path_contains": "/token"}, "times": 0, "reply": {"status": 200, "json": token}},
        {"match": {"path_contains": "/api/"}, "times": 0, "reply": {"status": 200, "json": {"value": []}}},
    ])).unwrap();
    let limits = [("quota", "fail"), ("quota_limits", "list=1/60")];
    let named = |tenant| client(&sim, &[limits[0], limits[1], ("tenant_id", tenant)]);
    named("contoso.onmicrosoft.com").list("").ok();
    named("11111111-2222-3333-4444-555555555555").list("").error("rate_limited");
}

#[test]
fn a_provider_that_uses_its_own_client_fails_at_once() {
    struct Reentrant(std::sync::OnceLock<mde::Client>);
    impl mde::TokenProvider for Reentrant {
        fn token(&self, _: &str) -> Result<mde::ProvidedToken, String> {
            let error = self.0.get().unwrap().actions("", None).unwrap_err();
            Err(error.message().to_owned())
        }
    }
    let provider = std::sync::Arc::new(Reentrant(std::sync::OnceLock::new()));
    let mut options = mde::Options::new();
    options.set("api_url", "http://127.0.0.1:1").unwrap();
    options.set_token_provider(std::sync::Arc::<Reentrant>::clone(&provider));
    provider.0.set(mde::Client::new(&options).unwrap()).unwrap();
    let started = std::time::Instant::now();
    let error = provider.0.get().unwrap().actions("", None).unwrap_err();
    assert_eq!(error.status(), mde::Status::Token);
    assert!(error.message().contains("give it another client"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}
