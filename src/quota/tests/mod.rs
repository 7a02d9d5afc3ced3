//! Tests of the whole limiter: properties over random arrivals, and models of the waiting under a thread scheduler.

#[cfg(target_os = "linux")]
mod models;
mod properties;
