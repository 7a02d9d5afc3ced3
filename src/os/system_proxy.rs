//! The proxies that the system names for a host, where it has a setting for them.

/// What the system names for one address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Proxies in the system's form; `None`: reach the host directly.
    pub proxies: Option<String>,
    /// Hosts to reach directly, in the system's form.
    pub except: Option<String>,
    /// Whether the network named the proxies (WPAD), which anybody there may pretend to.
    pub is_detected: bool,
    /// Why part of the setting could not be used.
    pub problem: Option<String>,
}

/// Asks for the proxies of a URL. It may wait for a script, and cannot be interrupted.
pub(crate) type Find = fn(url: &str) -> Found;

/// `None`: the system has no setting.
pub(crate) const FIND: Option<Find> = {
    #[cfg(windows)]
    {
        Some(super::winhttp::find)
    }
    #[cfg(not(windows))]
    {
        None
    }
};
