//! The C ABI: checks pointers, copies inputs, calls one method of the core, encodes the result.
//!
//! One file per section of `include/mde.h`, and five for what they share: `guard` (panics and results), `operation`
//! (the calls of a client), `ptr` (pointers in), `strings` (strings out), `user_data` (the pointers for callbacks).

#![allow(unsafe_code, non_camel_case_types)]
#![expect(
    clippy::missing_safety_doc,
    reason = "the first page of the header states what callers promise about pointers"
)]
#![expect(
    clippy::doc_lazy_continuation,
    reason = "these are the header's comments, in which a line begins with its Doxygen command"
)]

mod guard;
mod operation;
mod ptr;
mod strings;
#[cfg(test)]
mod tests;
mod user_data;

pub mod access;
pub mod actions;
pub mod cancel;
pub mod client;
pub mod fleet;
pub mod library;
pub mod log;
pub mod machines;
pub mod options;
pub mod packages;
pub mod progress;
pub mod quota;
pub mod signer;
pub mod token;

/// Changes when something is removed, renumbered or re-typed; also the number in the SONAME.
pub(crate) const ABI_VERSION: u32 = 0;
