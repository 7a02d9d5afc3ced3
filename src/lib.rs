//! Fetch investigation packages from devices through Microsoft Defender for Endpoint.
//!
//! The product is the C library (`libmde.so`, `mde.dll`, `include/mde.h`); this crate is what it is made
//! of, and offers the same operations to Rust through [`Client`]. It blocks the calling thread, can be
//! interrupted from any other, starts no background work, and keeps the service's quota exactly.
//!
//! One request is one straight line: `ffi` checks and copies → `client` → the step (`collect`, `wait`,
//! `download` and the others; `fetch` strings them together) → `service::endpoint` describes the request →
//! `exchange` takes it through `token` (who asks), `quota` (whether it may go) and `net` (the wire) →
//! `service::fault` or `service::model` reads the reply → JSON.

#![deny(unsafe_code)]

mod account;
mod actions;
mod archive;
mod arguments;
#[cfg(feature = "test-hooks")]
#[doc(hidden)]
pub mod bench_hooks;
mod call;
mod cancellation;
mod client;
mod collect;
#[cfg(unix)]
mod descriptor;
mod download;
mod error;
mod exchange;
mod fetch;
pub mod ffi;
mod file_access;
mod journal;
mod json;
mod link;
pub mod log;
mod machines;
mod net;
mod options;
mod per_process;
mod progress;
mod quota;
#[cfg(test)]
mod reference;
mod service;
mod small_file;
mod status;
mod sync;
mod threads;
mod token;
mod wait;

pub use archive::{Contents, DeviceKind, Entry, InspectedPackage, inspect_package};
pub use call::Cancel;
pub use cancellation::Ended;
pub use client::Client;
pub use collect::Collected;
pub use download::Package;
pub use error::{Error, Result, Stage};
pub use fetch::Fetched;
pub use link::PackageUri;
pub use machines::{Found, Problem};
pub use options::Options;
pub use progress::{Event, OnProgress};
pub use quota::report::{QuotaLog, QuotaStatus, QuotaWindow};
pub use service::machine::Machine;
pub use service::model::{ActionStatus, MachineAction};
pub use status::Status;
pub use token::{ProvidedToken, TokenProvider};

/// The README's Rust program, compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
