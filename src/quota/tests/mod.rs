//! Tests of the whole limiter: properties over random arrivals, and models of the waiting under a thread scheduler.

#[cfg(feature = "shuttle")]
mod models;
mod properties;
