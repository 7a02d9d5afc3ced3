//! Fetch investigation packages from devices through Microsoft Defender for Endpoint.
//!
//! The product is the C library (`libmde.so`, `mde.dll`, `include/mde.h`); this crate is what it is made
//! of, and offers the same operations to Rust through [`Client`]. It blocks the calling thread, can be
//! interrupted from any other, starts no background work, and keeps the service's quota exactly.
//!
//! One request is one straight line: `ffi` checks and copies → `client` → one of `operations` → `service::endpoint`
//! describes the request → `account::request` takes it through `sign_in` (who asks), `quota` (whether it may go) and
//! `http` (the wire) → `service::fault` or `service::action` reads the reply → JSON.

#![deny(unsafe_code)]

mod account;
mod call;
mod client;
mod error;
pub mod ffi;
mod http;
pub mod log;
mod operations;
mod options;
mod os;
mod package_zip;
mod progress;
mod quota;
mod service;
mod sign_in;
mod status;
#[cfg(any(test, feature = "test-hooks"))]
mod testing;
mod text;

pub use call::Cancel;
pub use client::Client;
pub use error::{Error, Result, Stage};
pub use operations::cancel_action::Ended;
pub use operations::collect::Collected;
pub use operations::download::Package;
pub use operations::fetch::Fetched;
pub use operations::find_machines::{Found, Problem};
pub use operations::inspect::inspect_package;
pub use operations::package_uri::PackageUri;
pub use options::Options;
pub use package_zip::{Contents, DeviceKind, Entry, InspectedPackage};
pub use progress::{Event, OnProgress};
pub use quota::report::{QuotaLog, QuotaStatus, QuotaWindow};
pub use service::action::{ActionStatus, MachineAction};
pub use service::machine::Machine;
pub use sign_in::{ProvidedToken, TokenProvider};
pub use status::Status;
#[cfg(feature = "test-hooks")]
#[doc(hidden)]
pub use testing::bench_hooks;

/// The README's Rust program, compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
