//! What is sent to a proxy that asks for a login, and over which connections.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::*;
use crate::call::{Call, Cancel};
use crate::error::Error;
use crate::http::connect::Dialer;
use crate::http::proxy::{Choice, Proxies};
use crate::http::socket::{Exchange, Head};
use crate::http::tls::Trust;
use crate::http::trace::Recorder;
use crate::os::login::User;
use crate::status::Status;

const LONG: Duration = Duration::from_secs(20);

/// A system whose messages name package, proxy, user, and what was received.
struct Told(String);

impl Conversation for Told {
    fn step(
        &mut self,
        host: &str,
        user: User<'_>,
        received: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let (user, received) =
            (user.map_or("-", |(user, _)| user), String::from_utf8_lossy(received));
        Ok(Zeroizing::new(format!("{} {host} {user} [{received}]", self.0).into_bytes()))
    }
}

fn telling(package: Package, _: &str, _: User<'_>) -> Result<Box<dyn Conversation>, Problem> {
    Ok(Box::new(Told(format!("{package:?}"))))
}

fn without(_: Package, _: &str, _: User<'_>) -> Result<Box<dyn Conversation>, Problem> {
    Err(Problem::new(Kind::Missing, "there is none"))
}

/// A proxy that sends one reply to each request, and then closes the connection unless the reply is one to keep. The
/// channel tells the number of the connection, and the login of each request in plain text.
fn proxy(replies: &'static [&'static str]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut replies = replies.iter();
        for (number, mut peer) in listener.incoming().map_while(Result::ok).enumerate() {
            while let Some(login) = login_of(&mut peer) {
                let Some(reply) = replies.next() else { return };
                tell.send(format!("{number}: {login}")).unwrap();
                peer.write_all(reply.as_bytes()).unwrap();
                if !reply.contains("Content-Length") {
                    break;
                }
            }
        }
    });
    (format!("127.0.0.1:{port}"), told)
}

fn login_of(peer: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        (peer.read(&mut byte).ok()? > 0).then_some(())?;
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8(head).unwrap();
    let login = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: "));
    let Some((scheme, message)) = login.and_then(|login| login.split_once(' ')) else {
        return Some("-".to_owned());
    };
    let message = String::from_utf8(STANDARD.decode(message).unwrap()).unwrap();
    Some(format!("{scheme} {message}"))
}

fn dialer(proxy: &str, allowed: &str, begin: Begin) -> Dialer {
    let choice = Choice::Url(Proxy::parse(&format!("http://{proxy}")).unwrap());
    dialer_by(Proxies::new(&choice, None).unwrap(), allowed, begin)
}

fn dialer_by(proxies: Proxies, allowed: &str, begin: Begin) -> Dialer {
    Dialer {
        tls: Arc::new(Trust::new(Vec::new(), None, false).unwrap()),
        proxies: Arc::new(proxies),
        logins: Arc::new(Logins::with(Allowed::parse(allowed).unwrap(), begin)),
        lookups: Arc::default(),
        user_agent: "test".into(),
        recorder: None,
    }
}

fn open(dialer: &Dialer, connect: Duration) -> Result<(), Error> {
    open_until(dialer, connect, None)
}

fn open_until(dialer: &Dialer, connect: Duration, cancel: Option<&Cancel>) -> Result<(), Error> {
    let call = Arc::new(Call::begin(&Arc::default(), None, cancel));
    let head = Head { lines: "".into(), secret: None, target: None, bulk: false };
    let _exchange = Exchange::enter(&call, connect, LONG, head);
    Ok(dialer.open("service.test", 443, false, b"").map(drop)?)
}

/// What a proxy with these replies was told, and the words of the failure.
#[track_caller]
fn told(
    replies: &'static [&'static str],
    user: &str,
    allowed: &str,
    begin: Begin,
) -> (Vec<String>, String) {
    let (address, told) = proxy(replies);
    let outcome = open(&dialer(&format!("{user}{address}"), allowed, begin), LONG);
    if let Err(error) = &outcome {
        assert_eq!(
            (error.status(), error.http_status()),
            (Status::Proxy, Some(407)),
            "{}",
            error.message()
        );
        assert!(!error.message().contains("canary"), "{}", error.message());
    }
    (
        told.try_iter().collect(),
        outcome.err().map_or(String::new(), |error| error.message().to_owned()),
    )
}

