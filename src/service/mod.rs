//! What the service says: where it lives, what it is asked, and how its answers read.

pub(crate) mod action;
pub(crate) mod cloud;
pub(crate) mod endpoint;
pub(crate) mod fault;
pub(crate) mod hosts;
pub(crate) mod machine;
