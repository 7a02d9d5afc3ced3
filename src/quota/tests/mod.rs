//! What holds of the whole quota: properties over random arrivals, and models of the waiting.

#[cfg(feature = "shuttle")]
mod models;
mod properties;
