//! The cost and the accuracy of the rate limiter. `benches/run.sh limiter` builds and runs this.
//!
//! Every part prints the tables of benches/results.md. A part with several processes starts this program again
//! as its workers. The parts about shared logs take the address of a Redis server as their last argument, and then
//! print rows about a log there too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench stops at the first surprise, and prints what it found"
)]

mod allocations;
mod bucket;
mod bursts;
mod decisions;
mod lateness;
mod location;
mod measure;
mod shared;
mod waiting;
mod workers;

use std::env;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["decisions"] => decisions::print(),
        ["loop", whose, stamps, count] => decisions::repeat(whose, stamps, count),
        ["bursts"] => bursts::print(),
        ["shared", folder, server @ ..] => shared::print(folder, server.first().copied()),
        ["shared-worker", rest @ ..] => shared::work(rest),
        ["lateness", folder, wakes, server @ ..] => {
            lateness::print(folder, wakes.parse().unwrap(), server.first().copied());
        }
        ["lateness-worker", rest @ ..] => lateness::work(rest),
        ["waiting", folder, server @ ..] => waiting::print(folder, server.first().copied()),
        _ => panic!("see benches/run.sh"),
    }
}
