//! Code for tests and benches alone.

#[cfg(feature = "test-hooks")]
pub mod bench_hooks;
#[cfg(feature = "test-hooks")]
pub mod fuzz_hooks;
#[cfg(test)]
mod layers;
#[cfg(feature = "test-hooks")]
pub(crate) mod panic_hook;
#[cfg(test)]
mod reference;
