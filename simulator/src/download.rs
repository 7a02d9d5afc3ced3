//! The host that the links lead to. No reply of the real host but the package is on record. Ranges and
//! errors follow Azure Blob Storage, where the service keeps other results.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/specifying-the-range-header-for-blob-service-operations>

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName};
use hyper::{Method, StatusCode, header};
use jiff::{SignedDuration, Timestamp};

use crate::clock::{http_date, stamp};
use crate::config::Behaviour;
use crate::ids;
use crate::package::{Device, Order, Package};
use crate::reply::{Download, Reply};
use crate::routes::Asked;
use crate::state::{State, World};

/// Name of the file in every link.
pub const FILE: &str = "WDATP_Investigation_Package.zip";

/// Answers `GET /safedownload/WDATP_Investigation_Package.zip?token=…`.
pub fn answer(state: &State, asked: &Asked) -> Reply {
    let (query, headers) = (&asked.query, &asked.headers);
    if headers.contains_key(header::AUTHORIZATION) {
        // The link is the authorization. This host must not receive a token of the API.
        return refused(
            StatusCode::BAD_REQUEST,
            "InvalidAuthenticationInfo",
            "Authentication information is not given in the correct format. Check the value of \
             Authorization header.",
            "",
        );
    }
    let mut world = state.world();
    let World { actions, behaviour, packages, links, .. } = &mut *world;
    let denied = |detail: &str| match behaviour.empty_when_expired {
        true => Reply::sized(StatusCode::OK, "application/zip", Bytes::new()),
        false => denied(detail),
    };
    let token = query.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default();
    let Some(link) = links.find(token) else {
        return denied("Signature did not match.");
    };
    if link.is_expired(state.clock.now()) {
        let life = SignedDuration::try_from(state.clock.real(link.lifetime));
        let expiry = life.ok().and_then(|life| link.issued_at.checked_add(life).ok());
        return denied(&format!(
            "Signature not valid in the specified key time frame: Key start [{}] - Key expiry \
             [{}] - Current [{}]",
            http_date(link.issued_at),
            http_date(expiry.unwrap_or(link.issued_at)),
            http_date(Timestamp::now())
        ));
    }
    if behaviour.link_uses > 0 && link.uses >= behaviour.link_uses {
        return denied("Signature was used before.");
    }
    let Some(action) = actions.find(&link.action) else {
        return denied("Signature did not match.");
    };
    let machine = state.machines.by_id(action.machine_id(), 0);
    let platform = machine.map(|machine| machine.platform());
    let order = Order {
        action: action.id().to_owned(),
        device: Device::new(
            platform.unwrap_or_default(),
            action.machine_id(),
            action.machine_name(),
        ),
        filler: behaviour.package_bytes,
        edition: behaviour.package_edition,
        fault: behaviour.package_fault,
    };
    let reply = match packages.of(&order) {
        Ok(package) => serve(package, headers, behaviour),
        Err(why) => refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            &format!("The package could not be built: {why}"),
            "",
        ),
    };
    if reply.status.is_success() && asked.method == Method::GET {
        link.uses = link.uses.saturating_add(1);
    }
    reply
}

fn denied(detail: &str) -> Reply {
    refused(
        StatusCode::FORBIDDEN,
        "AuthenticationFailed",
        "Server failed to authenticate the request. Make sure the value of Authorization header \
         is formed correctly including the signature.",
        detail,
    )
}

fn refused(status: StatusCode, code: &str, message: &str, detail: &str) -> Reply {
    let (request, time) = (ids::guid(), stamp(Timestamp::now()));
    let detail = if detail.is_empty() {
        String::new()
    } else {
        format!("<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>")
    };
    let body = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>\
         {message}\nRequestId:{request}\nTime:{time}</Message>{detail}</Error>"
    );
    Reply::sized(status, "application/xml", body)
        .with("x-ms-error-code", code)
        .with("x-ms-request-id", &request)
}

/// The whole package or the requested part of it.
fn serve(package: Arc<Package>, headers: &HeaderMap, behaviour: &Behaviour) -> Reply {
    let (size, tag, ranges) = (package.len(), package.tag().to_owned(), behaviour.ranges);
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let names_it = |value: &str| value == "*" || value.split(',').any(|t| t.trim() == tag);
    if text(header::IF_MATCH).is_some_and(|value| !names_it(value)) {
        return refused(
            StatusCode::PRECONDITION_FAILED,
            "ConditionNotMet",
            "The condition specified using HTTP conditional header(s) is not met.",
            "",
        );
    }
    let sent = |status: StatusCode, first: u64, bytes: u64| {
        let reply = Reply {
            chunked: behaviour.chunked_downloads,
            download: Some(Download {
                package: Arc::clone(&package),
                first,
                bytes,
                cut_after: Some(behaviour.cut_downloads_after).filter(|bytes| *bytes > 0),
                rate: Some(behaviour.download_rate).filter(|rate| *rate > 0),
            }),
            ..Reply::sized(status, package.content_type, Bytes::new())
        };
        let reply = reply
            .with("etag", &tag)
            .with("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            .with("content-disposition", &format!("attachment; filename={FILE}"));
        if ranges { reply.with("accept-ranges", "bytes") } else { reply }
    };
    let same = text(header::IF_RANGE).is_none_or(|value| value.trim() == tag);
    let range = text(header::RANGE).filter(|_| ranges && same);
    match range.map_or(Range::Whole, |range| Range::parse(range, size)) {
        Range::Whole => sent(StatusCode::OK, 0, size),
        Range::Part { first, last } => sent(StatusCode::PARTIAL_CONTENT, first, last + 1 - first)
            .with("content-range", &format!("bytes {first}-{last}/{size}")),
        Range::Outside => refused(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "InvalidRange",
            "The range specified is invalid for the current size of the resource.",
            "",
        )
        .with("content-range", &format!("bytes */{size}")),
    }
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// The header is not a single range of bytes, so it is ignored.
    Whole,
    /// The positions of the first and the last byte.
    Part { first: u64, last: u64 },
    /// The range is outside of the package.
    Outside,
}

impl Range {
    fn parse(header: &str, size: u64) -> Range {
        Range::bounds(header, size).map_or(Range::Whole, |(first, last)| {
            if first <= last && first < size {
                Range::Part { first, last: last.min(size - 1) }
            } else {
                Range::Outside
            }
        })
    }

    /// The first and the last position as the header gives them; `None` if it is not a single range.
    fn bounds(header: &str, size: u64) -> Option<(u64, u64)> {
        let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
        let (first, last) = (first.trim(), last.trim());
        if first.is_empty() {
            let length: u64 = last.parse().ok()?;
            return Some((size - length.min(size), u64::MAX));
        }
        let first: u64 = first.parse().ok()?;
        let last = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
        (first <= last).then_some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let part = |first, last| Range::Part { first, last };
        for (text, expected) in [
            ("bytes=0-", part(0, 99)),
            ("bytes=10-19", part(10, 19)),
            ("bytes=90-500", part(90, 99)),
            ("bytes=99-99", part(99, 99)),
            ("bytes=-5", part(95, 99)),
            ("bytes=-500", part(0, 99)),
            ("bytes=100-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=9-8", Range::Whole),
            ("bytes=0-1,5-6", Range::Whole),
            ("lines=0-1", Range::Whole),
        ] {
            assert_eq!(Range::parse(text, 100), expected, "{text}");
        }
        assert_eq!(Range::parse("bytes=0-", 0), Range::Outside);
        assert_eq!(Range::parse("bytes=-5", 0), Range::Outside);
    }
}