const ALL: &str = "negotiate,ntlm,basic";
const USER: &str = "canary-user:canary-password@";
const OPEN: &str = "HTTP/1.1 200 OK\r\n\r\n";
const EVERYTHING: &str = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n\
    Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n\r\n";
const BASIC: &str = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n\r\n";
/// `one`, and then `two`.
const ONE: &str =
    "HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate b25l\r\nContent-Length: 4\r\n\r\nbody";
const TWO: &str =
    "HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate dHdv\r\nContent-Length: 0\r\n\r\n";
const KEPT: &str =
    "HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nContent-Length: 2\r\n\r\nno";

#[test]
fn the_strongest_login_is_used() {
    let expected = ["0: -", "1: Negotiate Negotiate 127.0.0.1 - []"];
    assert_eq!(
        told(&[EVERYTHING, OPEN], "", ALL, telling),
        (expected.map(str::to_owned).into(), String::new())
    );
    let expected = ["0: -", "1: Negotiate Negotiate 127.0.0.1 canary-user []"];
    assert_eq!(told(&[EVERYTHING, OPEN], USER, ALL, telling).0, expected);
    let expected = ["0: -", "1: Basic canary-user:canary-password"];
    assert_eq!(told(&[BASIC, OPEN], USER, ALL, telling).0, expected);
    // What the system lacks is as good as not offered.
    assert_eq!(told(&[EVERYTHING, OPEN], USER, ALL, without).0, expected);
    // It is not asked about where it must not be used.
    assert_eq!(told(&[EVERYTHING, OPEN], USER, "ntlm,basic", without).0, expected);
    // Basic alone is sent at once.
    assert_eq!(told(&[OPEN], USER, "basic", telling).0, ["0: Basic canary-user:canary-password"]);
}

#[test]
fn a_login_goes_on_over_the_same_connection() {
    let expected = [
        "0: -",
        "0: Negotiate Negotiate 127.0.0.1 - []",
        "0: Negotiate Negotiate 127.0.0.1 - [one]",
        "0: Negotiate Negotiate 127.0.0.1 - [two]",
    ];
    assert_eq!(
        told(&[KEPT, ONE, TWO, OPEN], "", ALL, telling),
        (expected.map(str::to_owned).into(), String::new())
    );
    // One that is closed there has forgotten the login.
    let closed = "HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate b25l\r\n\r\n";
    let (_, message) = told(Box::leak(Box::new([EVERYTHING, closed])), "", ALL, telling);
    assert!(
        message.contains("closes the connection (407) in the middle of the login by Negotiate"),
        "{message}"
    );
    // It ends, whatever the proxy says.
    let (sent, message) =
        told(&[KEPT, ONE, TWO, ONE, TWO, ONE, TWO, ONE, TWO, ONE], "", ALL, telling);
    assert!(message.contains("is not understood"), "{message}");
    assert_eq!(sent.len(), 9);
}

