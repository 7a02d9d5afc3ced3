//! What Microsoft documents about the service: hosts, requests, replies, errors, quotas.

pub(crate) mod action;
pub(crate) mod action_list;
pub(crate) mod cloud;
pub(crate) mod endpoint;
pub(crate) mod fault;
pub(crate) mod hosts;
mod list;
pub(crate) mod machine;
pub(crate) mod quota;
