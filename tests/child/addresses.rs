//! Names with several addresses. `tests/network/addresses.rs` sets up the names and the network.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mde_simulator::{Config, Simulator};
use mde_tests::Client;
use mde_tests::packages::{lead_to, patient, service};
use mde_tests::peers::redis_server::RedisServer;
use mde_tests::peers::server::ID;
use mde_tests::peers::stub_proxy::StubProxy;
use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

const SERVICE: u16 = 8443;
const PROXY: u16 = 3128;
const REDIS: u16 = 6379;
const PORTS: [u16; 3] = [SERVICE, PROXY, REDIS];

/// How much longer it may take than with the live address alone.
const MORE: Duration = Duration::from_millis(300);

/// The live address. It passes connections on to ports of 127.0.0.1.
struct Live {
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Live {
    fn start(targets: [u16; 3]) -> Live {
        let open = Arc::new(Mutex::new(Vec::new()));
        for (port, target) in PORTS.into_iter().zip(targets) {
            let (listener, open) =
                (TcpListener::bind(("192.0.2.9", port)).unwrap(), Arc::clone(&open));
            std::thread::spawn(move || {
                for near in listener.incoming().map_while(Result::ok) {
                    let far = TcpStream::connect(("127.0.0.1", target)).unwrap();
                    open.lock().unwrap().push(near.try_clone().unwrap());
                    let pairs =
                        [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)];
                    for (mut from, mut to) in pairs {
                        std::thread::spawn(move || {
                            let _ = std::io::copy(&mut from, &mut to);
                            let _ = to.shutdown(Shutdown::Both);
                        });
                    }
                }
            });
        }
        Live { open }
    }

