//! Where a request for the package went, and the secrets that the hosts on the way were sent.

use zeroize::Zeroizing;

use crate::text::redact;
use crate::text::secret_url::SecretUrl;

/// The host that answers, and what it may repeat: the query of the link, and of the redirects that were followed.
#[derive(Default)]
pub(super) struct Place {
    /// The host, for messages.
    pub host: String,
    secrets: Vec<Zeroizing<String>>,
}

impl Place {
    /// The request goes to this address. Real links have ten parts.
    pub(super) fn enter(&mut self, link: &SecretUrl) {
        let query = link.query();
        self.secrets.push(Zeroizing::new(query.to_owned()));
        // A host may repeat a part of it alone.
        for part in query.split('&').take(64) {
            let value = part.split_once('=').map_or(part, |(_, value)| value);
            self.secrets.push(Zeroizing::new(value.to_owned()));
        }
        self.host = redact::visible(&self.masked(link.host()), 255);
    }

    /// A text of the host without these secrets.
    pub(super) fn masked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        self.mask(&mut text);
        text
    }

    pub(super) fn mask(&self, text: &mut String) {
        redact::mask(text, &self.secrets());
    }

    pub(super) fn secrets(&self) -> Vec<&str> {
        self.secrets.iter().map(|secret| secret.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_on_the_way_is_masked() {
        let mut place = Place::default();
        for link in [
            "https://a.example/p.zip?token=first%2fpart%3D;x&se=2026",
            "https://second-query.b.example/p.zip?second-query",
        ] {
            place.enter(&SecretUrl::parse(link).unwrap());
        }
        assert_eq!(place.host, "***.b.example");
        let said =
            "token=first%2fpart%3D;x&se=2026, first/part=;x, &quot;second-query&quot;, se=2026";
        assert_eq!(place.masked(said), "***, ***, &quot;***&quot;, se=2026");
    }
}
