//! Workload identities: tokens of other issuers, in files that rotate, and the environment variables that name them.

use mde_tests::environment::client_with;
use mde_tests::peers::responder::{Answer, Asked, Responder};
use mde_tests::{Client, Outcome};
use serde_json::json;

fn try_client(
    server: &Responder,
    variables: &[(&str, &str)],
    options: &[(&str, &str)],
) -> Result<Client, Outcome> {
    let url = server.url();
    let usual = [("api_url", url.as_str()), ("timeout_ms", "30000")];
    client_with(variables, &[&usual, options].concat())
}

#[track_caller]
fn client(server: &Responder, variables: &[(&str, &str)], options: &[(&str, &str)]) -> Client {
    try_client(server, variables, options).unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

/// Entra, as far as it looks at the assertion of another issuer.
fn entra(asked: &Asked) -> Answer {
    if !asked.is_token_request() {
        return Answer::json(200, &json!({"value": []}));
    }
    assert_eq!(asked.path(), "/the-tenant/oauth2/v2.0/token");
    let form = asked.form();
    assert_eq!(form["client_id"], "the-client");
    assert_eq!(
        form["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    match form["client_assertion"].starts_with("eyJ.of-the-cluster") {
        // So that each call asks again.
        true => Answer::json(200, &json!({"access_token": "of-the-workload", "expires_in": 0})),
        false => Answer::refusal(
            401,
            "invalid_client",
            700_213,
            "No matching federated identity record found.",
        ),
    }
}

fn token_file(name: &str, content: &str) -> String {
    let path = mde_tests::scratch().join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_federated_token_is_read_again_for_every_request() {
    let server = Responder::start(entra);
    let url = server.url();
    let file = token_file("federated", "eyJ.of-the-cluster.1\n");
    let options = [
        ("auth", "federated"),
        ("federated_token_file", file.as_str()),
        ("tenant_id", "the-tenant"),
        ("client_id", "the-client"),
        ("login_url", url.as_str()),
    ];
    let client = client(&server, &[], &options);
    client.list("").ok();
    token_file("federated", "eyJ.of-the-cluster.2");
    client.list("").ok();
    let sent: Vec<_> = server
        .token_requests()
        .iter()
        .map(|asked| asked.form()["client_assertion"].clone())
        .collect();
    assert_eq!(sent.first().unwrap(), "eyJ.of-the-cluster.1");
    assert_eq!(sent.last().unwrap(), "eyJ.of-the-cluster.2");
    token_file("federated", "eyJ.of-another-cluster");
    let error = client.list("").error("token");
    assert!(error["message"].as_str().unwrap().contains("no federated credential"), "{error}");
    for (content, why) in
        [("", "is empty"), ("a b", "more than one token"), ("a\nb", "more than one token")]
    {
        token_file("federated", content);
        let error = client.list("").error("token");
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
    }
    token_file("federated", &"x".repeat(70_000));
    assert!(
        client.list("").error("token")["message"].as_str().unwrap().contains("up to 65536 bytes")
    );
    std::fs::remove_file(&file).unwrap();
    let error = client.list("").error("token");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("option `federated_token_file` names is not readable"), "{message}");
}

#[test]
fn a_workload_takes_unset_options_from_the_environment() {
    let server = Responder::start(entra);
    let host = format!("{}/", server.url());
    let file = token_file("workload", "eyJ.of-the-cluster.w");
    let all = [
        ("AZURE_FEDERATED_TOKEN_FILE", file.as_str()),
        ("AZURE_CLIENT_ID", "the-client"),
        ("AZURE_TENANT_ID", "the-tenant"),
        ("AZURE_AUTHORITY_HOST", host.as_str()),
    ];
    let workload = ("auth", "workload_identity");
    client(&server, &all, &[workload]).list("").ok();
    // Options come first.
    let wrong = [all[0], ("AZURE_CLIENT_ID", "x"), ("AZURE_TENANT_ID", "x"), all[3]];
    client(&server, &wrong, &[workload, ("client_id", "the-client"), ("tenant_id", "the-tenant")])
        .list("")
        .ok();
    for left_out in 0..3 {
        let mut some = all.to_vec();
        let (name, _) = some.remove(left_out);
        let error = try_client(&server, &some, &[workload]).err().unwrap().error("config");
        assert!(error["message"].as_str().unwrap().contains(name), "{error}");
    }
    let odd = [all[0], all[1], all[2], ("AZURE_AUTHORITY_HOST", "http://login.example")];
    let error = try_client(&server, &odd, &[workload]).err().unwrap().error("config");
    assert!(error["message"].as_str().unwrap().contains("AZURE_AUTHORITY_HOST"), "{error}");
    // Empty is as good as absent.
    for host in ["", "http://login.example"] {
        let variables = [all[0], all[1], all[2], ("AZURE_AUTHORITY_HOST", host)];
        client(&server, &variables, &[workload, ("login_url", &server.url())]).list("").ok();
    }
    let empty = [all[0], all[1], all[2], ("AZURE_AUTHORITY_HOST", "")];
    assert!(try_client(&server, &empty, &[workload]).is_ok());
    // Without being told to, nobody looks there.
    let error = try_client(&server, &all, &[("auth", "federated")]).err().unwrap().error("config");
    assert!(error["message"].as_str().unwrap().contains("`federated_token_file` is not set"));
}

#[cfg(unix)]
#[test]
fn variables_that_are_not_unicode_are_refused_by_name() {
    use std::os::unix::ffi::OsStrExt;

    let server = Responder::start(entra);
    let odd = std::ffi::OsStr::from_bytes(b"canary\xff");
    for (name, auth) in [
        ("AZURE_AUTHORITY_HOST", "workload_identity"),
        ("AZURE_TENANT_ID", "workload_identity"),
        ("IDENTITY_ENDPOINT", "managed_identity"),
    ] {
        let rest: Vec<_> = [
            ("AZURE_FEDERATED_TOKEN_FILE", "/t"),
            ("AZURE_CLIENT_ID", "the-client"),
            ("AZURE_TENANT_ID", "the-tenant"),
        ]
        .into_iter()
        .filter(|(other, _)| *other != name)
        .map(|(name, value)| (name, std::ffi::OsStr::new(value)))
        .chain([(name, odd)])
        .collect();
        let url = server.url();
        let made = client_with(&rest, &[("auth", auth), ("api_url", &url)]);
        let error = made.err().unwrap().error("config");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(name) && message.contains("not Unicode"), "{message}");
        assert!(!message.contains("canary"), "{message}");
    }
}
