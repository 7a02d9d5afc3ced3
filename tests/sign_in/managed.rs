//! Managed identities, against servers that behave as documented.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mde_tests::environment::client_with;
use mde_tests::peers::responder::{Answer, Asked, Responder};
use mde_tests::{Client, Outcome};
use serde_json::{Value, json};

/// An identity that the machine has, and one that it has not.
const MINE: &str = "5e29463d-71da-4fe0-8e69-999b57db23b0";
const MINE_BY_RESOURCE: &str = "/subscriptions/s/resourceGroups/g/mine";
const OTHER: &str = "5E29463D-71DA-4FE0-8E69-999B57DB23B1";
const RESOURCE: &str = "https://api.securitycenter.microsoft.com";

fn try_client(
    server: &Responder,
    variables: &[(&str, &str)],
    options: &[(&str, &str)],
) -> Result<Client, Outcome> {
    let url = server.url();
    let usual = [("auth", "managed_identity"), ("api_url", url.as_str()), ("timeout_ms", "30000")];
    client_with(variables, &[&usual, options].concat())
}

#[track_caller]
fn client(server: &Responder, variables: &[(&str, &str)], options: &[(&str, &str)]) -> Client {
    try_client(server, variables, options).unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

/// As all endpoints answer: numbers as text, and an empty refresh token.
fn granted() -> Answer {
    let expires_on =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
            + 86_400;
    Answer::json(
        200,
        &json!({"access_token": "of-the-machine", "refresh_token": "", "expires_in": "86399",
            "expires_on": expires_on.to_string(), "not_before": "1", "resource": RESOURCE, "token_type": "Bearer"}),
    )
}

fn api(asked: &Asked) -> Answer {
    match asked.headers.get("authorization").map(String::as_str) {
        Some("Bearer of-the-machine") => Answer::json(200, &json!({"value": []})),
        _ => Answer::json(401, &json!({})),
    }
}

/// Azure's Instance Metadata Service.
fn imds(asked: &Asked) -> Answer {
    if !asked.path().starts_with("/metadata/") {
        return api(asked);
    }
    let refused = |error: &str, text: &str| {
        Answer::json(400, &json!({"error": error, "error_description": text}))
    };
    let query = asked.query();
    if asked.method != "GET" || asked.path() != "/metadata/identity/oauth2/token" {
        return Answer::json(404, &json!({"error": "not_found"}));
    }
    if asked.headers.get("metadata").is_none_or(|value| value != "true") {
        return refused("bad_request_102", "Required metadata header not specified");
    }
    if query["api-version"] != "2018-02-01" || query["resource"] != RESOURCE {
        return refused("invalid_resource", "AADSTS500011: The resource principal was not found");
    }
    let known = ["client_id", "object_id", "msi_res_id"].iter().filter_map(|name| query.get(*name));
    match known.map(String::as_str).collect::<Vec<_>>()[..] {
        [] | [MINE] | [MINE_BY_RESOURCE] => granted(),
        _ => refused("invalid_request", "Identity not found"),
    }
}

#[test]
fn imds_by_every_kind_of_identity() {
    let server = Responder::start(imds);
    let url = server.url();
    let place = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.as_str())];
    for (which, member) in [
        ("system", None),
        (&format!("client_id:{MINE}"), Some("client_id")),
        (&format!("object_id:{MINE}"), Some("object_id")),
        (&format!("resource_id:{MINE_BY_RESOURCE}"), Some("msi_res_id")),
    ] {
        let before = server.token_requests().len();
        client(&server, &place, &[("managed_identity", which)]).list("").ok();
        let asked = server.token_requests()[before..].to_vec();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].query().len(), 2 + usize::from(member.is_some()));
        assert!(member.is_none_or(|member| asked[0].query().contains_key(member)), "{which}");
    }
    let other = format!("client_id:{OTHER}");
    let error = client(&server, &place, &[("managed_identity", &other)]).list("").error("token");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("Identity not found") && message.contains("`managed_identity`"),
        "{message}"
    );
    assert_eq!(error["service_code"], "invalid_request");
    let twice = client(&server, &place, &[]);
    let before = server.token_requests().len();
    twice.list("").ok();
    twice.list("").ok();
    assert_eq!(server.token_requests().len(), before + 1);
}

#[test]
fn no_proxy_is_used() {
    let server = Responder::start(imds);
    let url = server.url();
    let proxy = "http://127.0.0.1:1";
    let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.as_str()), ("ALL_PROXY", proxy)];
    // The API is reached through it, and so is not.
    let options =
        [("proxy", proxy), ("max_retries", "0"), ("api_url", "https://service.simulator.test")];
    let error = client(&server, &variables, &options).list("").error("proxy");
    assert_eq!(error["stage"], "send");
    assert_eq!(server.token_requests().len(), 1);
}

