//! URLs with secrets in their queries.

use ureq::http::Uri;
use zeroize::Zeroizing;

/// A URL with its query apart, which is wiped from memory when it is dropped. What parses a URL keeps copies, which nobody
/// wipes.
#[derive(Clone)]
pub(crate) struct SecretUrl {
    /// Without the query.
    pub url: Uri,
    /// With its question mark, or empty.
    query: Zeroizing<String>,
}

impl SecretUrl {
    /// Parses a URL. A fragment is dropped.
    pub(crate) fn parse(text: &str) -> Option<SecretUrl> {
        let (url, query) = apart(text);
        SecretUrl::new(url.parse().ok()?, query)
    }

    /// `query`: with its question mark, or empty. `None`: no request can carry it.
    pub(crate) fn new(url: Uri, query: &str) -> Option<SecretUrl> {
        let fits = query.bytes().all(|byte| byte.is_ascii_graphic() || !byte.is_ascii());
        fits.then(|| SecretUrl { url, query: Zeroizing::new(query.to_owned()) })
    }

    pub(crate) fn host(&self) -> &str {
        self.url.host().unwrap_or_default()
    }

    /// The query without its question mark.
    pub(crate) fn query(&self) -> &str {
        self.query.get(1..).unwrap_or_default()
    }

    /// Path and query, as a request names them.
    pub(crate) fn target(&self) -> Zeroizing<String> {
        Zeroizing::new([self.url.path(), self.query.as_str()].concat())
    }
}

/// What comes before the query, and the query with its question mark. Without the fragment.
pub(crate) fn apart(text: &str) -> (&str, &str) {
    let text = text.split('#').next().unwrap_or_default();
    text.split_at_checked(text.find('?').unwrap_or(text.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_kept_apart() {
        for (text, url, target) in [
            (
                "https://a.example/p.zip?sig=%2f+x#y?z",
                "https://a.example/p.zip",
                "/p.zip?sig=%2f+x",
            ),
            ("https://a.example/p?x?y", "https://a.example/p", "/p?x?y"),
            ("https://a.example:1?x", "https://a.example:1/", "/?x"),
            ("https://a.example/p?", "https://a.example/p", "/p?"),
            ("https://a.example", "https://a.example/", "/"),
        ] {
            let link = SecretUrl::parse(text).unwrap();
            assert_eq!((link.url.to_string().as_str(), link.target().as_str()), (url, target));
            assert_eq!(link.query(), target.split_once('?').map_or("", |(_, query)| query));
        }
        for bad in ["https://a.example/p?a b", "https://a.example/p?a\r\nb", "http://["] {
            assert!(SecretUrl::parse(bad).is_none(), "{bad}");
        }
    }
}
