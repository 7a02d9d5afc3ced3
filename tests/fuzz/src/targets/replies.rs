//! Replies of the service, the sign-in service and the download host: `reader | status | body`.

use mde::MachineAction;
use mde::fuzz_hooks::{self, Received};
use serde_json::Value;

use super::check_error;
use super::input::Input;

const STATUSES: [u16; 16] =
    [200, 201, 301, 400, 401, 403, 404, 405, 407, 408, 410, 412, 429, 500, 503, 999];

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (reader, form) = (input.byte(), usize::from(input.byte()));
    let status = STATUSES[form % STATUSES.len()];
    let date = (form & 16 != 0).then_some("Wed, 21 Oct 2026 07:28:00 GMT");
    let content_type = (form & 32 != 0).then_some("text/html\u{1b}[2J; charset=\u{202e}");
    let body = input.rest();
    let received = Received { status, body, date, content_type, ..Received::default() };
    match reader % 9 {
        0 => token(&received),
        1 => check_error(&fuzz_hooks::token_refused(&received)),
        2 => {
            let error = fuzz_hooks::service_error(&received);
            check_error(&error);
            assert_eq!(error.http_status(), Some(status));
        }
        3 => check_error(&fuzz_hooks::host_refused(&received, None)),
        4 => {
            let code = String::from_utf8_lossy(body.get(..body.len().min(40)).unwrap_or_default());
            check_error(&fuzz_hooks::host_refused(&received, Some(&code)));
        }
        5 => {
            if let Ok(action) = fuzz_hooks::action(&String::from_utf8_lossy(body)) {
                check_action(&action);
            }
        }
        6 => list(body),
        7 => machines(body),
        _ => link(body),
    }
}

fn token(received: &Received<'_>) {
    match fuzz_hooks::token(received) {
        Ok((token, life)) => {
            let is_visible = token.bytes().all(|byte| byte.is_ascii_graphic());
            assert!(!token.is_empty() && is_visible, "no header can carry it");
            assert!(life.expect("it is always set").as_secs() <= 30 * 86_400);
        }
        Err(error) => check_error(&error),
    }
}

fn check_action(action: &MachineAction) {
    assert!(!action.id().is_empty());
    let document: Value = serde_json::from_str(&action.to_json()).expect("JSON");
    assert!(document["action"].is_object(), "{document}");
    action.created();
}

fn list(body: &[u8]) {
    let (page, listed) = (fuzz_hooks::action_page(body), fuzz_hooks::listed(body));
    let actions = |read: &[MachineAction]| -> Vec<String> {
        read.iter().map(|action| action.json().to_owned()).collect()
    };
    if let Ok((read, next)) = &page {
        read.iter().for_each(check_action);
        assert!(next.as_ref().is_none_or(|next| !next.is_empty()), "an empty link");
    }
    // A poll reads the same records one by one. It wants GUIDs, which a page leaves to others.
    if let (Ok((page, next)), Ok((listed, listed_next))) = (page, listed) {
        assert_eq!((actions(&page), next), (actions(&listed), listed_next));
    }
}

fn machines(body: &[u8]) {
    if let Ok(found) = fuzz_hooks::machines(body) {
        for text in found {
            assert!(serde_json::from_str::<Value>(&text).expect("JSON").is_object());
        }
    }
    if let Ok((text, id)) = fuzz_hooks::machine(body) {
        assert!(serde_json::from_str::<Value>(&text).expect("JSON").is_object());
        assert!(!id.is_empty() && !id.contains(char::is_control));
    }
}

fn link(body: &[u8]) {
    let Some(link) = fuzz_hooks::link(body, "blob.core.windows.net, *.example") else { return };
    // What follows the scheme up to the path is the host and its port, and nobody's login.
    let (scheme, rest) = link.split_once("://").expect("a scheme");
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    assert!(!authority.contains('@') && !authority.contains(['\r', '\n', ' ']), "{link}");
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    assert!(
        host == "blob.core.windows.net"
            || host.ends_with(".blob.core.windows.net")
            || host == "example"
            || host.ends_with(".example"),
        "{link}"
    );
    assert!(scheme.eq_ignore_ascii_case("https"), "{link}");
}