#[test]
fn transient_failures_are_retried_by_the_documented_schedule() {
    for (status, pause) in [(404, 2), (429, 2), (500, 2), (503, 2), (410, 1 + 2)] {
        let count = AtomicUsize::new(0);
        let server = Responder::start(move |asked| match asked.path().starts_with("/metadata/") {
            true if count.fetch_add(1, Ordering::SeqCst) < 2 => Answer::json(status, &json!({})),
            _ => imds(asked),
        });
        let url = server.url();
        let started = Instant::now();
        client(&server, &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &url)], &[]).list("").ok();
        assert_eq!(server.token_requests().len(), 3, "{status}");
        let took = started.elapsed().as_secs_f64();
        let pause = f64::from(pause);
        assert!((pause..pause + 1.0).contains(&took), "{status}: {took}");
    }
    // Within the call's deadline only, and not for who wants no repetition.
    for (name, value) in [("timeout_ms", "1000"), ("max_retries", "0")] {
        let server = Responder::start(|_| Answer::json(503, &json!({})));
        let url = server.url();
        let started = Instant::now();
        client(&server, &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &url)], &[(name, value)])
            .list("")
            .error("service");
        assert!(started.elapsed() < Duration::from_secs(1), "{name}");
    }
}

#[test]
fn waiting_for_a_renewal_uses_no_retry() {
    let count = AtomicUsize::new(0);
    let server = Responder::start(move |asked| match asked.path().starts_with("/metadata/") {
        true => match count.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Answer::json(410, &json!({})),
            2 => Answer::json(503, &json!({})),
            _ => imds(asked),
        },
        false => imds(asked),
    });
    let url = server.url();
    let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.as_str())];
    client(&server, &variables, &[("max_retries", "1")]).list("").ok();
    assert_eq!(server.token_requests().len(), 4);
}

#[test]
fn a_lost_or_refused_connection_is_retried() {
    let server = Responder::start(imds);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}");
    let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.as_str())];
    let upstream = server.port;
    // One connection is lost, and for a while all are refused.
    thread::spawn(move || {
        let (mut lost, _) = listener.accept().unwrap();
        lost.read_exact(&mut [0; 64]).unwrap();
        drop((lost, listener));
        thread::sleep(Duration::from_millis(100));
        for peer in TcpListener::bind(address).unwrap().incoming() {
            let peer = peer.unwrap();
            let far = TcpStream::connect(("127.0.0.1", upstream)).unwrap();
            let (mut from, mut to) = (peer.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            thread::spawn(move || std::io::copy(&mut &far, &mut &peer));
        }
    });
    client(&server, &variables, &[("max_retries", "10")]).list("").ok();
    assert_eq!(server.token_requests().len(), 1);
    let nobody = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:2")];
    let error = client(&server, &nobody, &[("max_retries", "2")]).list("").error("connect");
    assert_eq!(error["attempts"], 3);
}

#[test]
fn a_machine_outside_of_azure_fails_soon() {
    let server = Responder::start(api);
    let nobody = "http://127.0.0.1:1";
    let started = Instant::now();
    let error = client(&server, &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", nobody)], &[])
        .list("")
        .error("connect");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("no managed identity answers at 127.0.0.1:1"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    // An address at which nobody answers at all: a listener whose queue is full.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _queue: Vec<_> = (0..3)
        .map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)))
        .collect();
    let silent = format!("http://{address}");
    let started = Instant::now();
    let error = client(&server, &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &silent)], &[])
        .list("")
        .error("connect");
    assert_eq!(error["stage"], "token");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("did not answer in time") && message.contains("may not be in Azure"),
        "{message}"
    );
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(error["attempts"], 1);
}

