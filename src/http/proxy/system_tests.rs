//! What the system may answer, and when it is asked.

use std::io::Write;
use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};

use super::*;
use crate::call::Call;
use crate::error::Error;
use crate::http::connect::Dialer;
use crate::http::proxy::{Proxies, Source};
use crate::http::socket::{Exchange, Head};
use crate::http::tls::Trust;

fn in_a_call<T>(wait: Duration, run: impl FnOnce() -> T) -> T {
    let call = Arc::new(Call::begin(&Arc::default(), None, None));
    let head = Head { lines: "".into(), secret: None, target: None, bulk: false };
    let _exchange = Exchange::enter(&call, wait, wait, head);
    run()
}

/// The ways to `api.test:443`, written in a line.
fn ways(system: &System, wait: Duration) -> Result<(String, Option<String>), Error> {
    let ask = || system.routes("api.test", 443, Exchange::connecting()?);
    let routes = in_a_call(wait, ask)?;
    Ok((names(&routes.list), routes.note))
}

fn names(routes: &[Option<Arc<Proxy>>]) -> String {
    let name = |route: &Option<Arc<Proxy>>| match route {
        Some(proxy) => proxy.authority(),
        None => "direct".to_owned(),
    };
    routes.iter().map(name).collect::<Vec<_>>().join(" ")
}

const LONG: Duration = Duration::from_secs(20);

fn ways_of(find: Find) -> (String, Option<String>) {
    ways(&System::new(find), LONG).unwrap()
}

fn list(proxies: &str) -> Found {
    Found { proxies: Some(proxies.to_owned()), ..Found::default() }
}

#[test]
fn lists_are_read_in_each_form() {
    for (list, expected) in [
        ("proxy", "proxy:80"),
        ("http://proxy:8080", "proxy:8080"),
        ("a:1;b:2 c:3", "a:1 b:2 c:3"),
        ("http=a:1;https=b:2;socks=c:3", "b:2"),
        ("http=a:1;b:2", "b:2"),
        ("PROXY a:1; PROXY b:2;DIRECT", "a:1 b:2 direct"),
        ("SOCKS5 s:1080; HTTPS t:443; proxy a:1", "a:1"),
        ("[2001:db8::1]:3128", "[2001:db8::1]:3128"),
        (" ; ;", ""),
        ("http=a:1", ""),
        ("socks5://s:1080", ""),
        ("a:99999;b:2", "b:2"),
    ] {
        assert_eq!(names(&proxies_for_https(list, false)), expected, "{list}");
    }
}

#[test]
fn what_the_system_names_is_used_but_for_its_exceptions() {
    assert_eq!(ways_of(|_| Found::default()), ("direct".to_owned(), None));
    assert_eq!(ways_of(|_| list("a:1;b:2")), ("a:1 b:2".to_owned(), None));
    let except = |_: &str| Found { except: Some("x.test;*.TEST".to_owned()), ..list("a:1") };
    assert_eq!(ways_of(except), ("direct".to_owned(), None));
    assert_eq!(ways_of(|_| list("http=a:1")), ("direct".to_owned(), None));
    // Part of a setting that cannot be used is reported.
    let (way, note) = ways_of(|_| list("socks=s:1"));
    assert_eq!(way, "direct");
    assert!(note.unwrap().contains("no HTTP proxy but `socks=s:1`"));
    let broken =
        |_: &str| Found { problem: Some("the script is broken".to_owned()), ..list("a:1") };
    assert_eq!(ways_of(broken), ("a:1".to_owned(), Some("the script is broken".to_owned())));
}

#[test]
fn it_is_asked_once_for_a_host_until_no_way_works() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let system = System::new(|url| {
        assert_eq!(url, "https://api.test/");
        list(&format!("p{}:1", ASKED.fetch_add(1, Ordering::Relaxed)))
    });
    for _ in 0..3 {
        assert_eq!(ways(&system, LONG).unwrap().0, "p0:1");
    }
    system.forget("other.test", 443);
    assert_eq!(ways(&system, LONG).unwrap().0, "p0:1");
    system.forget("api.test", 443);
    assert_eq!(ways(&system, LONG).unwrap().0, "p1:1");
    // The answer gets old.
    system.answers.lock()[0].1 = Instant::now();
    assert_eq!(ways(&system, LONG).unwrap().0, "p2:1");
}

/// Scripts compare with addresses such as `https://*.test/*`.
#[test]
fn a_script_is_asked_about_the_address_that_a_browser_has() {
    for (host, port, expected) in [
        ("api.test", 443, "https://api.test/"),
        ("api.test", 8443, "https://api.test:8443/"),
        ("[2001:db8::1]", 443, "https://[2001:db8::1]/"),
    ] {
        assert_eq!(url(host, port), expected);
    }
}

#[test]
fn a_proxy_that_did_not_work_is_tried_last_for_a_while() {
    let system = System::new(|_| list("a:1;b:2;c:3;DIRECT"));
    system.put_last(&Proxy::parse("http://a:1").unwrap());
    system.put_last(&Proxy::parse("http://c:3").unwrap());
    assert_eq!(ways(&system, LONG).unwrap().0, "b:2 direct a:1 c:3");
    system.last.lock().iter_mut().for_each(|(_, until)| *until = Instant::now());
    assert_eq!(ways(&system, LONG).unwrap().0, "a:1 b:2 c:3 direct");
}

