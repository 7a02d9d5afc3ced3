//! TLS with a private CA, host names, keep-alive connections.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mde_simulator::{Config, Simulator};
use mde_tests::child::{self, Task};
use mde_tests::{Client, client, simulator, try_client};

const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

fn scratch(name: &str) -> PathBuf {
    let folder = mde_tests::scratch().join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn tls_simulator() -> (Simulator, String) {
    let sim = Simulator::start(Config { tls: true, ..Config::default() }).unwrap();
    let port = sim.api_url().rsplit_once(':').unwrap().1.to_owned();
    let path = scratch("ca").join(format!("{port}.pem"));
    std::fs::write(&path, sim.ca_pem().unwrap()).unwrap();
    (sim, path.to_str().unwrap().to_owned())
}

#[test]
fn a_private_ca_is_trusted_only_if_it_is_given() {
    let (sim, ca) = tls_simulator();
    client(&sim, &[("ca_file", &ca)]).collect(&sim.machine_id(0), "x").ok();
    let error = client(&sim, &[]).collect(&sim.machine_id(1), "x").error("tls");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("127.0.0.1") && message.contains("issuer is not trusted"),
        "{message}"
    );
    assert_eq!(error["retryable"], false);
    assert!(sim.requests().iter().all(|r| !r.path.contains(&sim.machine_id(1))));
}

#[test]
fn a_ca_file_without_a_certificate_is_refused() {
    let sim = simulator();
    let folder = scratch("bad-ca");
    let cases: [(&str, &[u8]); 4] = [
        ("empty", b""),
        ("text", b"no certificate here"),
        ("damaged", b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"),
        ("not-a-certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ];
    for (name, content) in cases {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        let Err(outcome) = try_client(&sim, &[("ca_file", path.to_str().unwrap())]) else {
            panic!("{name}")
        };
        assert!(
            outcome.error("config")["message"].as_str().unwrap().contains("`ca_file`"),
            "{name}"
        );
    }
}

/// Passes connections on to a port of this machine and counts them.
fn counting_relay(port: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (own_port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let pairs = [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)];
            for (mut from, mut to) in pairs {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (own_port, count)
}

#[test]
fn a_ca_file_that_is_no_ordinary_file_or_partly_damaged_is_refused_at_once() {
    let (sim, ca) = tls_simulator();
    let folder = scratch("odd-ca");
    let (pipe, huge, mixed) = (folder.join("pipe"), folder.join("huge"), folder.join("mixed"));
    let made = Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .expect("mkfifo is missing; run: apt-get install -y coreutils");
    assert!(made.success());
    std::fs::File::create(&huge).unwrap().set_len(1 << 30).unwrap();
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&mixed, std::fs::read_to_string(&ca).unwrap() + junk).unwrap();
    for (path, problem) in [
        (&pipe, "is not a file"),
        (&huge, "is not a file of up to"),
        (&folder, "is not a file"),
        (&PathBuf::from("/dev/zero"), "is not a file"),
        (&mixed, "damaged (number 2)"),
    ] {
        let Err(outcome) = try_client(&sim, &[("ca_file", path.to_str().unwrap())]) else {
            panic!("{path:?}")
        };
        let message = outcome.error("config")["message"].as_str().unwrap().to_owned();
        assert!(message.contains("`ca_file`") && message.contains(problem), "{message}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn consecutive_calls_use_one_connection() {
    for tls in [false, true] {
        let (sim, ca) = if tls { tls_simulator() } else { (simulator(), String::new()) };
        let port = sim.api_url().rsplit_once(':').unwrap().1.parse().unwrap();
        let (relay, connections) = counting_relay(port);
        let url = sim.api_url().replace(&port.to_string(), &relay.to_string());
        let mut options = vec![("api_url", url.as_str()), ("login_url", url.as_str())];
        options.extend(tls.then_some(("ca_file", ca.as_str())));
        let client = client(&sim, &options);
        for n in 0..10 {
            client.collect(&sim.machine_id(n), "x").ok();
            client.action(ID).error("not_found");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 1, "tls: {tls}");
    }
}

#[test]
fn host_names_are_resolved_and_unknown_names_are_an_error() {
    let sim = simulator();
    let url = sim.api_url().replace("127.0.0.1", "localhost");
    client(&sim, &[("api_url", &url), ("login_url", &url)]).collect(&sim.machine_id(0), "x").ok();
    let unknown = Client::with(&[
        ("access_token", "t"),
        ("api_url", "https://no-such-host.invalid"),
        ("max_retries", "0"),
        ("proxy", "none"),
    ]);
    let error = unknown.unwrap().action(ID).error("resolve");
    assert!(error["message"].as_str().unwrap().contains("no-such-host.invalid"));
    assert_eq!(error["stage"], "send");
}

#[test]
fn a_refused_connection_is_an_error() {
    let port = mde_tests::peers::ports::unused_port();
    let url = format!("http://127.0.0.1:{port}");
    let client =
        Client::with(&[("access_token", "t"), ("api_url", &url), ("max_retries", "2")]).unwrap();
    let error = client.action(ID).error("connect");
    assert_eq!((error["attempts"].as_u64(), error["retryable"].as_bool()), (Some(3), Some(true)));
}

#[test]
fn a_connection_closed_in_the_handshake_is_no_certificate_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let hang_up = std::thread::spawn(move || (0..2).for_each(|_| drop(listener.accept().unwrap())));
    let client =
        Client::with(&[("access_token", "t"), ("api_url", &url), ("max_retries", "1")]).unwrap();
    let error = client.action(ID).error_in(&["connect", "broken"]);
    assert_eq!((error["attempts"].as_u64(), error["retryable"].as_bool()), (Some(2), Some(true)));
    hang_up.join().unwrap();
}

#[test]
fn unanswered_lookups_share_a_thread_and_delay_no_call() {
    // In a network of its own, where nobody need be root to be its name server.
    let conf = scratch("names").join("resolv.conf");
    std::fs::write(&conf, "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n").unwrap();
    let own = "PATH=$PATH:/usr/sbin && ip link set lo up && mount --bind \"$1\" /etc/resolv.conf && \
               exec \"$2\" \"$3\"";
    let output = child::isolated(true)
        .args(["sh", "-c", own, "sh"])
        .arg(&conf)
        .args(Task::LookUpInVain.words())
        .output()
        .expect("unshare is missing; run: apt-get install -y util-linux");
    assert!(child::finished(output).contains("nobody was held"));
}