#[test]
fn a_login_that_is_refused_or_not_possible_names_what_was_tried_and_offered() {
    let digest = "HTTP/1.1 407 No\r\nProxy-Authenticate: Digest realm=x\r\n\r\n";
    let nothing = "HTTP/1.1 407 No\r\n\r\n";
    let refused = "it refuses the login (407) by";
    for (replies, user, allowed, words) in [
        (
            [EVERYTHING, EVERYTHING],
            "",
            ALL,
            "Negotiate as the account of this process and offers Basic, Negotiate, NTLM; check",
        ),
        (
            [BASIC, BASIC],
            USER,
            ALL,
            "Basic as the user of `proxy` and offers Basic; check the login in `proxy`",
        ),
        ([BASIC, ""], USER, "basic", "Basic as the user of `proxy`"),
    ] {
        let (_, message) = told(Box::leak(Box::new(replies)), user, allowed, telling);
        assert!(message.contains(&format!("{refused} {words}")), "no `{words}` in: {message}");
    }
    for (reply, user, allowed, words) in [
        (BASIC, "", ALL, "Basic: put user and password into `proxy`"),
        (BASIC, USER, "negotiate", "Basic: `proxy_auth` allows none of it"),
        (EVERYTHING, "", "basic", "Basic, Negotiate, NTLM: `proxy_auth` allows none of it"),
        (digest, USER, ALL, "Digest: this library knows Negotiate, Basic"),
        (nothing, "", ALL, "no kind of login: put user and password"),
    ] {
        let (_, message) = told(Box::leak(Box::new([reply])), user, allowed, telling);
        let words = format!("it asks for a login (407) and offers {words}");
        assert!(message.contains(&words), "no `{words}` in: {message}");
    }
    let (_, message) = told(&[EVERYTHING], "", ALL, without);
    assert!(
        message.contains(
            "the login by Negotiate as the account of this process failed: there is none; "
        ),
        "{message}"
    );
    #[cfg(not(windows))]
    {
        let ntlm = &["HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\n\r\n"];
        let (_, message) = told(ntlm, USER, ALL, telling);
        assert!(
            message.contains("and offers NTLM: NTLM is supported on Windows only"),
            "{message}"
        );
    }
}

#[test]
fn a_proxy_that_wants_basic_is_asked_once() {
    let (address, told) = proxy(&[BASIC, OPEN, OPEN]);
    let dialer = dialer(&format!("{USER}{address}"), ALL, telling);
    open(&dialer, LONG).unwrap();
    open(&dialer, LONG).unwrap();
    let basic = "Basic canary-user:canary-password";
    assert_eq!(
        told.try_iter().collect::<Vec<_>>(),
        ["0: -".to_owned(), format!("1: {basic}"), format!("2: {basic}")]
    );
}

fn without_kdc(_: Package, _: &str, _: User<'_>) -> Result<Box<dyn Conversation>, Problem> {
    Err(Problem::new(Kind::NoKdc, "Cannot contact any KDC"))
}

#[test]
fn a_login_that_fails_leads_to_basic_only_where_it_is_offered() {
    const NEGOTIATE: &str = "HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\n\r\n";
    let basic = "; or set `proxy_auth=basic`, which sends the password unencrypted";
    let user = "; or put user and password into `proxy`";
    for (reply, login, allowed, begin, expected) in [
        (EVERYTHING, USER, ALL, without_kdc as Begin, basic),
        (EVERYTHING, "", ALL, without_kdc, user),
        (EVERYTHING, USER, "negotiate", without_kdc, "of the realm"),
        (NEGOTIATE, USER, ALL, without_kdc, "of the realm"),
        #[cfg(not(windows))]
        (
            NEGOTIATE,
            r"DOMAIN%5Cuser:canary@",
            ALL,
            without_kdc,
            r"write the user as user@REALM in `proxy`, since DOMAIN\user is for Windows",
        ),
        (EVERYTHING, "", ALL, without, user),
        #[cfg(not(windows))]
        (NEGOTIATE, "", ALL, without, ", or let the proxy offer Basic"),
    ] {
        let (_, message) = told(Box::leak(Box::new([reply])), login, allowed, begin);
        assert!(message.ends_with(expected), "not `{expected}` at the end of: {message}");
    }
}

/// The check of the access shows them.
#[test]
fn the_connection_with_the_login_is_recorded() {
    let slow: Begin = |package, host, user| {
        thread::sleep(Duration::from_millis(400));
        telling(package, host, user)
    };
    for (replies, begin, is_open) in
        [(&[EVERYTHING, OPEN][..], slow, true), (&[EVERYTHING], without_kdc, false)]
    {
        let (address, _told) = proxy(replies);
        let recorder = Arc::new(Recorder::default());
        let dialer = Dialer { recorder: Some(recorder.clone()), ..dialer(&address, ALL, begin) };
        assert_eq!(open(&dialer, LONG).is_ok(), is_open);
        let trace = recorder.take().unwrap();
        let [tried] = &trace.tried[..] else { panic!("{trace:?}") };
        assert_eq!((tried.is_usable(), tried.problem.is_none()), (is_open, is_open), "{tried:?}");
        // The login before it took longer.
        let connect = trace.phases().connect.unwrap();
        assert!(connect < Duration::from_millis(300), "{connect:?}");
    }
}

