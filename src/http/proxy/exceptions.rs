//! The hosts that are reached without the proxy: option and variable `no_proxy`, and the list of Windows.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::text::url::without_brackets;

/// One entry of a no-proxy list.
#[derive(Debug)]
pub(crate) enum Exception {
    Everything,
    Network(IpNet),
    /// The host and all hosts below it, on one port or on all.
    Domain(String, Option<u16>),
    /// Names without a dot, as Windows means it.
    Local,
    /// A name or address in which `*` stands for anything, as Windows writes it.
    Pattern(String),
}

impl Exception {
    pub(super) fn text(&self) -> String {
        match self {
            Exception::Everything => "*".to_owned(),
            Exception::Network(network) => network.to_string(),
            Exception::Domain(host, None) => host.clone(),
            Exception::Domain(host, Some(port)) => format!("{host}:{port}"),
            Exception::Local => "<local>".to_owned(),
            Exception::Pattern(pattern) => pattern.clone(),
        }
    }

    pub(crate) fn covers(&self, host: &str, port: u16) -> bool {
        match self {
            Exception::Everything => true,
            Exception::Network(network) => {
                let bare = without_brackets(host);
                bare.parse::<IpAddr>().is_ok_and(|address| network.contains(&address))
            }
            Exception::Domain(name, only_port) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let below = host.strip_suffix(name.as_str());
                only_port.is_none_or(|only| only == port)
                    && below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Exception::Local => !host.contains(['.', ':']),
            Exception::Pattern(pattern) => matches(pattern, &host.to_ascii_lowercase()),
        }
    }
}

/// Refuses a list with an invalid range, which would silently match nothing.
pub(crate) fn check(list: &str) -> std::result::Result<(), String> {
    let broken = exceptions(list).into_iter().any(|exception| {
        matches!(exception, Exception::Domain(name, _) if name.contains('/') || name.is_empty())
    });
    if broken { Err("has an entry that is no name, address or range".to_owned()) } else { Ok(()) }
}

/// Entries are separated by commas or spaces; `*` means every host; a name covers the hosts below it,
/// with or without a leading dot or `*.`; addresses may be ranges in CIDR form.
pub(crate) fn exceptions(list: &str) -> Vec<Exception> {
    list.split([',', ' ', '\t', ';'])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            if entry == "*" {
                return Exception::Everything;
            }
            let bare = without_brackets(entry);
            if let Ok(network) = bare.parse::<IpNet>() {
                return Exception::Network(network);
            }
            if let Ok(address) = bare.parse::<IpAddr>() {
                return Exception::Network(IpNet::from(address));
            }
            let (name, port) = match entry.rsplit_once(':') {
                Some((name, port)) if port.parse::<u16>().is_ok() => (name, port.parse().ok()),
                _ => (entry, None),
            };
            let name = name.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
            Exception::Domain(name.to_ascii_lowercase(), port)
        })
        .collect()
}

/// The exceptions of Windows: separated by semicolons or blanks, `<local>` for names without a dot, `*` for any part.
pub(crate) fn exceptions_of_windows(list: &str) -> Vec<Exception> {
    let entries = list.split([';', ' ', '\t', '\r', '\n']).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| match entry.eq_ignore_ascii_case("<local>") {
            true => Exception::Local,
            false => {
                let name = entry.split_once("://").map_or(entry, |(_, name)| name);
                Exception::Pattern(name.to_ascii_lowercase())
            }
        })
        .collect()
}

/// Whether a text is of this pattern.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(at) = text.find(part) else { return false };
        text = text.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exceptions_of_windows_are_read_as_windows_means_them() {
        let list = exceptions_of_windows("<local>;*.corp.example; 10.* https://a*b*c\texact.test;");
        assert_eq!(list.len(), 5);
        let direct = |host: &str| list.iter().any(|entry| entry.covers(host, 443));
        for host in
            ["intranet", "x.CORP.example", "10.1.2.3", "abc", "a.b.c", "axbbxc", "exact.test"]
        {
            assert!(direct(host), "{host}");
        }
        for host in ["corp.example", "110.1.2.3", "a.bd", "x.exact.test", "exact.test.", "[::1]"] {
            assert!(!direct(host), "{host}");
        }
    }
}
