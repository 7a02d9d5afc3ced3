//! The operations of the library, one file each. `fetch` combines three of them.

pub(crate) mod actions;
pub(crate) mod arguments;
pub(crate) mod cancel_action;
pub(crate) mod check_access;
pub(crate) mod collect;
pub(crate) mod download;
pub(crate) mod fetch;
mod fetch_record;
pub(crate) mod fetch_state;
pub(crate) mod find_machines;
pub(crate) mod fleet;
pub(crate) mod inspect;
pub(crate) mod package_uri;
pub(crate) mod record;
pub(crate) mod unsafe_package;
pub(crate) mod wait;
