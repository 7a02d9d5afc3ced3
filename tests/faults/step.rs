//! The steps of the library's work: what a fault is played at, and which function is called to get there.

/// A step, in the order in which a fetch takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Lookup,
    Connect,
    Tls,
    Proxy,
    Token,
    Collect,
    List,
    Read,
    Cancel,
    Link,
    Download,
    Verify,
    Rename,
    Journal,
}

impl Step {
    pub const ALL: [Step; 14] = [
        Step::Lookup,
        Step::Connect,
        Step::Tls,
        Step::Proxy,
        Step::Token,
        Step::Collect,
        Step::List,
        Step::Read,
        Step::Cancel,
        Step::Link,
        Step::Download,
        Step::Verify,
        Step::Rename,
        Step::Journal,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Step::Lookup => "lookup",
            Step::Connect => "connect",
            Step::Tls => "TLS",
            Step::Proxy => "proxy",
            Step::Token => "token",
            Step::Collect => "collect",
            Step::List => "list",
            Step::Read => "read",
            Step::Cancel => "cancel",
            Step::Link => "link",
            Step::Download => "download",
            Step::Verify => "verify",
            Step::Rename => "rename",
            Step::Journal => "journal",
        }
    }

    /// What the step is, and the function that a cell calls.
    pub fn about(self) -> (&'static str, &'static str) {
        match self {
            Step::Lookup => ("the address of a host is looked up", "mde_get_action"),
            Step::Connect => ("a connection is opened", "mde_get_action"),
            Step::Tls => ("the TLS handshake", "mde_get_action"),
            Step::Proxy => ("a proxy is asked for a tunnel", "mde_get_action"),
            Step::Token => ("the sign-in service is asked for a token", "mde_get_action"),
            Step::Collect => ("a collection is asked for", "mde_collect_package"),
            Step::List => ("actions are listed", "mde_list_actions"),
            Step::Read => ("an action is read", "mde_get_action"),
            Step::Cancel => ("an action is cancelled", "mde_cancel_action"),
            Step::Link => ("the link to a package is asked for", "mde_get_package_uri"),
            Step::Download => ("a package is downloaded", "mde_download_package"),
            Step::Verify => ("a package is checked", "mde_download_package"),
            Step::Rename => ("a checked package gets its name", "mde_download_package"),
            Step::Journal => ("the state file of a fetch is read or written", "mde_fetch_package"),
        }
    }
}