/// App Service: `version` 2019-08-01 or 2017-09-01.
fn app_service(asked: &Asked, version: &str) -> Answer {
    if !asked.path().starts_with("/msi/") {
        return api(asked);
    }
    let (header, expires_on) = match version {
        "2019-08-01" => ("x-identity-header", json!("32503680000")),
        _ => ("secret", json!("12/31/2999 11:59:59 PM +00:00")),
    };
    let query = asked.query();
    if asked.headers.get(header).map(String::as_str) != Some("853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a")
    {
        return Answer::json(401, &json!({"statusCode": 401, "message": "Unauthorized"}));
    }
    if query["api-version"] != version || query["resource"] != RESOURCE {
        return Answer::json(
            400,
            &json!({"statusCode": 400, "message": "Bad version or resource"}),
        );
    }
    let wanted: Vec<_> = ["client_id", "principal_id", "mi_res_id", "clientid"]
        .iter()
        .filter_map(|name| query.get(*name))
        .collect();
    match wanted[..] {
        [] => {}
        [one] if one == MINE || one == MINE_BY_RESOURCE => {}
        _ => {
            let said =
                "No User Assigned or Delegated Managed Identity found for specified ClientId";
            return Answer::json(400, &json!({"statusCode": 400, "message": said}));
        }
    }
    Answer::json(
        200,
        &json!({"access_token": "of-the-machine", "expires_on": expires_on, "resource": RESOURCE,
            "token_type": "Bearer", "client_id": "5E29463D-71DA-4FE0-8E69-999B57DB23B0"}),
    )
}

#[test]
fn app_service_and_functions() {
    let server = Responder::start(|asked| app_service(asked, "2019-08-01"));
    let endpoint = format!("{}/msi/token", server.url());
    let header = ("IDENTITY_HEADER", "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a");
    let place = [("IDENTITY_ENDPOINT", endpoint.as_str()), header];
    for which in [
        "system".to_owned(),
        format!("client_id:{MINE}"),
        format!("object_id:{MINE}"),
        format!("resource_id:{MINE_BY_RESOURCE}"),
    ] {
        let client = client(&server, &place, &[("managed_identity", &which)]);
        let before = server.token_requests().len();
        client.list("").ok();
        client.list("").ok();
        assert_eq!(server.token_requests().len(), before + 1, "it is known how long it lives");
        assert!(!server.token_requests()[before].headers.contains_key("metadata"));
    }
    let other = format!("client_id:{OTHER}");
    let error = client(&server, &place, &[("managed_identity", &other)]).list("").error("token");
    assert!(error["message"].as_str().unwrap().contains("No User Assigned"), "{error}");
    let wrong = [place[0], ("IDENTITY_HEADER", "canary-of-the-header")];
    let outcome = client(&server, &wrong, &[]).list("");
    assert!(!outcome.text.contains("canary"));
    outcome.error("token");
}

#[test]
fn the_older_app_service_endpoint_is_supported() {
    let server = Responder::start(|asked| app_service(asked, "2017-09-01"));
    let endpoint = format!("{}/msi/token", server.url());
    let place = [
        ("MSI_ENDPOINT", endpoint.as_str()),
        ("MSI_SECRET", "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a"),
    ];
    for which in ["system".to_owned(), format!("client_id:{MINE}")] {
        let client = client(&server, &place, &[("managed_identity", &which)]);
        client.list("").ok();
        client.list("").ok();
    }
    assert_eq!(server.token_requests().len(), 2);
    let refused =
        try_client(&server, &place, &[("managed_identity", &format!("object_id:{MINE}"))]);
    let error = refused.err().unwrap().error("config");
    assert!(error["message"].as_str().unwrap().contains("only system or client_id"), "{error}");
}

/// Windows containers of Container Instances: the endpoint has a query, the secret another name.
#[test]
fn container_instances_on_windows() {
    let server = Responder::start(|asked| {
        if !asked.path().starts_with("/metadata/") {
            return api(asked);
        }
        let query = asked.query();
        let is_right = asked.method == "GET"
            && asked.headers.get("secret").is_some_and(|secret| secret == "of-the-container")
            && query["api-version"] == "1.0"
            && query["resource"] == RESOURCE;
        match query.get("principalId").map(String::as_str) {
            None | Some(MINE) if is_right => granted(),
            _ => Answer::json(400, &json!({"error": "invalid_request"})),
        }
    });
    let endpoint = format!("{}/metadata/identity/oauth2/token?api-version=1.0", server.url());
    let place = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", "of-the-container")];
    for which in ["system".to_owned(), format!("object_id:{MINE}")] {
        client(&server, &place, &[("managed_identity", &which)]).list("").ok();
    }
    assert_eq!(server.token_requests().len(), 2);
    for which in [format!("client_id:{MINE}"), format!("resource_id:{MINE_BY_RESOURCE}")] {
        let refused = try_client(&server, &place, &[("managed_identity", &which)]);
        let error = refused.err().unwrap().error("config");
        let said = error["message"].as_str().unwrap();
        assert!(said.contains("Container Instances takes only system or object_id"), "{said}");
    }
}

