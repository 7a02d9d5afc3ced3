//! The operations of the service that this library calls: method, path, body, and the quota that each spends.
//!
//! Sources: "Collect investigation package API", "Get machineAction API", "List machineActions API",
//! "Get machine by ID API", "Get package SAS URI API", "Cancel machine action API", "List machines API", "Find
//! devices by internal IP API".

use serde::Serialize;

use super::quota::Quota;
use crate::http::method::Method;
use crate::text::escape::escape;
use crate::text::json;

/// One request to the API, before it has a host or a token.
#[derive(Debug)]
pub(crate) struct Request {
    pub method: Method,
    /// Path and query, beginning with `/api/`.
    pub target: String,
    /// JSON, for POST.
    pub body: Option<String>,
    pub quota: Quota,
    /// Larger replies are refused: the service does not send them.
    pub max_reply: usize,
    /// The operation, for messages: "collect an investigation package".
    pub purpose: &'static str,
}

impl Request {
    /// Whether sending it twice has the effect of sending it once. An action can be cancelled only once.
    pub(crate) fn repeatable(&self) -> bool {
        self.method == Method::Get || self.quota == Quota::Cancel
    }
}

/// The most actions that the service sends on one page.
pub(crate) const PAGE: usize = 10_000;

const ONE_RECORD: usize = 1 << 20;
/// A full page of actions has about 10 MB. Live response actions include their commands and are larger.
pub(crate) const ONE_PAGE: usize = 28_000_000;

/// A path with an escaped id between `before` and `after`.
fn path(before: &str, id: &str, after: &str) -> String {
    [before, &escape(id), after].concat()
}

fn comment_document(comment: &str) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        // Member names are case-sensitive for the service: `comment` is refused.
        #[serde(rename = "Comment")]
        comment: &'a str,
    }
    json::text(&Document { comment })
}

/// `POST /api/machines/{id}/collectInvestigationPackage`
pub(crate) fn collect(machine_id: &str, comment: &str) -> Request {
    Request {
        method: Method::Post,
        target: path("/api/machines/", machine_id, "/collectInvestigationPackage"),
        body: Some(comment_document(comment)),
        quota: Quota::Collect,
        max_reply: ONE_RECORD,
        purpose: "collect an investigation package",
    }
}

/// `GET /api/machineactions/{id}`
pub(crate) fn action(action_id: &str) -> Request {
    get(
        path("/api/machineactions/", action_id, ""),
        Quota::Read,
        ONE_RECORD,
        "read a machine action",
    )
}

/// `GET /api/machineactions`, newest first, optionally filtered and limited.
pub(crate) fn actions(filter: &str, top: Option<usize>, skip: usize) -> Request {
    let mut target = String::from("/api/machineactions?$orderby=creationDateTimeUtc%20desc");
    if !filter.is_empty() {
        target.push_str("&$filter=");
        target.push_str(&escape(filter));
    }
    if let Some(top) = top {
        target.push_str(&format!("&$top={top}"));
    }
    if skip > 0 {
        target.push_str(&format!("&$skip={skip}"));
    }
    get(target, Quota::List, ONE_PAGE, "list machine actions")
}

/// A further page, at the target of the service's `@odata.nextLink`.
pub(crate) fn actions_at(target: String) -> Request {
    get(target, Quota::List, ONE_PAGE, "list machine actions")
}

/// `GET /api/machineactions/{id}/getPackageUri`
pub(crate) fn package_uri(action_id: &str) -> Request {
    get(
        path("/api/machineactions/", action_id, "/getPackageUri"),
        Quota::Link,
        ONE_RECORD,
        "get the link to the package",
    )
}

/// `GET /api/machines/{id}`, where id may also be a computer name.
pub(crate) fn machine(id_or_name: &str) -> Request {
    get(path("/api/machines/", id_or_name, ""), Quota::Machines, ONE_RECORD, "look up the device")
}

/// `POST /api/machineactions/{id}/cancel`
pub(crate) fn cancel(action_id: &str, comment: &str) -> Request {
    Request {
        method: Method::Post,
        target: path("/api/machineactions/", action_id, "/cancel"),
        body: Some(comment_document(comment)),
        quota: Quota::Cancel,
        max_reply: ONE_RECORD,
        purpose: "cancel a machine action",
    }
}

/// `GET /api/machines`, filtered and limited.
pub(crate) fn machines(filter: &str, top: usize) -> Request {
    let target = format!("/api/machines?$filter={}&$top={top}", escape(filter));
    get(target, Quota::Machines, ONE_PAGE, "find devices")
}

/// `GET /api/machines`, filtered, by id, from one row on. The service sends at most `top` devices, and no link to a next
/// page.
pub(crate) fn machines_page(filter: &str, top: usize, skip: usize) -> Request {
    let mut target = format!("/api/machines?$orderby=id&$top={top}");
    if !filter.is_empty() {
        target.push_str("&$filter=");
        target.push_str(&escape(filter));
    }
    if skip > 0 {
        target.push_str(&format!("&$skip={skip}"));
    }
    get(target, Quota::Machines, ONE_PAGE, "find devices")
}

/// `GET /api/machines`, one device of any kind. It shows whether the service answers.
pub(crate) fn any_machine() -> Request {
    get("/api/machines?$top=1".to_owned(), Quota::Machines, ONE_RECORD, "read one device")
}

/// `GET /api/machines/findbyip(ip='…',timestamp=…)`. The caller has checked both values.
pub(crate) fn machines_by_ip(ip: &str, timestamp: &str) -> Request {
    let target =
        format!("/api/machines/findbyip(ip='{}',timestamp={})", escape(ip), escape(timestamp));
    get(target, Quota::Machines, ONE_PAGE, "find devices by IP address")
}

fn get(target: String, quota: Quota, max_reply: usize, purpose: &'static str) -> Request {
    Request { method: Method::Get, target, body: None, quota, max_reply, purpose }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_within_its_path_segment() {
        let request = collect("a/../b?c#d\r\n", "x");
        assert_eq!(
            request.target,
            "/api/machines/a%2F..%2Fb%3Fc%23d%0D%0A/collectInvestigationPackage"
        );
    }

    #[test]
    fn the_comment_is_a_json_string() {
        let request = collect("m", "say \"hi\"\n\u{1F980}");
        assert_eq!(request.body.unwrap(), "{\"Comment\":\"say \\\"hi\\\"\\n\u{1F980}\"}");
    }

    #[test]
    fn filters_are_escaped() {
        assert_eq!(
            actions("machineId eq 'a&b'", Some(1), 0).target,
            "/api/machineactions?$orderby=creationDateTimeUtc%20desc\
             &$filter=machineId%20eq%20%27a%26b%27&$top=1"
        );
        assert_eq!(
            machines_page("a eq 'b'", 5, 10).target,
            "/api/machines?$orderby=id&$top=5&$filter=a%20eq%20%27b%27&$skip=10"
        );
        assert_eq!(machines_page("", 5, 0).target, "/api/machines?$orderby=id&$top=5");
    }
}
