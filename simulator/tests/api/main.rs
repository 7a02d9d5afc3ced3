//! Tests of the simulator through HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the helpers of tests may stop at the first surprise, as the tests themselves"
)]

mod actions;
mod download;
mod faults;
mod http;
mod machines;
mod program;
mod quotas;
mod scripts;
mod sign_in;

use mde_simulator::{Config, QuotaMode, Simulator};

/// A simulator without quotas whose actions are final at once.
fn instant() -> Simulator {
    let mut config = Config { quota_mode: QuotaMode::Off, ..Config::default() };
    config.behaviour.pending_s = 0.0;
    config.behaviour.in_progress_s = 0.0;
    Simulator::start(config).unwrap()
}
