use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mde_simulator::{
    Application, Config, DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, Simulator,
};
use serde_json::Value;

use crate::http::{Caller, SCOPE, ask_token, send, sign_in};
use crate::instant;

#[test]
fn a_token_is_a_jwt_with_the_claims_of_the_application() {
    let sim = instant();
    let token = sign_in(sim.origin(), DEFAULT_TENANT, DEFAULT_CLIENT, DEFAULT_SECRET);
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    assert_eq!(claims["aud"], "https://api.securitycenter.microsoft.com");
    assert_eq!(claims["appid"], DEFAULT_CLIENT);
    assert_eq!(claims["tid"], DEFAULT_TENANT);
    assert_eq!(claims["roles"][1], "Machine.Read.All");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3599);
    assert!(claims["nbf"].is_i64() && claims["iss"].is_string());
}

#[test]
fn refusals_have_the_shape_of_the_sign_in_service() {
    let sim = instant();
    let good = [
        ("grant_type", "client_credentials"),
        ("client_id", DEFAULT_CLIENT),
        ("client_secret", DEFAULT_SECRET),
        ("scope", SCOPE),
    ];
    let other = "11111111-2222-3333-4444-555555555555";
    // The member to change (or, if empty, to leave out), and what comes of it.
    for (tenant, name, value, status, error, number) in [
        (DEFAULT_TENANT, "client_secret", "wrong", 401, "invalid_client", 7_000_215),
        (DEFAULT_TENANT, "client_id", other, 400, "unauthorized_client", 700_016),
        (other, "scope", SCOPE, 400, "invalid_request", 90_002),
        (DEFAULT_TENANT, "scope", "https://x/", 400, "invalid_scope", 70_011),
        (DEFAULT_TENANT, "scope", "", 400, "invalid_request", 900_144),
        (DEFAULT_TENANT, "client_id", "", 400, "invalid_request", 900_144),
        (DEFAULT_TENANT, "client_secret", "", 400, "invalid_request", 900_144),
        (DEFAULT_TENANT, "grant_type", "", 400, "invalid_request", 900_144),
        (DEFAULT_TENANT, "grant_type", "password", 400, "unsupported_grant_type", 70_003),
    ] {
        let mut pairs = good.to_vec();
        pairs.retain(|(n, _)| *n != name);
        if !value.is_empty() {
            pairs.push((name, value));
        }
        let got = ask_token(sim.origin(), tenant, &pairs);
        let body = got.json();
        assert_eq!((got.status, &body["error"]), (status, &error.into()), "{body}");
        assert_eq!(body["error_codes"], serde_json::json!([number]));
        let text = body["error_description"].as_str().unwrap();
        assert!(text.starts_with(&format!("AADSTS{number}: ")), "{text}");
        let (trace, time) =
            (body["trace_id"].as_str().unwrap(), body["timestamp"].as_str().unwrap());
        assert!(text.contains(&format!("\r\nTrace ID: {trace}\r\n")), "{text}");
        assert!(text.ends_with(&format!("\r\nTimestamp: {time}")), "{text}");
        assert_eq!((time.len(), &time[10..11], &time[19..]), (20, " ", "Z"), "{time}");
        assert!(body["error_uri"].as_str().unwrap().ends_with(&format!("code={number}")));
    }
    let path = format!("/{DEFAULT_TENANT}/oauth2/v2.0/token");
    let got = send(sim.origin(), "GET", &path, &[], None).unwrap();
    assert_eq!((got.status, got.header("allow")), (405, Some("POST")));
}

