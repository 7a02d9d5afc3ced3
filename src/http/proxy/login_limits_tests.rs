//! Which logins are not sent, and which are not sent again.

use std::sync::OnceLock;

use super::*;
use crate::http::proxy::Source;
use crate::http::proxy::system::System;
use crate::os::system_proxy::{Find, Found};

fn dialer_of_the_system(find: Find, begin: Begin) -> Dialer {
    let source = Source::System(System::new(find));
    dialer_by(Proxies { source, ..Proxies::default() }, ALL, begin)
}

/// Proxies may learn something better, and a user gets another proxy.
#[test]
fn basic_at_once_does_not_outlast_the_reason_for_it() {
    let basic = "Basic canary-user:canary-password";
    let (address, told) = proxy(&[BASIC, OPEN, EVERYTHING, OPEN]);
    let dialer_to = |address: &str, begin| dialer(&format!("{USER}{address}"), ALL, begin);
    let changed = dialer_to(&address, telling);
    open(&changed, LONG).unwrap();
    open(&changed, LONG).unwrap();
    let all: Vec<_> = told.try_iter().collect();
    let expected = ["0: -", &format!("1: {basic}"), &format!("2: {basic}")];
    assert_eq!(all[..3], expected);
    assert_eq!(all[3..], ["3: Negotiate Negotiate 127.0.0.1 canary-user []"]);
    assert_eq!(*changed.logins.basic_until.lock(), None);

    // It gets old.
    let (address, told) = proxy(&[BASIC, OPEN, BASIC, OPEN]);
    let old = dialer_to(&address, telling);
    open(&old, LONG).unwrap();
    let until = old.logins.basic_until.lock().replace(Instant::now()).unwrap();
    assert!(until > Instant::now() + Duration::from_secs(500));
    open(&old, LONG).unwrap();
    let expected = ["0: -", &format!("1: {basic}"), "2: -", &format!("3: {basic}")];
    assert_eq!(told.try_iter().collect::<Vec<_>>(), expected);

    // Nothing better can be made, and the same password is not sent once more.
    let (address, told) = proxy(&[BASIC, OPEN, EVERYTHING, EVERYTHING]);
    let wrong = dialer_to(&address, without);
    open(&wrong, LONG).unwrap();
    let error = open(&wrong, LONG).unwrap_err();
    let words = "it refuses the login (407) by Basic as the user of `proxy`";
    assert!(error.message().contains(words), "{}", error.message());
    assert_eq!(told.try_iter().count(), 3);
}

static REFUSED: AtomicUsize = AtomicUsize::new(0);

fn refusing(_: Package, _: &str, _: User<'_>) -> Result<Box<dyn Conversation>, Problem> {
    REFUSED.fetch_add(1, Ordering::Relaxed);
    Err(Problem::new(Kind::Refused, "Preauthentication failed"))
}

/// A few wrong passwords lock an account.
#[test]
fn a_refused_user_is_not_tried_again_for_a_while() {
    let (address, _told) = proxy(&[EVERYTHING; 8]);
    let fails = |dialer: &Dialer, words: &str| {
        let error = open(dialer, LONG).unwrap_err();
        assert!(error.message().contains("Preauthentication failed; check"), "{}", error.message());
        assert!(error.message().contains(words), "no `{words}` in: {}", error.message());
        REFUSED.load(Ordering::Relaxed)
    };
    let user = dialer(&format!("{USER}{address}"), ALL, refusing);
    for _ in 0..3 {
        assert_eq!(fails(&user, "check user and password in `proxy`"), 1);
    }
    user.logins.refused.lock().as_mut().unwrap().0 = Instant::now();
    assert_eq!(fails(&user, "check user and password in `proxy`"), 2);
    // The account of the process may get another ticket any time.
    let account = dialer(&address, ALL, refusing);
    assert_eq!(fails(&account, "check the account of this process"), 3);
    assert_eq!(fails(&account, "check the account of this process"), 4);
}

struct AsNtlm;

impl Conversation for AsNtlm {
    fn step(&mut self, _: &str, _: User<'_>, _: &[u8]) -> Result<Zeroizing<Vec<u8>>, Problem> {
        Ok(Zeroizing::new(b"(NTLMSSP\0\x01)".to_vec()))
    }
}

/// Windows' Negotiate may be NTLM.
#[test]
fn negotiate_is_no_ntlm_where_that_is_not_allowed() {
    fn begin(_: Package, _: &str, _: User<'_>) -> Result<Box<dyn Conversation>, Problem> {
        Ok(Box::new(AsNtlm))
    }
    for allowed in ["negotiate", "negotiate,basic"] {
        let (sent, message) = told(&[EVERYTHING, OPEN], USER, allowed, begin);
        let words = "has no ticket for HTTP/127.0.0.1 and makes an NTLM login, which `proxy_auth` does not allow; name";
        assert!(message.contains(words), "{message}");
        assert_eq!(sent, ["0: -"]);
    }
    let (sent, message) = told(&[EVERYTHING, OPEN], USER, "negotiate,ntlm", begin);
    assert_eq!((sent.len(), message.as_str()), (2, ""));
}

/// Whoever says in the network that it is the proxy would get a login, and could pass it on to others.
#[test]
fn a_proxy_that_the_network_named_gets_no_login_of_the_account() {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    let named = |_: &str| Found { proxies: ADDRESS.get().cloned(), ..Found::default() };
    let detected =
        |_: &str| Found { proxies: ADDRESS.get().cloned(), is_detected: true, ..Found::default() };
    let (address, told) = proxy(&[EVERYTHING, EVERYTHING, OPEN]);
    ADDRESS.set(address).unwrap();
    let error = open(&dialer_of_the_system(detected, telling), LONG).unwrap_err();
    let words = "set `proxy` to this proxy to allow the login of the account";
    assert!(error.message().contains(words), "{}", error.message());
    open(&dialer_of_the_system(named, telling), LONG).unwrap();
    let expected = ["0: -", "1: -", "2: Negotiate Negotiate 127.0.0.1 - []"];
    assert_eq!(told.try_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_login_that_cannot_be_made_is_not_tried_at_the_next_proxy() {
    static LIST: OnceLock<String> = OnceLock::new();
    let ((first, _told), (second, told)) = (proxy(&[EVERYTHING]), proxy(&[OPEN]));
    LIST.set(format!("{first};{second}")).unwrap();
    let find = |_: &str| Found { proxies: LIST.get().cloned(), ..Found::default() };
    let error = open(&dialer_of_the_system(find, without_kdc), LONG).unwrap_err();
    assert_eq!(error.http_status(), Some(407), "{}", error.message());
    assert!(error.message().contains("Cannot contact any KDC"), "{}", error.message());
    assert_eq!(told.try_iter().count(), 0);
}
