//! The hosts that a package link may lead to.
//!
//! Sources: "Get package SAS URI API" and "Supported Microsoft Defender for Endpoint APIs" (the service's own
//! hosts), "Microsoft Defender for Endpoint for US Government customers", and "Azure storage account endpoints"
//! (where other results of the service lie).

use ureq::http::Uri;

use crate::text::url::{BaseUrl, is_loopback};

/// What is accepted, for messages.
pub(crate) const ACCEPTED: &str =
    "host names or addresses, separated by commas, without scheme or port; * for any";

/// The default, in the form of the option.
pub(crate) const DEFAULT: &str = "security.microsoft.com, securitycenter.microsoft.com, \
     securitycenter.windows.com, security.microsoft.us, securitycenter.microsoft.us, \
     blob.core.windows.net, blob.storage.azure.net, blob.core.usgovcloudapi.net";

/// Host names, each with all names below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    /// Parses a list. The error completes "option `download_hosts` …".
    pub(crate) fn parse(text: &str) -> Result<Hosts, String> {
        let mut names = Vec::new();
        for name in text.split(',').map(str::trim) {
            let bare = name.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
            let part_of_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.[]:".contains(&b);
            let is_address = bare.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
            let fits = !bare.is_empty() && bare.bytes().all(part_of_name);
            match name == "*" || (fits && (is_address || !bare.contains([':', '[', ']']))) {
                true => names.push(bare.trim_matches(['[', ']']).to_ascii_lowercase()),
                false => return Err("has an entry that is no host name".to_owned()),
            }
        }
        Ok(Hosts(names))
    }

    /// Adds the host of the API, which may be a gateway.
    pub(crate) fn and(mut self, api: &BaseUrl) -> Hosts {
        if let Some(host) = api.as_str().parse::<Uri>().ok().as_ref().and_then(Uri::host) {
            self.0.push(bare(host));
        }
        self
    }

    fn covers(&self, host: &str) -> bool {
        let host = bare(host);
        self.0.iter().any(|name| {
            let below = || host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
            name == "*" || host == *name || (name.parse::<std::net::IpAddr>().is_err() && below())
        })
    }

    /// Checks whether a package may be downloaded from this URL. The error completes "the link …".
    pub(crate) fn check(&self, uri: &Uri) -> Result<(), String> {
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("has no scheme or no host".to_owned());
        };
        let host = authority.host();
        // A login would be sent to the host.
        if authority.as_str().contains('@') {
            return Err("has a login".to_owned());
        }
        if authority.as_str() != host && authority.port_u16().is_none_or(|port| port == 0) {
            return Err("has an unusable port".to_owned());
        }
        if !(scheme == "https" || scheme == "http" && is_loopback(host)) {
            return Err("is not https".to_owned());
        }
        match self.covers(host) {
            true => Ok(()),
            false => Err(format!(
                "leads to `{}`, which is not among `download_hosts`; add it there if it is to be trusted",
                crate::text::redact::clean(host, 255)
            )),
        }
    }
}

/// A host in a form for comparison.
fn bare(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(hosts: &Hosts, link: &str) -> bool {
        hosts.check(&link.parse().unwrap()).is_ok()
    }

    #[test]
    fn the_service_and_its_storage_are_allowed_by_default() {
        let hosts = Hosts::parse(DEFAULT).unwrap();
        for link in [
            "https://userrequests-us.securitycenter.windows.com:443/safedownload/x.zip?token=a",
            "https://api.security.microsoft.com:443/x?token=a",
            "https://api-gov.securitycenter.microsoft.us/x",
            "https://acc0unt.blob.core.windows.net/c/b?sig=x",
            "https://ACC.z12.Blob.Storage.Azure.Net./c/b",
        ] {
            assert!(allowed(&hosts, link), "{link}");
        }
        for link in [
            "https://evil.example/x",
            "https://securitycenter.windows.com.evil.example/x",
            "https://evilsecuritycenter.windows.com/x",
            "http://api.security.microsoft.com/x",
            "https://user@api.security.microsoft.com/x",
            "https://user:pass@api.security.microsoft.com/x",
            "https://api.security.microsoft.com:0/x",
            "https://169.254.169.254/metadata",
            "http://127.0.0.1/x",
            "/relative",
        ] {
            assert!(!allowed(&hosts, link), "{link}");
        }
    }

    #[test]
    fn lists_are_parsed_leniently_but_mistakes_are_refused() {
        let hosts = Hosts::parse("*.a.example, .b.example ,C.example., 127.0.0.1,[::1]").unwrap();
        for link in [
            "https://a.example/",
            "https://x.y.b.example/",
            "https://c.example:8443/",
            "http://127.0.0.1:1/",
            "http://[::1]:1/",
        ] {
            assert!(allowed(&hosts, link), "{link}");
        }
        assert!(!allowed(&hosts, "https://x.127.0.0.1/"));
        assert!(!allowed(&hosts, "https://d.example/"));
        assert!(allowed(&Hosts::parse("*").unwrap(), "https://anything.example/"));
        for bad in ["", "a,,b", "https://a.example", "a.example:443", "a b", "a/b", "**"] {
            assert!(Hosts::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_host_of_the_api_is_always_allowed() {
        let hosts = |api: &str| Hosts::parse(DEFAULT).unwrap().and(&BaseUrl::parse(api).unwrap());
        assert!(allowed(&hosts("http://127.0.0.1:8080/gw"), "http://127.0.0.1:9090/x"));
        assert!(!allowed(&hosts("http://127.0.0.1:8080/gw"), "http://127.0.0.2:9090/x"));
        assert!(allowed(&hosts("https://gw.example/mde"), "https://gw.example/x?y"));
        assert!(!allowed(&hosts("https://gw.example/mde"), "https://example/x?y"));
    }
}
