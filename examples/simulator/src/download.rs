//! The host that the links lead to. What it answers beside the package is not on record; ranges and
//! errors follow Azure Blob Storage, where other results of the service lie.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/specifying-the-range-header-for-blob-service-operations>

use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName};
use hyper::{StatusCode, header};
use jiff::{SignedDuration, Timestamp};

use crate::clock::{http_date, stamp};
use crate::ids;
use crate::reply::Reply;
use crate::state::{State, World};

/// Name of the file in every link.
pub const FILE: &str = "WDATP_Investigation_Package.zip";

/// Answers `GET /safedownload/WDATP_Investigation_Package.zip?token=…`.
pub fn answer(state: &State, query: &str, headers: &HeaderMap) -> Reply {
    if headers.contains_key(header::AUTHORIZATION) {
        // The link carries its own right; a token of the API must not be shown to this host.
        return refused(
            StatusCode::BAD_REQUEST,
            "InvalidAuthenticationInfo",
            "Authentication information is not given in the correct format. Check the value of \
             Authorization header.",
            "",
        );
    }
    let mut world = state.world();
    let token = query.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default();
    let link = world.links.find(token).cloned();
    let Some(link) = link else {
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
    let World { actions, behaviour, packages, .. } = &mut *world;
    let Some(action) = actions.find(&link.action) else {
        return denied("Signature did not match.");
    };
    let name = action.machine_name();
    let package = packages.of(action.id(), action.machine_id(), name, behaviour.package_bytes);
    match package {
        Ok(bytes) => serve(&bytes, headers, behaviour.ranges),
        Err(why) => refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            &format!("The package could not be built: {why}"),
            "",
        ),
    }
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

/// The whole package or the part of it that was asked for.
fn serve(package: &Bytes, headers: &HeaderMap, ranges: bool) -> Reply {
    let tag = tag(package);
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let dressed = |reply: Reply| {
        let reply = reply
            .with("etag", &tag)
            .with("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            .with("content-disposition", &format!("attachment; filename={FILE}"));
        if ranges { reply.with("accept-ranges", "bytes") } else { reply }
    };
    let names_it = |value: &str| value == "*" || value.split(',').any(|t| t.trim() == tag);
    if text(header::IF_MATCH).is_some_and(|value| !names_it(value)) {
        return refused(
            StatusCode::PRECONDITION_FAILED,
            "ConditionNotMet",
            "The condition specified using HTTP conditional header(s) is not met.",
            "",
        );
    }
    let same = text(header::IF_RANGE).is_none_or(|value| value.trim() == tag);
    let size = package.len();
    let range = text(header::RANGE).filter(|_| ranges && same).and_then(|r| parse(r, size));
    match range {
        None => dressed(Reply::sized(StatusCode::OK, "application/zip", package.clone())),
        Some(Some((first, last))) => {
            let part = package.slice(first..last + 1);
            dressed(Reply::sized(StatusCode::PARTIAL_CONTENT, "application/zip", part))
                .with("content-range", &format!("bytes {first}-{last}/{size}"))
        }
        Some(None) => refused(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "InvalidRange",
            "The range specified is invalid for the current size of the resource.",
            "",
        )
        .with("content-range", &format!("bytes */{size}")),
    }
}

/// `None` for what is not one range of bytes, which is then ignored; `Some(None)` for one that lies
/// outside; else the first and the last position.
fn parse(range: &str, size: usize) -> Option<Option<(usize, usize)>> {
    let (first, last) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    let end = size.checked_sub(1);
    if first.is_empty() {
        let length: usize = last.parse().ok()?;
        return Some(end.filter(|_| length > 0).map(|end| (size.saturating_sub(length), end)));
    }
    let first: usize = first.parse().ok()?;
    let last = if last.is_empty() { usize::MAX } else { last.parse().ok()? };
    if last < first {
        return None;
    }
    Some(end.filter(|end| first <= *end).map(|end| (first, last.min(end))))
}

/// Changes with the content (FNV-1a).
fn tag(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("\"0x{hash:016X}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-", Some(Some((0, 99)))),
            ("bytes=10-19", Some(Some((10, 19)))),
            ("bytes=90-500", Some(Some((90, 99)))),
            ("bytes=99-99", Some(Some((99, 99)))),
            ("bytes=-5", Some(Some((95, 99)))),
            ("bytes=-500", Some(Some((0, 99)))),
            ("bytes=100-", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=9-8", None),
            ("bytes=0-1,5-6", None),
            ("lines=0-1", None),
        ] {
            assert_eq!(parse(text, 100), expected, "{text}");
        }
        assert_eq!(parse("bytes=0-", 0), Some(None));
    }
}
