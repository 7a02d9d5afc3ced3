//! Programs with more rights than the user who starts them: set-gid here, as set-uid and capabilities are. Their
//! environment is that user's, and counts for nothing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use mde_simulator::{Config, Simulator};
use mde_tests::child::{self, Task};
use mde_tests::peers::server::ID;
use mde_tests::peers::stub_proxy::StubProxy;
use serde_json::Value;

/// Two copies of the child process, one of them set-gid, in a folder that is gone when dropped.
struct Programs(PathBuf);

impl Programs {
    #[track_caller]
    fn new(name: &str) -> Programs {
        let is_root = rustix::process::geteuid().is_root();
        assert!(is_root, "only root can give files to other groups; run: sudo tests/run.sh");
        let folder = std::env::temp_dir().join(format!("mde-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let programs = Programs(folder);
        for (file, mode) in [("plain", 0o755), ("set-gid", 0o2755)] {
            let path = programs.0.join(file);
            child::copy_program(&path);
            chown(&path, None, Some(12_345)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        programs
    }

    /// The error of a call in this environment, by the program with the rights of its caller and by the other one.
    fn errors(&self, variables: &[(&str, &str)], options: &[(&str, &str)]) -> [Value; 2] {
        ["plain", "set-gid"].map(|file| {
            let usual = [("connect_timeout_ms", "500"), ("max_retries", "0")];
            let options = usual.iter().chain(options);
            let options =
                options.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let task = Task::Read { options, action: ID.to_owned() };
            let mut command = task.command_of(&self.0.join(file));
            for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
                command.env_remove(name).env_remove(name.to_ascii_lowercase());
            }
            let printed =
                child::finished(command.envs(variables.iter().copied()).output().unwrap());
            let (_, text) = printed.trim_end().split_once(' ').unwrap();
            let document: Value = serde_json::from_str(text).unwrap();
            document["error"].clone()
        })
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SERVICE: [(&str, &str); 2] = [("access_token", "t"), ("api_url", "https://api.corp.invalid")];

#[test]
fn their_callers_proxy_is_not_used() {
    let programs = Programs::new("proxy");
    let proxy = StubProxy::answering("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let before = proxy.heads().len();
        let [plain, other] = programs.errors(&[(name, &proxy.url())], &SERVICE);
        assert_eq!(
            (&plain["name"], &other["name"]),
            (&"proxy".into(), &"resolve".into()),
            "{name}"
        );
        assert_eq!(proxy.heads().len(), before + 1);
    }
    // Nor are their caller's exceptions from the proxy of the options.
    let url = proxy.url();
    let options = [&SERVICE[..], &[("proxy", "env")]].concat();
    let [plain, other] =
        programs.errors(&[("HTTPS_PROXY", "a b"), ("NO_PROXY", "10.0.0.0/99")], &options);
    assert_eq!((&plain["name"], &other["name"]), (&"config".into(), &"resolve".into()), "{url}");
}

#[test]
fn their_callers_certificates_are_not_trusted() {
    let programs = Programs::new("certificates");
    let sim = Simulator::start(Config { tls: true, ..Config::default() }).unwrap();
    let folder = programs.0.join("certs");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("ca.pem");
    fs::write(&file, sim.ca_pem().unwrap()).unwrap();
    let url = sim.api_url();
    let options = [("access_token", "t"), ("api_url", url.as_str())];
    for (name, path) in [("SSL_CERT_FILE", &file), ("SSL_CERT_DIR", &folder)] {
        let [plain, other] = programs.errors(&[(name, path.to_str().unwrap())], &options);
        assert_eq!(plain["name"], "unauthorized", "{plain}");
        assert_eq!(other["name"], "tls", "{other}");
        assert!(other["message"].as_str().unwrap().contains("issuer is not trusted"), "{other}");
    }
    // The option is the program's own.
    let own = [&options[..], &[("ca_file", file.to_str().unwrap())]].concat();
    let nowhere = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    for error in programs.errors(&nowhere, &own) {
        assert_eq!(error["name"], "unauthorized", "{error}");
    }
}

#[test]
fn their_callers_identity_is_not_used() {
    let programs = Programs::new("identity");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    listener.set_nonblocking(true).unwrap();
    let came = || (0..).take_while(|_| listener.accept().is_ok()).count();
    let token = programs.0.join("token");
    fs::write(&token, "evidence").unwrap();
    let variables = [
        ("AZURE_TENANT_ID", "contoso.example"),
        ("AZURE_CLIENT_ID", "66666666-7777-8888-9999-000000000000"),
        ("AZURE_AUTHORITY_HOST", &endpoint),
        ("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap()),
    ];
    let service = ("api_url", "https://api.corp.invalid");
    let quick = ("idle_timeout_ms", "200");
    let federated = [("auth", "workload_identity"), service, quick];
    let [plain, other] = programs.errors(&variables, &federated);
    assert_eq!((&plain["stage"], came()), (&"token".into(), 1), "{plain}");
    assert_eq!(other["name"], "config", "{other}");
    let message = other["message"].as_str().unwrap();
    assert!(
        message.contains("`tenant_id`") && message.contains("environment is ignored"),
        "{message}"
    );
    // With the other options set, the authority is that of the cloud, which is not asked here.
    let own = [
        ("tenant_id", "contoso.example"),
        ("client_id", "66666666-7777-8888-9999-000000000000"),
        ("federated_token_file", token.to_str().unwrap()),
        ("login_url", "https://login.corp.invalid"),
    ];
    for error in programs.errors(&variables, &[&federated[..], &own[..]].concat()) {
        assert_eq!(error["name"], "resolve", "{error}");
    }

    for variables in [
        &[("IDENTITY_ENDPOINT", endpoint.as_str())][..],
        &[("IDENTITY_ENDPOINT", &endpoint), ("IDENTITY_HEADER", "h")],
        &[("MSI_ENDPOINT", &endpoint), ("MSI_SECRET", "s")],
        &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &endpoint)],
    ] {
        came();
        // Nobody is asked elsewhere in less than no time.
        let managed = [("managed_identity", "system"), ("timeout_ms", "700"), service, quick];
        let [plain, other] = programs.errors(variables, &managed);
        assert_eq!((&plain["stage"], came()), (&"token".into(), 1), "{plain} {other}");
        assert_eq!(other["stage"], "token", "{other}");
    }
}
