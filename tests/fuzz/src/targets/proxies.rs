//! Proxies and the hosts that are reached without one: `URL | list of exceptions | host | port`.

use mde::fuzz_hooks;

use super::SECRET;
use super::input::Input;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (url, list, host, port) = (input.text(), input.text(), input.text(), input.word());
    let _ = fuzz_hooks::proxy(&url, "");
    // With a login in it, whatever follows.
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let rest = rest.rsplit('@').next().unwrap_or_default();
    let repeated = format!("user:{SECRET} {SECRET} dXNlcjpacTdYc2VjcmV0");
    if let Ok((shown, masked)) =
        fuzz_hooks::proxy(&format!("http://user:{SECRET}@{rest}"), &repeated)
    {
        assert!(!shown.contains(SECRET), "{shown}");
        assert!(!masked.contains(SECRET), "{masked}");
    }
    let covers = fuzz_hooks::no_proxy(&list, &host, port);
    if let Some(covers) = covers {
        // More exceptions never take one away, and letter case means nothing.
        let more = fuzz_hooks::no_proxy(&format!("{list},other.invalid"), &host, port);
        assert!(!covers || more == Some(true), "{list:?} {host:?}");
        let upper = fuzz_hooks::no_proxy(&list.to_ascii_uppercase(), &host, port);
        assert_eq!(upper, Some(covers), "{list:?} {host:?}");
        assert_eq!(fuzz_hooks::no_proxy(&format!("{list} *"), &host, port), Some(true));
    }
    let _ = fuzz_hooks::no_proxy_of_windows(&list, &host, port);
}
