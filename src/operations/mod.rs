//! What the functions of the library do: one file each, and `fetch`, which strings them together.

pub(crate) mod actions;
pub(crate) mod arguments;
pub(crate) mod cancel_action;
pub(crate) mod collect;
pub(crate) mod download;
pub(crate) mod fetch;
pub(crate) mod find_machines;
pub(crate) mod inspect;
pub(crate) mod package_uri;
pub(crate) mod wait;