/// The claims of a token.
fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn an_assertion_for_the_client_takes_the_place_of_the_secret() {
    let sim = instant();
    let ask = |kind: &str, subject: &str| {
        let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{subject}"}}"#));
        let assertion = format!("e30.{payload}.c2ln");
        let kind = format!("urn:ietf:params:oauth:client-assertion-type:{kind}");
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", DEFAULT_CLIENT),
            ("client_assertion_type", kind.as_str()),
            ("client_assertion", assertion.as_str()),
            ("scope", SCOPE),
        ];
        ask_token(sim.origin(), DEFAULT_TENANT, &pairs)
    };
    let granted = ask("jwt-bearer", DEFAULT_CLIENT);
    let token = granted.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(Caller::with(&sim, &token).get("/api/machines").status, 200);
    assert_eq!(claims(&token)["appidacr"], "2");
    // Of the same application, however it signs in.
    let other = claims(&sign_in(sim.origin(), DEFAULT_TENANT, DEFAULT_CLIENT, DEFAULT_SECRET));
    assert_eq!((&claims(&token)["oid"], &other["appidacr"]), (&other["oid"], &"1".into()));
    for (kind, subject, number) in
        [("jwt-bearer", "another", 50_027), ("saml2-bearer", DEFAULT_CLIENT, 900_144)]
    {
        let refused = ask(kind, subject);
        assert_eq!(refused.status, 400);
        assert_eq!(refused.json()["error_codes"], serde_json::json!([number]));
    }
}

#[test]
fn only_valid_tokens_are_accepted() {
    let config = Config { token_lifetime_s: 1, ..Config::default() };
    let sim = Simulator::start(config).unwrap();
    let nobody = send(sim.origin(), "GET", "/api/machines", &[], None).unwrap();
    assert_eq!((nobody.status, nobody.code().as_str()), (401, "Unauthorized"));
    assert_eq!(Caller::with(&sim, "a.b.c").get("/api/machines").status, 401);
    let caller = Caller::new(&sim);
    assert_eq!(caller.get("/api/machines").status, 200);
    assert_eq!(sim.revoke_tokens(), 1);
    assert_eq!(caller.get("/api/machines").status, 401);
    let caller = Caller::new(&sim);
    assert_eq!(caller.get("/api/machines").status, 200);
    std::thread::sleep(std::time::Duration::from_millis(1050));
    assert_eq!(caller.get("/api/machines").status, 401);
}

#[test]
fn permissions_are_those_of_the_application() {
    let with = |client: &str, roles: &[&str]| Application {
        client_id: client.to_owned(),
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        ..Application::default()
    };
    let applications =
        vec![with("isolate", &["Machine.Isolate"]), with("collect", &["Machine.CollectForensics"])];
    let sim = Simulator::start(Config { applications, ..Config::default() }).unwrap();
    let caller = |client: &str| {
        let token = sign_in(sim.origin(), DEFAULT_TENANT, client, DEFAULT_SECRET);
        Caller::with(&sim, &token)
    };
    let got = caller("isolate").get("/api/machines");
    assert_eq!((got.status, got.code().as_str()), (403, "Forbidden"));
    assert_eq!(
        got.message(),
        "Missing application roles. API required roles: Machine.Read.All,Machine.ReadWrite.All, \
         application roles: Machine.Isolate."
    );
    assert_eq!(caller("isolate").collect(0).status, 403);
    // Collecting alone does not allow to read one's own action, but does allow to cancel it.
    let collect = caller("collect");
    let id = collect.collected(0);
    assert_eq!(collect.get(&format!("/api/machineactions/{id}")).status, 403);
    let path = format!("/api/machineactions/{id}/cancel");
    let comment = serde_json::json!({"Comment": "no"});
    let got = collect.post(&path, &comment);
    assert_eq!(got.status, 200);
    // An application without a name appears under its id.
    assert_eq!(got.json()["requestor"], "collect");
    assert_eq!(got.json()["cancellationRequestor"], "collect");
}

#[test]
fn a_path_prefix_precedes_every_path() {
    let config = Config { path_prefix: "/gateway/mde/".to_owned(), ..Config::default() };
    let sim = Simulator::start(config).unwrap();
    assert!(sim.api_url().ends_with("/gateway/mde"));
    assert_eq!(sim.api_url(), sim.login_url());
    let prefixed = format!("gateway/mde/{DEFAULT_TENANT}");
    let caller =
        Caller::with(&sim, &sign_in(sim.origin(), &prefixed, DEFAULT_CLIENT, DEFAULT_SECRET));
    assert_eq!(caller.get("/gateway/mde/api/machines").status, 200);
    assert_eq!(caller.get("/api/machines").status, 404);
}