/// The thread stays until the script ends, and all calls share it.
#[test]
fn a_script_that_never_ends_holds_no_call() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let system = System::new(|_| {
        ASKED.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(1_500));
        list("a:1")
    });
    for _ in 0..3 {
        let began = Instant::now();
        let error = ways(&system, Duration::from_millis(100)).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(error.status(), Status::Proxy);
        assert!(error.message().contains("proxy script (PAC) may be slow"), "{}", error.message());
    }
    // Whoever waits longer gets its answer.
    assert_eq!(ways(&system, LONG).unwrap().0, "a:1");
    assert_eq!(ASKED.load(Ordering::Relaxed), 1);
}

/// Else no call would ever get it, where each waits for less than the script takes.
#[test]
fn an_answer_that_comes_too_late_for_a_call_is_there_for_the_next() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let system = System::new(|_| {
        ASKED.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(400));
        list("a:1")
    });
    let wait = Duration::from_millis(100);
    ways(&system, wait).unwrap_err();
    let is_there = (0..500).any(|_| {
        sleep(Duration::from_millis(20));
        !system.answers.lock().is_empty()
    });
    assert!(is_there, "the answer was thrown away");
    assert_eq!(ways(&system, wait).unwrap().0, "a:1");
    assert_eq!(ASKED.load(Ordering::Relaxed), 1);
}

/// Opens connections by the system's proxies.
fn dialer(find: Find) -> Dialer {
    let source = Source::System(System::new(find));
    Dialer {
        tls: Arc::new(Trust::new(Vec::new(), None, false).unwrap()),
        proxies: Arc::new(Proxies { source, ..Proxies::default() }),
        logins: Arc::default(),
        lookups: Arc::default(),
        user_agent: "test".into(),
        recorder: None,
    }
}

/// Opens a tunnel. Returns how long it took.
fn tunnel(find: Find, again: bool) -> (Duration, Result<(), Error>) {
    let dialer = dialer(find);
    let open = || dialer.open("api.test", 443, false, b"").map(drop).map_err(Error::from);
    if again {
        in_a_call(Duration::from_secs(4), open).unwrap();
    }
    let began = Instant::now();
    let outcome = in_a_call(Duration::from_secs(4), open);
    (began.elapsed(), outcome)
}

/// A proxy that answers every request with this. Returns its address.
fn answering(reply: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        // Closing one with unread bytes would reset it.
        let mut kept = Vec::new();
        for mut peer in listener.incoming().map_while(Result::ok) {
            peer.write_all(reply).unwrap();
            kept.push(peer);
        }
    });
    name
}

/// It may reach other hosts, and no other proxy is loaded by what one host lacks.
#[test]
fn a_proxy_that_answers_stays_the_first() {
    static LIST: OnceLock<String> = OnceLock::new();
    let (busy, open) =
        (answering(b"HTTP/1.1 503 Busy\r\n\r\n"), answering(b"HTTP/1.1 200 OK\r\n\r\n"));
    LIST.set(format!("{busy};{open}")).unwrap();
    let dialer = dialer(|_| list(LIST.get().unwrap()));
    let order = in_a_call(LONG, || {
        dialer.open("api.test", 443, false, b"").map(drop)?;
        dialer.proxies.routes("api.test", 443, Exchange::connecting()?)
    });
    assert_eq!(names(&order.map_err(Error::from).unwrap().list), format!("{busy} {open}"));
}

#[test]
fn dead_proxies_of_a_list_are_passed_by_and_named_if_all_are() {
    static LIST: OnceLock<[String; 2]> = OnceLock::new();
    let refusing = || {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        format!("127.0.0.1:{port}")
    };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = answering(b"HTTP/1.1 200 OK\r\n\r\n");
    let dead = [refusing(), silent.local_addr().unwrap().to_string()];
    LIST.get_or_init(|| {
        let [first, second] = &dead;
        [format!("{first};{second};{name};{first};DIRECT"), format!("{first};{second}")]
    });
    let (took, outcome) = tunnel(|_| list(&LIST.get().unwrap()[0]), false);
    outcome.unwrap();
    // A fifth of the time, or a little more, is lost with the one that says nothing.
    assert!(took < Duration::from_secs(2), "{took:?}");
    let (took, outcome) = tunnel(|_| list(&LIST.get().unwrap()[0]), true);
    outcome.unwrap();
    assert!(took < Duration::from_millis(500), "{took:?}");

    let problem = |_: &str| Found {
        problem: Some("the script is broken".to_owned()),
        ..list(&LIST.get().unwrap()[1])
    };
    let (_, outcome) = tunnel(problem, false);
    let error = outcome.unwrap_err();
    assert_eq!(error.status(), Status::Proxy);
    let message = error.message();
    for words in [
        format!("the proxy {} did not answer", dead[1]),
        "(the script is broken)".to_owned(),
        format!("(tried before and not usable: {})", dead[0]),
    ] {
        assert!(message.contains(&words), "no `{words}` in: {message}");
    }
}
