//! The retry schedule, the addresses, and Azure Arc's agent. Only administrators can write to the agent's folder, so
//! the tests use another one.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::call::Running;
use crate::http::client::Settings;
use crate::http::proxy::Choice;

/// An agent whose folder has a key and files that are none.
struct Agent {
    root: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
    managed: Managed,
}

impl Agent {
    /// Its challenge names a file. It issues a token for the content of `tokens/good.key`.
    fn start(challenge: impl FnOnce(&std::path::Path) -> String) -> Agent {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique =
            format!("mde-arc-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(unique);
        let folder = root.join("tokens");
        fs::create_dir_all(folder.join("deeper")).unwrap();
        fs::write(folder.join("good.key"), "the-key-of-the-agent").unwrap();
        fs::write(folder.join("deeper/other.key"), "x").unwrap();
        fs::write(folder.join("file.txt"), "x").unwrap();
        fs::write(folder.join("large.key"), "x".repeat(4_097)).unwrap();
        fs::write(folder.join("full.key"), format!("canary{}", " ".repeat(4_090))).unwrap();
        fs::write(folder.join("lines.key"), "a\nb").unwrap();
        fs::create_dir(folder.join("folder.key")).unwrap();
        fs::write(root.join("outside.key"), "canary").unwrap();
        fs::write(root.join("passwd"), "canary").unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.join("outside.key"), folder.join("link.key")).unwrap();
            std::os::unix::fs::symlink(root.join("passwd"), folder.join("passwd.key")).unwrap();
        }
        let challenge = challenge(&folder);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            for peer in listener.incoming().map_while(std::result::Result::ok) {
                let head: Vec<String> = BufReader::new(&peer)
                    .lines()
                    .map_while(std::result::Result::ok)
                    .take_while(|line| !line.is_empty())
                    .collect();
                let head = head.join("\n");
                kept.lock().unwrap().push(head.clone());
                let echo =
                    head.lines().find(|line| line.starts_with("authorization")).unwrap_or_default();
                let refusal = format!(r#"{{"error":"unauthorized","error_description":"{echo}"}}"#);
                let body = r#"{"access_token":"of-the-server","expires_in":"3599"}"#;
                let reply = match head.contains("authorization: Basic the-key-of-the-agent") {
                    true => {
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                    }
                    false => format!(
                        "HTTP/1.1 401 X\r\n{challenge}\r\nContent-Length: {}\r\n\r\n{refusal}",
                        refusal.len()
                    ),
                };
                let mut peer = &peer;
                peer.write_all(
                    reply.replace("\r\nContent", "\r\nConnection: close\r\nContent").as_bytes(),
                )
                .ok();
            }
        });
        let managed = Managed {
            kind: Kind::Arc,
            url: format!(
                "http://{authority}/metadata/identity/oauth2/token?resource=x&api-version=2019-11-01"
            ),
            form: String::new(),
            authority,
            secret: None,
            folder: Some(folder),
        };
        Agent { root, asked, managed }
    }

    fn fetch(&self) -> Result<Token> {
        let http = Http::new(Settings {
            secure: false,
            extra_roots: Vec::new(),
            certificate: None,
            proxy: Choice::None,
            no_proxy: None,
            proxy_auth: Default::default(),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(5),
            user_agent: "test".to_owned(),
        })
        .unwrap();
        let running = Arc::<Running>::default();
        let call = Arc::new(Call::begin(&running, Some(Duration::from_secs(20)), None));
        self.managed.fetch(&http, &call, 0)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn realm(path: &std::path::Path) -> String {
    format!("WWW-Authenticate: Basic realm={}", path.display())
}

#[test]
fn the_challenge_is_answered() {
    let agent = Agent::start(|folder| realm(&folder.join("good.key")));
    assert_eq!(agent.fetch().unwrap().text(), "of-the-server");
    let asked = agent.asked();
    assert_eq!(asked.len(), 2);
    assert!(
        !asked[0].contains("authorization") && asked[0].contains("metadata: true"),
        "{asked:?}"
    );
    assert!(asked[1].contains("metadata: true"), "{asked:?}");
    let agent = Agent::start(|folder| realm(&folder.join("deeper/../good.key")));
    assert!(agent.fetch().is_ok());
}

#[test]
fn files_that_are_not_the_agents_are_not_read() {
    for (name, why) in [
        ("../outside.key", "outside of the agent's folder"),
        ("deeper/other.key", "outside of the agent's folder"),
        ("deeper/../../outside.key", "outside of the agent's folder"),
        #[cfg(unix)]
        ("link.key", "outside of the agent's folder"),
        #[cfg(unix)]
        ("passwd.key", "outside of the agent's folder"),
        ("file.txt", "no .key"),
        ("../passwd", "no .key"),
        ("large.key", "not a file of up to 4096 bytes"),
        ("folder.key", "not a file of up to 4096 bytes"),
        ("lines.key", "holds no key"),
        ("absent.key", "not readable"),
    ] {
        let agent = Agent::start(|folder| realm(&folder.join(name)));
        let error = agent.fetch().unwrap_err();
        assert_eq!(error.status(), Status::Token, "{name}");
        assert!(error.message().contains(why), "{name}: {error}");
        assert_eq!(agent.asked().len(), 1, "{name}: nothing was sent");
    }
    for challenge in ["X: y", "WWW-Authenticate: Basic", "WWW-Authenticate: Basic realm="] {
        let agent = Agent::start(|_| challenge.to_owned());
        assert!(agent.fetch().unwrap_err().message().contains("names no file"), "{challenge}");
    }
    // As large as allowed, but not the agent's key: its second refusal is final.
    let agent = Agent::start(|folder| realm(&folder.join("full.key")));
    let error = agent.fetch().unwrap_err();
    assert_eq!(error.http_status(), Some(401));
    assert!(
        error.message().contains("Basic ***") && !error.message().contains("canary"),
        "{error}"
    );
    assert_eq!(agent.asked().len(), 2);
}

#[test]
fn the_schedule_is_the_documented_one() {
    let never = Instant::now();
    let pause = |status, attempt| match next(status, attempt, 20, None, never) {
        Next::Again(pause) => Some(pause.as_secs_f64()),
        Next::GiveUp => None,
    };
    for status in [404, 429, 500, 503] {
        for (attempt, at_least) in (1..).zip([0.0, 2.0, 6.0, 14.0, 30.0, 30.0]) {
            let pause = pause(status, attempt).unwrap();
            assert!((at_least..=at_least * 1.1).contains(&pause), "{status} {attempt}: {pause}");
        }
    }
    assert_eq!(pause(400, 1), None);
    assert_eq!(pause(410, 1), None, "for long enough");
    assert_eq!(next(503, 3, 2, None, never), Next::GiveUp);
    let named = Duration::from_secs(9);
    assert_eq!(next(429, 2, 2, Some(named), never), Next::Again(named));
}

#[test]
fn an_update_of_the_endpoint_is_awaited_by_time() {
    let until = Instant::now() + UPDATE;
    let Next::Again(pause) = next(410, 1, 1, None, until) else { panic!("gave up") };
    assert_eq!(pause, Duration::from_secs(1));
    let Next::Again(pause) = next(410, 50, 1, None, until) else { panic!("gave up") };
    assert_eq!(pause, Duration::from_secs(16));
    assert_eq!(next(410, 1, 0, None, until), Next::GiveUp);
}

const PLATFORMS: [Kind; 4] =
    [Kind::AppService, Kind::OldAppService, Kind::Container, Kind::CloudShell];

#[test]
fn only_local_addresses_are_accepted() {
    for good in
        ["http://127.0.0.1:1/x", "http://localhost/x", "http://169.254.169.254/x", "http://[::1]:2"]
    {
        for kind in [Kind::Imds, Kind::Arc].into_iter().chain(PLATFORMS) {
            assert!(check(kind, good).is_ok(), "{kind:?} {good}");
        }
    }
    for bad in [
        "http://8.8.8.8/x",
        "http://11.0.0.1/x",
        "http://172.15.255.255/x",
        "http://172.32.0.0/x",
        "http://192.169.0.1/x",
        "http://100.63.255.255/x",
        "http://100.128.0.0/x",
        "http://[2001:db8::1]/x",
        "http://[::ffff:8.8.8.8]/x",
        "https://100.64.100.2/x",
        "http://100.64.100.2.example/x",
        "http://10.example/x",
        "https://127.0.0.1/x",
        "http://169.254.evil.example/x",
        "http://u:p@127.0.0.1",
        "http://127.0.0.1/x#y",
        "x",
        "",
    ] {
        for kind in PLATFORMS {
            assert!(check(kind, bad).is_err(), "{kind:?} {bad}");
        }
    }
}

#[test]
fn private_addresses_are_those_of_platforms() {
    for address in [
        "http://100.64.100.2:41580/MSI/token/",
        "http://100.127.255.255/x",
        "http://10.92.0.7:2377/metadata/identity/oauth2/token",
        "http://172.16.1.1:8081/msi/token",
        "http://172.31.255.254/x",
        "http://192.168.7.1:8081/msi/token",
        "http://[fd00::7]:8081/msi/token",
        "http://[fe80::1]/x",
    ] {
        for kind in PLATFORMS {
            assert!(check(kind, address).is_ok(), "{kind:?} {address}");
        }
        for kind in [Kind::Imds, Kind::Arc] {
            assert!(check(kind, address).is_err(), "{kind:?} {address}");
        }
    }
}

#[test]
fn a_query_is_for_containers() {
    let address = "http://10.92.0.7:2377/metadata/identity/oauth2/token?api-version=1.0";
    for kind in [Kind::Imds, Kind::Arc, Kind::AppService, Kind::OldAppService, Kind::CloudShell] {
        assert!(check(kind, address).is_err(), "{kind:?}");
    }
    assert_eq!(check(Kind::Container, address).unwrap(), "10.92.0.7:2377");
}

#[test]
fn every_form_of_an_identity_is_parsed() {
    assert_eq!(Which::parse("system"), Ok(Which::System));
    let id = "5e29463d-71da-4fe0-8e69-999b57db23b0";
    let resource = "/Subscriptions/a/b:c";
    for (text, which) in [
        (format!("client_id:{id}"), Which::ClientId(id.to_owned())),
        (format!("object_id:{id}"), Which::ObjectId(id.to_owned())),
        (format!("resource_id:{resource}"), Which::ResourceId(resource.to_owned())),
    ] {
        assert_eq!(Which::parse(&text), Ok(which));
    }
    for bad in [
        "",
        "x",
        "client_id:",
        "client_id:a b",
        "client_id:my-identity",
        &format!("client_id:{{{id}}}"),
        &format!("object_id:{id}0"),
        &format!("name:{id}"),
        "resource_id:",
        "resource_id:my-identity",
        "resource_id:/subscriptions",
        "resource_id:/subscriptions/a b",
        &format!("resource_id:{id}"),
    ] {
        assert!(Which::parse(bad).is_err(), "{bad}");
    }
}
