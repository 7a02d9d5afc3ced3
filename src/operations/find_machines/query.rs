//! The query of a search for devices. Its form shows what it is.

use std::net::IpAddr;
use std::time::SystemTime;

use super::selection::Selection;
use crate::error::{Error, Result};
use crate::service::machine::is_device_id;
use crate::text::guid::is_guid;

/// The longest query, as long as the filter of a list may be.
const LONGEST: usize = 8_192;

/// The devices to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Query<'a> {
    /// The service's own id, 40 hexadecimal digits.
    DeviceId(&'a str),
    /// The id in Entra, a GUID.
    EntraId(&'a str),
    /// An address, and when it was in use.
    Address(IpAddr, Option<SystemTime>),
    /// A DNS name or its beginning.
    Name(&'a str),
    /// Conditions, all of which hold for the devices.
    Selection(Selection<'a>),
}

impl Query<'_> {
    /// Reads a query.
    pub(crate) fn parse(text: &str) -> Result<Query<'_>> {
        let refused = |problem: &str| {
            Err(Error::argument(
                "query",
                problem,
                "a device id (40 hexadecimal digits), an Entra device id (a GUID), an IP address, optionally \
                 with the time when it was in use (10.0.0.5@2026-01-24T22:17:02Z), a DNS name of up to 255 \
                 characters or its beginning, or a selection with `tag:`, `os:`, `group:` and, at its end, \
                 `filter:`, such as `tag:DMZ and not os:Linux`, of up to 8192 bytes",
            ))
        };
        let text = text.trim();
        let (address, time) = text.split_once('@').map_or((text, None), |(a, t)| (a, Some(t)));
        if let Ok(address) = address.parse::<IpAddr>() {
            return match time.map(humantime::parse_rfc3339) {
                None => Ok(Query::Address(address, None)),
                Some(Ok(time)) => Ok(Query::Address(address, Some(time))),
                Some(Err(_)) => refused("has a time that is not ISO 8601 in UTC"),
            };
        }
        if text.len() > LONGEST || text.contains(char::is_control) {
            return refused("is too long or has control characters");
        }
        match Selection::parse(text) {
            Some(Ok(selection)) => return Ok(Query::Selection(selection)),
            Some(Err(problem)) => return refused(problem),
            None => {}
        }
        match text.len() {
            0 => refused("is empty"),
            _ if is_device_id(text) => Ok(Query::DeviceId(text)),
            _ if is_guid(text) => Ok(Query::EntraId(text)),
            // No name has a colon. As a name this would find nothing, where a selection was meant.
            _ if text.contains(':') => {
                refused("has a colon, but is neither an address nor a selection")
            }
            1..=255 => Ok(Query::Name(text)),
            _ => refused("is too long"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn the_form_of_a_query_shows_what_it_is() {
        let id = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";
        let guid = "80fe8ff8-2624-418e-9591-41f0491218f9";
        let time = humantime::parse_rfc3339("2026-01-24T22:17:02Z").unwrap();
        for (text, query) in [
            (id, Query::DeviceId(id)),
            (guid, Query::EntraId(guid)),
            ("10.0.0.5", Query::Address("10.0.0.5".parse().unwrap(), None)),
            (
                "fe80::1@2026-01-24T22:17:02Z",
                Query::Address("fe80::1".parse().unwrap(), Some(time)),
            ),
            (" device-1.contoso.example ", Query::Name("device-1.contoso.example")),
            ("o'neill", Query::Name("o'neill")),
            ("not a tag", Query::Name("not a tag")),
        ] {
            assert_eq!(Query::parse(text).unwrap(), query, "{text}");
        }
        for text in ["tag:x", " NOT Os:Linux ", "filter:a", "not  group:x"] {
            assert!(matches!(Query::parse(text), Ok(Query::Selection(_))), "{text}");
        }
        for bad in [
            "",
            "  ",
            "10.0.0.5@yesterday",
            "a\nb",
            "tag:a\tb",
            &"x".repeat(256),
            &format!("tag:{}", "x".repeat(8_192)),
            "host:x",
            "and tag:x",
            "10.0.0.300@2026-01-24T22:17:02Z",
        ] {
            let error = Query::parse(bad).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument, "{bad:?}");
            assert!(error.message().contains("`query`"), "{error}");
        }
    }
}