/// A form instead of a query, and no secret.
#[test]
fn cloud_shell() {
    let server = Responder::start(|asked| {
        if !asked.path().starts_with("/oauth2/") {
            return api(asked);
        }
        let form = asked.form();
        let is_right = asked.method == "POST"
            && asked.headers.get("metadata").is_some_and(|value| value == "true")
            && asked.headers["content-type"] == "application/x-www-form-urlencoded"
            && asked.query().is_empty()
            && form.len() == 1
            && form["resource"] == RESOURCE;
        match is_right {
            true => granted(),
            false => Answer::json(400, &json!({"error": "invalid_request"})),
        }
    });
    let endpoint = format!("{}/oauth2/token", server.url());
    let place = [("MSI_ENDPOINT", endpoint.as_str())];
    let one = client(&server, &place, &[]);
    one.list("").ok();
    one.list("").ok();
    assert_eq!(server.token_requests().len(), 1);
    let mine = format!("client_id:{MINE}");
    let refused = try_client(&server, &place, &[("managed_identity", &mine)]);
    let error = refused.err().unwrap().error("config");
    assert!(error["message"].as_str().unwrap().contains("Cloud Shell"), "{error}");
}

/// Container Instances on Linux set a header and a thumbprint, as Service Fabric does, and no endpoint.
#[test]
fn a_header_without_an_endpoint_leads_to_imds() {
    let server = Responder::start(imds);
    let url = server.url();
    let place = [
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.as_str()),
        ("IDENTITY_HEADER", "of-the-container"),
        ("IDENTITY_SERVER_THUMBPRINT", "a6f221acd6b3e2"),
        ("MSI_SECRET", "of-the-container"),
    ];
    client(&server, &place, &[]).list("").ok();
    assert_eq!(server.token_requests().len(), 1);
}

#[test]
fn invalid_environment_variables_are_refused_by_name() {
    let server = Responder::start(api);
    let problem = |variables: &[(&str, &str)], options: &[(&str, &str)]| -> String {
        let error: Value = try_client(&server, variables, options).err().unwrap().error("config");
        error["message"].as_str().unwrap().to_owned()
    };
    for address in [
        "http://10.0.0.1/x",
        "https://127.0.0.1/x",
        "ftp://127.0.0.1",
        "http://u:canary@127.0.0.1/x",
    ] {
        for name in ["IDENTITY_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST"] {
            let said = problem(&[(name, address)], &[]);
            assert!(said.contains(name) && !said.contains("canary"), "{said}");
        }
    }
    let place = ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/x");
    assert!(problem(&[place, ("IDENTITY_HEADER", "a b")], &[]).contains("IDENTITY_HEADER"));
    // Where Windows containers have it.
    let container = ("IDENTITY_ENDPOINT", "http://100.64.100.2:41580/MSI/token/");
    assert!(try_client(&server, &[container, ("IDENTITY_HEADER", "ab")], &[]).is_ok());
    assert!(problem(&[container], &[]).contains("IDENTITY_ENDPOINT would send"));
    // Where containers in a network of their own have it.
    let own = ("IDENTITY_ENDPOINT", "http://172.16.4.3:8081/msi/token");
    assert!(try_client(&server, &[own, ("IDENTITY_HEADER", "ab")], &[]).is_ok());
    assert!(problem(&[own], &[]).contains("or a private one together with IDENTITY_HEADER"));
    let public = ("IDENTITY_ENDPOINT", "http://198.51.100.7:8081/msi/token");
    assert!(problem(&[public, ("IDENTITY_HEADER", "ab")], &[]).contains("would send tokens"));
    let fabric = [place, ("IDENTITY_HEADER", "ab"), ("IDENTITY_SERVER_THUMBPRINT", "ab")];
    assert!(problem(&fabric, &[]).contains("Service Fabric"));
    let mine = format!("client_id:{MINE}");
    assert!(problem(&[place], &[("managed_identity", &mine)]).contains("Azure Arc"));
    // It would be passed over, and the token be that of another identity.
    let said = problem(&[], &[("client_id", MINE)]);
    assert!(said.contains("`managed_identity=client_id:…`"), "{said}");
    let both = [("client_id", MINE), ("managed_identity", "system")];
    assert!(try_client(&server, &[], &both).is_ok());
}

#[test]
fn the_environment_is_read_only_for_a_managed_identity() {
    let server = Responder::start(api);
    let made = try_client(
        &server,
        &[("IDENTITY_ENDPOINT", "nonsense")],
        &[("auth", "access_token"), ("access_token", "of-the-machine")],
    );
    made.map_err(|outcome| outcome.text).unwrap().list("").ok();
}
