//! The targets of redirects.

use ureq::http::Uri;
use ureq::http::uri::Parts;

use crate::text::secret_url::{self, SecretUrl};

/// The target of a redirect in any of its forms: an absolute URL, a host, a path, a relative path, or a query alone.
/// Source: RFC 3986, 5.2.
pub(crate) fn resolve(from: &Uri, to: &str) -> Option<SecretUrl> {
    let (to, query) = secret_url::apart(to.trim());
    SecretUrl::new(address(from, to, !query.is_empty())?, query)
}

/// The same of what comes before the query.
fn address(from: &Uri, to: &str, has_query: bool) -> Option<Uri> {
    let scheme = from.scheme_str().unwrap_or_default();
    if let Some(rest) = to.strip_prefix("//") {
        return format!("{scheme}://{rest}").parse().ok();
    }
    if to.split_once(':').is_some_and(|(scheme, _)| !scheme.contains('/')) {
        return to.parse().ok();
    }
    let path = from.path();
    let target = match to.chars().next() {
        None if has_query => path.to_owned(),
        None => return None,
        Some('/') => to.to_owned(),
        Some(_) => {
            let folder = path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or("/");
            format!("{folder}{to}")
        }
    };
    let mut parts = Parts::default();
    parts.scheme = from.scheme().cloned();
    parts.authority = from.authority().cloned();
    parts.path_and_query = without_dots(&target).parse().ok();
    Uri::from_parts(parts).ok()
}

/// The path without its steps `.` and `..`.
fn without_dots(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/').skip(1) {
        match step {
            "." => {}
            ".." => {
                steps.pop();
            }
            _ => steps.push(step),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        steps.push("");
    }
    format!("/{}", steps.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved() {
        let from: Uri = "https://a.example:8443/d/x".parse().unwrap();
        for (to, expected) in [
            ("/y?z=%2f", Some("https://a.example:8443/y?z=%2f")),
            (" /y\t", Some("https://a.example:8443/y")),
            ("https://b.example/y#part", Some("https://b.example/y")),
            ("//b.example/y", Some("https://b.example/y")),
            ("//b.example:7/y?z", Some("https://b.example:7/y?z")),
            ("y.zip?z=1:2", Some("https://a.example:8443/d/y.zip?z=1:2")),
            ("./y/../../z", Some("https://a.example:8443/z")),
            ("../../..", Some("https://a.example:8443/")),
            ("?z", Some("https://a.example:8443/d/x?z")),
            ("", None),
            ("http://[", None),
        ] {
            let resolved = resolve(&from, to).map(|link| {
                let host = link.url.authority().unwrap();
                format!("{}://{host}{}", link.url.scheme_str().unwrap(), *link.target())
            });
            assert_eq!(resolved.as_deref(), expected, "{to}");
        }
    }
}