#[test]
fn a_proxy_that_does_not_ask_is_told_apart() {
    let forbidden = "HTTP/1.1 403 No\r\n\r\n";
    for (login, allowed, words) in [
        (USER, ALL, "set `proxy_auth=basic` to send it at once"),
        (USER, "basic", "; check the login in `proxy`, and what the proxy allows"),
        ("", ALL, "; check what the proxy allows"),
    ] {
        let (address, told) = proxy(Box::leak(Box::new([forbidden])));
        let error = open(&dialer(&format!("{login}{address}"), allowed, telling), LONG);
        let error = error.unwrap_err();
        assert!(error.message().ends_with(words), "no `{words}` in: {}", error.message());
        let is_sent = told.recv().unwrap().contains("Basic");
        assert_eq!(is_sent, allowed == "basic");
    }
}

#[test]
fn a_message_that_the_proxy_repeats_is_masked() {
    let (address, _told) =
        proxy(&[EVERYTHING, "HTTP/1.1 403 not TmVnb3RpYXRlIDEyNy4wLjAuMSAtIFtd\r\n\r\n"]);
    let error = open(&dialer(&address, ALL, telling), LONG).unwrap_err();
    assert_eq!(error.http_status(), Some(403));
    assert!(error.message().contains("HTTP/1.1 403 not ***"), "{}", error.message());
}

#[test]
fn the_option_names_kinds_of_login() {
    for good in ["negotiate", "basic,ntlm", " negotiate , basic", "ntlm,ntlm"] {
        assert!(Allowed::parse(good).is_ok(), "{good}");
    }
    for bad in ["", "Basic", "basic,", "digest", "negotiate basic", "none"] {
        assert!(Allowed::parse(bad).is_err(), "{bad}");
    }
}

static ASKING: AtomicUsize = AtomicUsize::new(0);
static MOST_ASKING: AtomicUsize = AtomicUsize::new(0);

/// A KDC that is silent for a while.
fn slow(package: Package, host: &str, user: User<'_>) -> Result<Box<dyn Conversation>, Problem> {
    MOST_ASKING.fetch_max(ASKING.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
    thread::sleep(Duration::from_millis(1_500));
    ASKING.fetch_sub(1, Ordering::Relaxed);
    telling(package, host, user)
}

#[test]
fn a_silent_kdc_holds_no_call_and_no_threads_pile_up() {
    let (address, _told) = proxy(&[EVERYTHING, EVERYTHING, EVERYTHING, EVERYTHING, OPEN]);
    let dialer = dialer(&address, ALL, slow);
    let cancel = Cancel::new(None);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(200));
            cancel.trigger();
        });
        let began = Instant::now();
        let error = open_until(&dialer, LONG, Some(&cancel)).unwrap_err();
        assert_eq!(error.status(), Status::Cancelled);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    });
    for _ in 0..2 {
        let began = Instant::now();
        let error = open(&dialer, Duration::from_millis(200)).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        for words in ["other logins of this client", "distribution centre (KDC) may be away"] {
            assert!(error.message().contains(words), "no `{words}` in: {}", error.message());
        }
        assert_eq!(error.http_status(), Some(407));
    }
    // It waits for the thread that was abandoned, and then asks by itself.
    let began = Instant::now();
    open(&dialer, LONG).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(1_500), "{:?}", began.elapsed());
    assert_eq!(MOST_ASKING.load(Ordering::Relaxed), 1, "threads at once");
}

#[path = "login_limits_tests.rs"]
mod limits;
