//! The six quotas of the service, and what spends each. [`endpoint`](super::endpoint) names the quota of each request.

/// A quota of the service. Each has its own budget in the limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quota {
    /// Starting a collection: `mde_collect_package`, `mde_fetch_package`.
    Collect,
    /// Reading one action, a poll for one, and the check before a link or a cancellation: `mde_get_action`,
    /// `mde_wait_action`, `mde_cancel_action`, `mde_get_package_uri`, `mde_download_package`, `mde_fetch_package`.
    Read,
    /// Lists of actions, a poll for many, and the search for a collection whose reply was lost: `mde_list_actions`,
    /// `mde_wait_action`, `mde_collect_package`, `mde_fetch_package`.
    List,
    /// Cancelling an action: `mde_cancel_action`.
    Cancel,
    /// The link to a package: `mde_get_package_uri`, `mde_download_package`, `mde_fetch_package`.
    Link,
    /// Finding devices: `mde_find_machines`, and `mde_collect_package`, `mde_fetch_package` where they look for one;
    /// and the one device that `mde_check_access` reads.
    Machines,
}

impl Quota {
    pub(crate) const COUNT: usize = 6;
    pub(crate) const ALL: [Quota; Quota::COUNT] =
        [Quota::Collect, Quota::Read, Quota::List, Quota::Cancel, Quota::Link, Quota::Machines];

    /// The name in option `quota_limits` and in quota documents.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Quota::Collect => "collect",
            Quota::Read => "read",
            Quota::List => "list",
            Quota::Cancel => "cancel",
            Quota::Link => "link",
            Quota::Machines => "machines",
        }
    }

    /// The application permissions. Any one of them suffices, by the page of each API. The first is the least.
    pub(crate) const fn permissions(self) -> &'static [&'static str] {
        match self {
            Quota::Collect => &["Machine.CollectForensics"],
            Quota::Cancel => CANCEL,
            Quota::Read | Quota::List | Quota::Link | Quota::Machines => {
                &["Machine.Read.All", "Machine.ReadWrite.All"]
            }
        }
    }

    /// The delegated permissions, which a user's token has as scopes. Any one of them suffices.
    pub(crate) const fn scopes(self) -> &'static [&'static str] {
        match self {
            Quota::Collect | Quota::Link => &["Machine.CollectForensics"],
            Quota::Cancel => CANCEL,
            Quota::Read | Quota::List | Quota::Machines => &["Machine.Read", "Machine.ReadWrite"],
        }
    }

    /// Its index in [`Quota::ALL`].
    pub(crate) const fn number(self) -> usize {
        match self {
            Quota::Collect => 0,
            Quota::Read => 1,
            Quota::List => 2,
            Quota::Cancel => 3,
            Quota::Link => 4,
            Quota::Machines => 5,
        }
    }

    /// The documented limits: calls in a minute, calls in an hour.
    pub(crate) const fn documented(self) -> (u32, u32) {
        match self {
            // "Get package SAS URI API": 2 calls per minute and 120 calls per hour.
            Quota::Link => (2, 120),
            _ => (100, 1_500),
        }
    }
}

/// Of a user and of an application alike. Source: "Cancel machine action API".
const CANCEL: &[&str] = &[
    "Machine.CollectForensics",
    "Machine.Isolate",
    "Machine.RestrictExecution",
    "Machine.Scan",
    "Machine.Offboard",
    "Machine.StopAndQuarantine",
    "Machine.LiveResponse",
];

/// One `T` for each quota.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PerQuota<T>([T; Quota::COUNT]);

impl<T> PerQuota<T> {
    pub(crate) fn from_fn(make: impl FnMut(Quota) -> T) -> PerQuota<T> {
        PerQuota(Quota::ALL.map(make))
    }

    pub(crate) fn of(&self, quota: Quota) -> &T {
        let [collect, read, list, cancel, link, machines] = &self.0;
        match quota {
            Quota::Collect => collect,
            Quota::Read => read,
            Quota::List => list,
            Quota::Cancel => cancel,
            Quota::Link => link,
            Quota::Machines => machines,
        }
    }

    pub(crate) fn of_mut(&mut self, quota: Quota) -> &mut T {
        let [collect, read, list, cancel, link, machines] = &mut self.0;
        match quota {
            Quota::Collect => collect,
            Quota::Read => read,
            Quota::List => list,
            Quota::Cancel => cancel,
            Quota::Link => link,
            Quota::Machines => machines,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }
}
