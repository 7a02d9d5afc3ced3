//! Where replies lead: redirects of a download, links to the next page, and links to packages.

use mde::fuzz_hooks;

use super::input::Input;

const FROM: [&str; 4] = [
    "https://host.example/a/b/c.zip?sig=x",
    "https://host.example:8443",
    "https://[2001:db8::1]:444/a/",
    "http://127.0.0.1:8080/x",
];

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let which = input.byte();
    let to = String::from_utf8_lossy(input.rest());
    match which & 4 {
        0 => redirect(FROM[usize::from(which & 3)], &to),
        _ => next_page(which & 3, &to),
    }
}

fn redirect(from: &str, to: &str) {
    let Some(target) = fuzz_hooks::redirected(from, to) else { return };
    assert!(target.bytes().all(|byte| byte > b' ' && byte != 0x7f), "{target:?}");
    let to = to.trim();
    let names_host = to.starts_with("//") || to.contains(':');
    if !names_host {
        // The host stays, and so do all that is before the path.
        let (scheme, rest) = from.split_once("://").expect("a scheme");
        let host = rest.split('/').next().unwrap_or_default();
        let path = target.strip_prefix(&format!("{scheme}://{host}"));
        let path = path.unwrap_or_else(|| panic!("{to} of {from} leads to {target}"));
        let path = path.split('?').next().unwrap_or_default();
        assert!(path.split('/').all(|step| !matches!(step, "." | "..")), "{target}");
    }
    // Whether it may be followed is asked of the same address.
    if fuzz_hooks::may_download(&target, "host.example") {
        let rest = target.split_once("://").expect("a scheme").1;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.split(':').next().unwrap_or_default().trim_end_matches('.');
        let host = host.to_ascii_lowercase();
        assert!(host == "host.example" || host.ends_with(".host.example"), "{target}");
    }
}

fn next_page(which: u8, link: &str) {
    let api = ["https://api.securitycenter.microsoft.com", "https://gateway.example/prefix"];
    let Some(target) = fuzz_hooks::next_page(api[usize::from(which & 1)], link) else { return };
    assert!(target.starts_with("/api/"), "{target}");
    assert!(target.bytes().all(|byte| byte > b' ' && byte != 0x7f), "{target:?}");
}
