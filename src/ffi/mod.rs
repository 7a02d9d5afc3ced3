//! The C ABI: checks pointers, copies inputs, calls one method of the core, encodes the outcome.
//!
//! This is the only part of the crate with unsafe code. One file per C object, and four for what they
//! share: `guard` (panics and results), `operation` (the calls of a client), `ptr` (pointers in), `strings`
//! (strings out).

#![allow(unsafe_code, non_camel_case_types)]
#![expect(
    clippy::missing_safety_doc,
    reason = "what the caller promises about every pointer is the first page of the header"
)]

mod guard;
mod ptr;
mod strings;

pub mod action;
pub mod cancel;
pub mod client;
pub mod download;
pub mod fetch;
pub mod inspect;
pub mod library;
pub mod log;
pub mod machine;
mod operation;
pub mod options;
pub mod package;
pub mod progress;
pub mod token;

/// Changes when something is removed, renumbered or re-typed; also the number in the SONAME.
pub(crate) const ABI_VERSION: u32 = 0;
