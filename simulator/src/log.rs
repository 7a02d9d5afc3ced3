//! The log of requests, which tests read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

/// One request as it arrived, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedRequest {
    /// The method as sent.
    pub method: String,
    /// The path as sent, still escaped.
    pub path: String,
    /// What follows `?`, still escaped; empty if there is none.
    pub query: String,
    /// Header names in lower case, with their values, in order.
    pub headers: Vec<(String, String)>,
    /// The body; bytes that are not UTF-8 are replaced.
    pub body: String,
    /// The status that was sent; 0 while there is no reply, and when there never is one.
    pub status: u16,
    /// Arrival in real milliseconds since the simulator started.
    pub at_ms: u64,
    /// Whether a quota refused it.
    pub refused_by_quota: bool,
    /// The kind of call: the name of an [`Endpoint`](crate::Endpoint), `token`, `download` or
    /// `other`.
    pub endpoint: String,
}

#[derive(Default)]
struct Entries {
    next: u64,
    requests: BTreeMap<u64, LoggedRequest>,
    /// Those that have no end yet. If a caller leaves, there is none.
    under_way: BTreeSet<u64>,
    refusals: usize,
}

/// All requests since the start or the last clearing.
#[derive(Default)]
pub struct Log(Mutex<Entries>);

impl Log {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an arrival; the number names it later.
    pub fn arrived(&self, request: LoggedRequest) -> u64 {
        let mut entries = self.entries();
        let number = entries.next;
        entries.next += 1;
        entries.requests.insert(number, request);
        entries.under_way.insert(number);
        number
    }

    /// Records how it ended. Returns the entry unless it was cleared meanwhile.
    pub fn settled(
        &self,
        number: u64,
        status: u16,
        refused_by_quota: bool,
        endpoint: &str,
    ) -> Option<LoggedRequest> {
        let mut entries = self.entries();
        if refused_by_quota {
            entries.refusals += 1;
        }
        entries.under_way.remove(&number);
        let entry = entries.requests.get_mut(&number)?;
        entry.status = status;
        entry.refused_by_quota = refused_by_quota;
        endpoint.clone_into(&mut entry.endpoint);
        Some(entry.clone())
    }

    /// The requests in order of arrival.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.entries().requests.values().cloned().collect()
    }

    /// Removes the requests that have ended, and returns them in order of arrival.
    pub fn take_ended(&self) -> Vec<LoggedRequest> {
        let mut entries = self.entries();
        let all = std::mem::take(&mut entries.requests);
        let (left, taken): (BTreeMap<_, _>, BTreeMap<_, _>) =
            all.into_iter().partition(|(number, _)| entries.under_way.contains(number));
        entries.requests = left;
        taken.into_values().collect()
    }

    /// How many calls quotas have refused.
    pub fn refusals(&self) -> usize {
        self.entries().refusals
    }

    /// Forgets the requests and the refusals.
    pub fn clear(&self) {
        let mut entries = self.entries();
        entries.requests.clear();
        entries.under_way.clear();
        entries.refusals = 0;
    }

    /// Totals, as served by the control endpoint.
    pub fn stats(&self) -> Value {
        let entries = self.entries();
        let mut by_endpoint: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for request in entries.requests.values() {
            let totals = by_endpoint.entry(&request.endpoint).or_default();
            totals.0 += 1;
            totals.1 += usize::from(request.refused_by_quota);
        }
        let by_endpoint: serde_json::Map<String, Value> = by_endpoint
            .into_iter()
            .map(|(name, (requests, refused))| {
                (name.to_owned(), json!({"requests": requests, "refused": refused}))
            })
            .collect();
        json!({
            "requests": entries.requests.len(),
            "refusals": entries.refusals,
            "by_endpoint": by_endpoint,
        })
    }
}
