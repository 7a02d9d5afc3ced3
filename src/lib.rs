//! Collect investigation packages from devices through Microsoft Defender for Endpoint.
//!
//! The product is the C library (`libmde.so`, `mde.dll`, `include/mde.h`); this crate is what it is made
//! of, and offers the same operations to Rust through [`Client`]. It blocks the calling thread, can be
//! interrupted from any other, starts no background work, and keeps the service's quota exactly.
//!
//! One request is one straight line: `ffi` checks and copies → `client` → the step (`collect`,
//! `actions`) → `service::endpoint` describes the request → `exchange` takes it through `token` (who asks),
//! `quota` (whether it may go) and `net` (the wire) → `service::fault` or `service::model` reads the reply → JSON.

#![deny(unsafe_code)]

mod account;
mod actions;
mod arguments;
#[cfg(feature = "test-hooks")]
#[doc(hidden)]
pub mod bench_hooks;
mod call;
mod client;
mod collect;
#[cfg(unix)]
mod descriptor;
mod error;
mod exchange;
pub mod ffi;
pub mod log;
mod net;
mod options;
mod per_process;
mod quota;
#[cfg(test)]
mod reference;
mod service;
mod small_file;
mod status;
mod sync;
mod token;

pub use call::Cancel;
pub use client::Client;
pub use collect::Collected;
pub use error::{Error, Result, Stage};
pub use options::Options;
pub use quota::report::{QuotaLog, QuotaStatus, QuotaWindow};
pub use service::model::{ActionStatus, MachineAction};
pub use status::Status;
pub use token::{ProvidedToken, TokenProvider};

/// The README's Rust program, compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
