//! Fetch investigation packages from devices through Microsoft Defender for Endpoint.
//!
//! The product is the C library: `libmde.so` or `mde.dll`, with `include/mde.h`. This crate implements it, and offers
//! the same operations to Rust through [`Client`]. A call blocks its thread, and any other thread can interrupt it. The
//! library starts no background work and keeps the service's quota exactly.
//!
//! A call passes through these modules:
//! 1. `ffi` checks and copies the arguments, and `client` begins the call.
//! 2. One of `operations` carries it out. `service::endpoint` describes each request.
//! 3. `account::attempts` sends the request with a token of `sign_in` and a slot of `quota`, through `http`.
//! 4. `service::fault` or `service::action` reads the reply, and `ffi` returns JSON.

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
pub use operations::check_access::{Access, CheckStep};
pub use operations::collect::Collected;
pub use operations::download::Package;
pub use operations::fetch::Fetched;
pub use operations::find_machines::{Found, Problem};
pub use operations::fleet::{Devices, Packages, Summary, read_packages};
pub use operations::inspect::inspect_package;
pub use operations::package_uri::PackageUri;
pub use options::Options;
pub use package_zip::{Contents, DeviceKind, Entry, InspectedPackage, UnsafeEntry};
pub use progress::{Event, OnProgress};
pub use quota::report::{QuotaLog, QuotaStatus, QuotaWindow};
pub use service::action::{ActionStatus, MachineAction};
pub use service::machine::Machine;
pub use sign_in::{ProvidedToken, Signer, SigningRequest, TokenProvider};
pub use status::Status;
#[cfg(feature = "test-hooks")]
#[doc(hidden)]
pub use testing::{bench_hooks, fuzz_hooks};

/// The README's Rust program, compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
