use std::collections::BTreeMap;
use std::fmt;

use mde_simulator::{LoggedRequest, Simulator};
use serde_json::Value;

/// Replies by group, kind and HTTP status.
type Replies = BTreeMap<(String, String, u16), i64>;

/// What the simulator has seen.
#[derive(Default)]
pub struct Accounts {
    replies: Replies,
    /// Requests that never got a reply: connections that were closed on purpose, and calls that were stopped.
    without_reply: BTreeMap<String, i64>,
    /// How many actions have each comment.
    collections: BTreeMap<String, i64>,
    refused_by_quota: Vec<String>,
    requests: i64,
}

/// The group that a user agent names.
fn group(request: &LoggedRequest) -> &str {
    let agent = request.headers.iter().find(|(name, _)| name == "user-agent");
    let agent = agent.and_then(|(_, value)| value.strip_prefix("soak-"));
    agent.and_then(|text| text.split(' ').next()).unwrap_or("unknown")
}

/// The kind of a request by its path alone, since a scripted reply has no other.
fn kind(path: &str) -> &'static str {
    let parts: Vec<_> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        [_, "oauth2", "v2.0", "token"] => "token",
        ["safedownload", _] => "download",
        ["api", "machineactions"] => "list",
        ["api", "machineactions", _] => "read",
        ["api", "machineactions", _, "cancel"] => "cancel",
        ["api", "machineactions", _, "getPackageUri"] => "link",
        ["api", "machines", _, "collectInvestigationPackage"] => "collect",
        ["api", "machines", ..] => "machines",
        _ => "other",
    }
}

impl Accounts {
    /// Takes what has ended from the simulator, which forgets it.
    pub fn take(&mut self, sim: &Simulator) {
        self.add(&sim.take_requests());
        self.add_actions(&sim.take_actions(1_000));
    }

    /// Takes all that is left.
    pub fn close(&mut self, sim: &Simulator) {
        self.take(sim);
        self.add(&sim.requests());
        self.add_actions(&sim.actions());
    }

    fn add(&mut self, requests: &[LoggedRequest]) {
        for request in requests {
            self.requests += 1;
            let (group, kind) = (group(request).to_owned(), kind(&request.path).to_owned());
            if request.refused_by_quota {
                self.refused_by_quota.push(format!("{group} {kind} at {} ms", request.at_ms));
            }
            match request.status {
                0 => *self.without_reply.entry(kind).or_default() += 1,
                status => *self.replies.entry((group, kind, status)).or_default() += 1,
            }
        }
    }

    fn add_actions(&mut self, actions: &[Value]) {
        for action in actions {
            let comment = action["requestorComment"].as_str().unwrap().to_owned();
            *self.collections.entry(comment).or_default() += 1;
        }
    }

    /// All that differs from what the program has printed.
    pub fn differences(&self, printed: &str) -> Vec<String> {
        let reported = Reported::read(printed);
        let mut found = Vec::new();
        let keys = self.replies.keys().chain(reported.replies.keys());
        let keys: std::collections::BTreeSet<_> = keys.collect();
        let mut missing = 0;
        for key in keys {
            let (group, kind, status) = key;
            let of = |replies: &Replies| replies.get(key).copied().unwrap_or_default();
            let (sent, seen) = (of(&self.replies), of(&reported.replies));
            let text = format!("reply {group} {kind} {status}: {sent} sent, {seen} reported");
            match group.as_str() {
                // Its log has no line for each reply.
                "checks" if seen <= sent => {}
                "stopped" if seen <= sent => missing += sent - seen,
                "steady" if seen == sent => {}
                _ => found.push(text),
            }
        }
        // A call that is stopped has left a request behind at most.
        if missing > reported.stops {
            found
                .push(format!("stopped: {missing} replies not reported, {} stops", reported.stops));
        }
        let asked = reported.asked;
        let all: i64 = self.collections.values().sum();
        let twice: Vec<_> = self.collections.iter().filter(|(_, count)| **count > 1).collect();
        if all > asked || !twice.is_empty() {
            found.push(format!("collections: {asked} asked for, {all} made, twice: {twice:?}"));
        }
        if !self.refused_by_quota.is_empty() {
            found.push(format!("refused by the quota: {:?}", self.refused_by_quota));
        }
        found.extend(reported.wrong);
        found
    }
}

