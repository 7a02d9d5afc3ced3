//! Signing in to an independent authority: `oidc-provider`, a certified OpenID provider, written without this library
//! or Entra in mind.

use mde_tests::Client;
use mde_tests::peers::keys::Keys;
use mde_tests::peers::oidc::{Provider, TENANT};
use serde_json::{Value, json};

fn client_of(provider: &Provider, id: &str, more: &[(&str, &str)]) -> Client {
    let usual = [
        ("tenant_id", TENANT),
        ("client_id", id),
        ("api_url", provider.url.as_str()),
        ("login_url", provider.url.as_str()),
        ("max_retries", "0"),
    ];
    Client::with(&[&usual, more].concat()).unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

/// The provider's API answers with the application that it knows the token to be of.
#[track_caller]
fn is_known_as(client: &Client, id: &str) {
    assert_eq!(client.list("").ok()["actions"][0]["requestor"], id);
}

#[test]
fn client_secret() {
    let secret = "p&s=w+d %~.-_/\"'<>";
    let provider = Provider::start(&json!([{"id": "by-secret", "secret": secret}]));
    is_known_as(&client_of(&provider, "by-secret", &[("client_secret", secret)]), "by-secret");
    let error =
        client_of(&provider, "by-secret", &[("client_secret", "another")]).list("").error("token");
    assert_eq!(
        (&error["service_code"], &error["http_status"]),
        (&json!("invalid_client"), &json!(401))
    );
    let unknown = client_of(&provider, "nobody", &[("client_secret", secret)]);
    assert_eq!(unknown.list("").error("token")["service_code"], "invalid_client");
}

#[test]
fn certificate() {
    let (keys, others) = (Keys::new(), Keys::new());
    keys.openssl("pkcs12 -export -in cert.pem -inkey key.pem -out own.p12 -passout pass:abcdef");
    others.openssl("pkcs12 -export -in cert.pem -inkey key.pem -out own.p12 -passout pass:abcdef");
    let clients: Vec<_> = ["PS256", "RS256"]
        .iter()
        .map(|algorithm| {
            json!({"id": algorithm, "certificate": keys.path("cert.pem"), "algorithm": algorithm})
        })
        .collect();
    let provider = Provider::start(&json!(clients));
    let with = |id: &str, keys: &Keys, algorithm: &str| {
        let file = keys.path("own.p12");
        client_of(
            &provider,
            id,
            &[
                ("client_certificate", &file),
                ("certificate_password", "abcdef"),
                ("certificate_algorithm", algorithm),
                ("certificate_chain", "yes"),
            ],
        )
    };
    for algorithm in ["PS256", "RS256"] {
        // More than once: the provider takes no assertion twice.
        for _ in 0..3 {
            is_known_as(&with(algorithm, &keys, algorithm), algorithm);
        }
        let error = with(algorithm, &others, algorithm).list("").error("token");
        assert_eq!(error["service_code"], "invalid_client");
    }
    assert_eq!(
        with("PS256", &keys, "RS256").list("").error("token")["service_code"],
        "invalid_client"
    );
}

/// The provider knows the second certificate alone.
#[test]
fn a_renewed_certificate_is_accepted_without_a_new_client() {
    let (keys, others) = (Keys::new(), Keys::new());
    let clients =
        json!([{"id": "renewed", "certificate": keys.path("cert.pem"), "algorithm": "PS256"}]);
    let provider = Provider::start(&clients);
    for name in ["cert.pem", "key.pem"] {
        others.join(&format!("used-{name}"), &[name]);
    }
    let (certificate, key) = (others.path("used-cert.pem"), others.path("used-key.pem"));
    let options = [("client_certificate", certificate.as_str()), ("client_key", &key)];
    let client = client_of(&provider, "renewed", &options);
    assert_eq!(client.list("").error("token")["service_code"], "invalid_client");
    for name in ["cert.pem", "key.pem"] {
        others.write(&format!("used-{name}"), keys.bytes(name));
    }
    is_known_as(&client, "renewed");
}

#[test]
fn an_assertion_from_a_rotating_file_is_accepted() {
    let keys = Keys::new();
    let clients =
        json!([{"id": "app", "certificate": keys.path("cert.pem"), "algorithm": "RS256"}]);
    let provider = Provider::start(&clients);
    // An issuer of its own: OpenSSL signs.
    let issue = |id: &str| {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({"iss": "app", "sub": "app", "jti": id, "exp": now + 60, "iat": now,
            "aud": format!("{}/{TENANT}/oauth2/v2.0/token", provider.url)});
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims));
        keys.write("signed", &signed);
        keys.openssl("dgst -sha256 -sign key.pem -out signature signed");
        let signature = URL_SAFE_NO_PAD.encode(keys.bytes("signature"));
        keys.write("token", format!("{signed}.{signature}\n"));
    };
    let file = keys.path("token");
    let client = || client_of(&provider, "app", &[("federated_token_file", &file)]);
    issue("first");
    is_known_as(&client(), "app");
    assert_eq!(client().list("").error("token")["service_code"], "invalid_client", "it was used");
    issue("second");
    is_known_as(&client(), "app");
}