    /// Ends all connections, as a server does with idle ones. Returns how many there were.
    fn end_all(&self) -> usize {
        let ended: Vec<_> = std::mem::take(&mut *self.open.lock().unwrap());
        for stream in &ended {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // The library must see the end before it uses the connection again.
        std::thread::sleep(Duration::from_millis(50));
        ended.len()
    }
}

/// Listens with an empty queue or a full one.
fn listener(address: SocketAddr, full: bool) -> (TcpListener, Vec<TcpStream>) {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let listener = socket(family, SocketType::STREAM, None).unwrap();
    bind(&listener, &address).unwrap();
    listen(&listener, if full { 0 } else { 64 }).unwrap();
    let listener = TcpListener::from(listener);
    listener.set_nonblocking(true).unwrap();
    let mut queue = Vec::new();
    if full {
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok();
        queue.extend(std::iter::from_fn(connect));
    }
    (listener, queue)
}

/// The addresses that accept and say nothing.
struct Silent(Vec<TcpListener>);

impl Silent {
    /// How many connections came to each one since the last time.
    fn count(&self) -> Vec<usize> {
        let count =
            |listener: &TcpListener| (0..).take_while(|_| listener.accept().is_ok()).count();
        self.0.iter().map(count).collect()
    }
}

fn sockets() -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    let targets = all.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

fn v6(group: u16, n: u16, port: u16) -> SocketAddr {
    format!("[2001:db8:{group}::{n}]:{port}").parse().unwrap()
}

fn url(name: &str) -> String {
    format!("https://{name}.simulator.test:{SERVICE}")
}

fn client(ca: &str, url: &str, more: &[(&str, &str)]) -> Client {
    let usual = [
        ("access_token", "t"),
        ("api_url", url),
        ("ca_file", ca),
        ("proxy", "none"),
        ("max_retries", "0"),
    ];
    Client::with(&[&usual, more].concat()).unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

/// The service answered: it does not know the token.
fn answers(client: &Client) {
    client.action(ID).error("unauthorized");
}

fn timed(act: impl FnOnce()) -> Duration {
    let began = Instant::now();
    act();
    began.elapsed()
}

fn curl(name: &str) -> Option<Duration> {
    let began = Instant::now();
    let got = Command::new("curl")
        .args(["-sk", "-m", "60", "-o", "/dev/null", &url(name)])
        .status()
        .ok()?;
    got.success().then(|| began.elapsed())
}

/// The machine may have other work, so one of several tries has to keep the bound.
fn soon_once(what: &str, mut tries: impl FnMut() -> (Duration, Duration)) {
    let mut seen = Vec::new();
    for _ in 0..10 {
        let (took, peer) = tries();
        seen.push((took, peer));
        if took <= peer + MORE {
            println!("{what}: {took:?} instead of {peer:?}");
            return;
        }
    }
    panic!("{what}: {seen:?}");
}

pub fn race() {
    let sim = Simulator::start(Config { tls: true, ..Config::default() }).unwrap();
    let port: u16 = sim.api_url().rsplit_once(':').unwrap().1.parse().unwrap();
    let ca = std::env::temp_dir().join(format!("mde-addresses-{}.pem", std::process::id()));
    std::fs::write(&ca, sim.ca_pem().unwrap()).unwrap();
    let ca = ca.to_str().unwrap();
    let (proxy, redis) = (StubProxy::to(port), RedisServer::start());
    let live = Live::start([port, proxy.port, redis.port]);
    let mut nowhere: Vec<_> = (1..=8).map(|n| listener(v6(1, n, SERVICE), true)).collect();
    nowhere.push(listener("192.0.2.8:8443".parse().unwrap(), true));
    let silent_at = |port| Silent((1..=8).map(|n| listener(v6(2, n, port), false).0).collect());
    let [silent, silent_proxies, silent_servers] = PORTS.map(silent_at);

    for name in ["nowhere", "silent", "refused"] {
        soon_once(name, || {
            let peer = timed(|| answers(&client(ca, &url("one"), &[])));
            (timed(|| answers(&client(ca, &url(name), &[]))), peer)
        });
        // curl itself waits for addresses that are silent.
        if name != "silent" && curl("one").is_some() {
            soon_once(&format!("{name}, by curl"), || {
                let peer = curl(name).unwrap_or(Duration::from_secs(60));
                (timed(|| answers(&client(ca, &url(name), &[]))), peer)
            });
        }
    }
    answers(&client(ca, &url("kinds"), &[]));

    // The first address in the system's order comes first, and then the other family. The winner is tried first on
    // the next connection.
    silent.count();
    live.end_all();
    std::thread::sleep(Duration::from_millis(500));
    let before = sockets();
    let client_of_silent = client(ca, &url("silent"), &[]);
    for round in 0..3 {
        live.end_all();
        answers(&client_of_silent);
        let expected = [usize::from(round == 0), 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(silent.count(), expected, "round {round}");
    }
    drop(client_of_silent);

    // So it is with the hosts of packages. The link leads to no package, as the live address says.
    let (api, id) = service("Succeeded");
    lead_to(&api, &format!("{}/none.zip", url("silent")));
    let options = [("ca_file", ca), ("max_retries", "0"), ("download_hosts", "simulator.test")];
    let downloading = patient(&api, &options);
    let path = std::env::temp_dir().join(format!("mde-none-{}.zip", std::process::id()));
    let outcome = downloading.download(&id, &path);
    assert_eq!(outcome.document["error"]["http_status"], 404, "{}", outcome.text);
    assert_eq!(silent.count()[..2], [1, 0]);
    drop((downloading, api));

    // And with proxies and Redis.
    let proxied = client(
        ca,
        "https://api.simulator.test",
        &[("proxy", &format!("http://silent.simulator.test:{PROXY}"))],
    );
    answers(&proxied);
    assert_eq!(silent_proxies.count()[..2], [1, 0]);
    assert_eq!(proxy.targets(), ["api.simulator.test:443"]);
    drop(proxied);
    let server = format!("redis://silent.simulator.test:{REDIS}");
    let counted = client(ca, &url("one"), &[("quota_redis", &server)]);
    answers(&counted);
    assert_eq!(counted.quota().ok()["log"]["trouble"], serde_json::Value::Null);
    assert_eq!(silent_servers.count()[..2], [1, 0]);
    drop(counted);

    live.end_all();
    let ended = Instant::now();
    while sockets() > before {
        assert!(ended.elapsed() < Duration::from_secs(10), "{} of {before}", sockets());
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = std::fs::remove_file(ca);
    println!("all went to the live address");
}