impl fmt::Display for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} requests, without a reply: {:?}", self.requests, self.without_reply)?;
        let mut kinds: BTreeMap<&str, i64> = BTreeMap::new();
        for ((_, kind, _), count) in &self.replies {
            *kinds.entry(kind).or_default() += count;
        }
        let collections: i64 = self.collections.values().sum();
        writeln!(f, "replies: {kinds:?}, collections: {collections}")
    }
}

/// What the library has reported, as the program counted it.
#[derive(Default)]
struct Reported {
    replies: Replies,
    stops: i64,
    asked: i64,
    wrong: Vec<String>,
}

/// How a call may end while the weather is bad: not by a defect of the library, or a wrong argument. Tokens are revoked
/// under calls, actions end while they are cancelled, and downloads break off.
const ENDS: [&str; 18] = [
    "ok",
    "unauthorized",
    "forbidden",
    "bad_request",
    "broken",
    "cancelled",
    "deadline",
    "not_found",
    "service",
    "connect",
    "integrity",
    "incomplete",
    "action_failed",
    "action_cancelled",
    "outcome_unknown",
    "rate_limited",
    "throttled",
    "already_running",
];

impl Reported {
    fn read(printed: &str) -> Reported {
        let mut read = Reported::default();
        let mut ends = 0;
        for line in printed.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            match words.as_slice() {
                ["reply", group, kind, status, count] => {
                    let key = ((*group).to_owned(), (*kind).to_owned(), status.parse().unwrap());
                    read.replies.insert(key, count.parse().unwrap());
                }
                ["call", _, end, _] => {
                    ends += 1;
                    if !ENDS.contains(end) {
                        read.wrong.push(line.to_owned());
                    }
                }
                ["stops", count] => read.stops = count.parse().unwrap(),
                ["asked", count] => read.asked = count.parse().unwrap(),
                ["wrong", "0"] => {}
                ["wrong", ..] => {
                    let shown = printed.split("\nwrong ").nth(1).unwrap();
                    read.wrong.push(format!("wrong: {shown}"));
                }
                _ => {}
            }
        }
        assert!(ends > 0 && !read.replies.is_empty(), "{printed}");
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "reply steady read 200 7\nreply stopped collect 201 4\ncall get ok 7\nstops 1\nasked 5\nwrong 0\n";

    fn accounts(reads: i64, collects: i64, comments: &[&str]) -> Accounts {
        let key = |group: &str, kind: &str, status| (group.to_owned(), kind.to_owned(), status);
        let replies =
            [(key("steady", "read", 200), reads), (key("stopped", "collect", 201), collects)];
        let mut accounts = Accounts { replies: replies.into(), ..Accounts::default() };
        for comment in comments {
            *accounts.collections.entry((*comment).to_owned()).or_default() += 1;
        }
        accounts
    }

    #[test]
    fn what_is_the_same_has_no_difference() {
        for collects in [4, 5] {
            let found = accounts(7, collects, &["a", "b"]).differences(PRINTED);
            assert_eq!(found, [] as [String; 0]);
        }
    }

    #[test]
    fn each_difference_is_found() {
        let all = ["a", "b", "c", "d", "e", "f"];
        let mut refused = accounts(7, 4, &[]);
        refused.refused_by_quota.push("steady read at 5 ms".to_owned());
        for (accounts, begin) in [
            (accounts(8, 4, &[]), "reply steady read 200: 8 sent, 7 reported"),
            (accounts(6, 4, &[]), "reply steady read 200: 6 sent, 7 reported"),
            (accounts(7, 3, &[]), "reply stopped collect 201: 3 sent, 4 reported"),
            (accounts(7, 6, &[]), "stopped: 2 replies not reported, 1 stops"),
            (accounts(7, 4, &["a", "a"]), "collections: 5 asked for, 2 made, twice"),
            (accounts(7, 4, &all), "collections: 5 asked for, 6 made, twice"),
            (refused, "refused by the quota"),
        ] {
            let found = accounts.differences(PRINTED);
            assert!(found.len() == 1 && found[0].starts_with(begin), "{begin}: {found:?}");
        }
        let fine = accounts(7, 4, &[]);
        let found = fine.differences(&PRINTED.replace("get ok", "get internal"));
        assert_eq!(found, ["call get internal 7"]);
        let found = fine.differences(&PRINTED.replace("wrong 0\n", "wrong 1\n  a forked child\n"));
        assert_eq!(found, ["wrong: 1\n  a forked child\n"]);
    }
}
