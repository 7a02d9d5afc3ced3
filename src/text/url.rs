//! Base URLs of the service and the sign-in service, checked when the option is set.

use std::borrow::Cow;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use ureq::http::Uri;
use zeroize::Zeroizing;

/// `scheme://host[:port][/prefix]`, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    text: String,
    authority: String,
    path: String,
}

/// What is accepted, for messages.
pub(crate) const ACCEPTED: &str = "https://host[:port][/prefix], or http:// on a loopback address, \
     without query, fragment or login";

impl BaseUrl {
    /// Parses a URL. The error completes "option `…` …".
    pub(crate) fn parse(text: &str) -> Result<BaseUrl, &'static str> {
        // Checked first: `http::Uri` drops a fragment silently.
        if text.contains('#') {
            return Err("has a fragment");
        }
        let (text, login) = without_login(text).ok_or("is not a URL")?;
        if login.is_some() {
            return Err("has a login");
        }
        let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
        if uri.query().is_some() {
            return Err("has a query");
        }
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("has no scheme or no host");
        };
        let host = authority.host();
        if host.is_empty() {
            return Err("has no host");
        }
        if host.trim_end_matches('.').is_empty() {
            return Err("has no host");
        }
        if authority.as_str() != host && authority.port_u16().is_none_or(|port| port == 0) {
            return Err("has a port that is not a number from 1 to 65535");
        }
        match scheme {
            "https" => {}
            "http" if is_loopback(host) => {}
            "http" => {
                return Err("would send tokens unencrypted: http is accepted on loopback only");
            }
            _ => return Err("is neither https nor http"),
        }
        let path = uri.path().trim_end_matches('/');
        if path.split('/').any(|segment| segment == ".." || segment == ".") {
            return Err("has a relative path");
        }
        Ok(BaseUrl {
            text: format!("{scheme}://{authority}{path}"),
            authority: authority_of(&uri).unwrap_or_default(),
            path: path.to_owned(),
        })
    }

    /// The URL of the option, or `default` from the table of clouds.
    pub(crate) fn or_default(
        option: Option<&BaseUrl>,
        default: &str,
    ) -> Result<BaseUrl, &'static str> {
        match option {
            Some(url) => Ok(url.clone()),
            None => BaseUrl::parse(default),
        }
    }

    /// The URL, without a trailing slash.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The path prefix, empty or beginning with a slash.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Host and port, see [`authority_of`].
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

/// A URL without its login, and the login. What parses a URL keeps copies, which nobody wipes.
///
/// `None`: the login has characters that no URL has.
pub(crate) fn without_login(text: &str) -> Option<(Cow<'_, str>, Option<&str>)> {
    let start = text.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = text.split_at_checked(start)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at_checked(end)?;
    let Some((login, address)) = authority.rsplit_once('@') else {
        return Some((text.into(), None));
    };
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%@".contains(&b);
    login.bytes().all(fits).then(|| ([scheme, address, after].concat().into(), Some(login)))
}

/// A part of a login without its percent escapes. `None`: it is not UTF-8.
pub(crate) fn decoded(part: &str) -> Option<Zeroizing<String>> {
    // Allocated once: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(part.len()));
    bytes.extend(percent_decode_str(part));
    std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
}

/// Host and port in a form for comparison: lower case, without a trailing dot or the default port.
pub(crate) fn authority_of(uri: &Uri) -> Option<String> {
    let host = uri.host()?.trim_end_matches('.').to_ascii_lowercase();
    Some(match (uri.scheme_str(), uri.port_u16()) {
        (_, None) | (Some("https"), Some(443)) | (Some("http"), Some(80)) => host,
        (_, Some(port)) => format!("{host}:{port}"),
    })
}

/// The same of a host that is reached over TLS.
pub(crate) fn authority(host: &str, port: u16) -> String {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    match port {
        443 => host,
        port => format!("{host}:{port}"),
    }
}

/// A host without the brackets that an IPv6 address has in a URL.
pub(crate) fn without_brackets(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether a host is this machine by its name or address. Where a name leads to is checked when it is looked up.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = without_brackets(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = bare.strip_suffix('.').unwrap_or(bare);
    // The names below it are this machine, too (RFC 6761).
    let last = name.rsplit('.').next();
    last.is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_urls_are_accepted() {
        for (given, kept) in [
            ("https://api.security.microsoft.com", "https://api.security.microsoft.com"),
            ("https://gw.example/mde/", "https://gw.example/mde"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost:1", "http://localhost:1"),
            ("http://[::1]:9/", "http://[::1]:9"),
        ] {
            assert_eq!(BaseUrl::parse(given).unwrap().as_str(), kept);
        }
    }

    #[test]
    fn one_service_has_one_authority() {
        for same in ["https://API.example", "https://api.example:443/x", "https://api.example./"] {
            assert_eq!(BaseUrl::parse(same).unwrap().authority(), "api.example");
        }
        assert_eq!(BaseUrl::parse("https://[::1]:8443").unwrap().authority(), "[::1]:8443");
    }

    #[test]
    fn this_machine_is_known_in_every_spelling() {
        for own in [
            "localhost",
            "LocalHost.",
            "a.localhost",
            "127.3.2.1",
            "[::1]",
            "::1",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(own), "{own}");
        }
        for other in ["", ".", "localhost.test", "xlocalhost", "128.0.0.1", "[::2]", "127.0.0.1."] {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for bad in [
            "",
            "x",
            "api.security.microsoft.com",
            "http://api.security.microsoft.com",
            "http://localhost.evil.example",
            "https://u:p@host",
            "https://host?x=1",
            "https://host#f",
            "ftp://127.0.0.1",
            "https://",
            "https://host:99999",
            "https://host:/",
            "https://h/a/../b",
            "https://ho st",
            "https://h:0",
            "https://.",
            "http://127.0.0.1.example",
            "http://localhost..",
            "http://notlocalhost",
            "http://[::ffff:192.0.2.1]",
        ] {
            assert!(BaseUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
