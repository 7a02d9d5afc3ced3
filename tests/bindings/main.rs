//! The library as other languages meet it, and on other systems.
//!
//! What takes long or needs large components is in modules `full`, which `tests/run.sh core` leaves out.

/// The programs of `tests/c` and `examples/c`.
mod c;
/// The same under valgrind, with sanitizers, and statically linked.
mod c_full;
mod cpp;
mod dotnet;
/// What compilers and generators make of `mde.h`.
mod header;
/// Keys that stay in tokens, in a TPM and in the libraries of other languages.
mod keys;
/// Programs in other languages.
mod languages;
mod python;
/// The programs in C for Windows and Arm.
mod targets;
/// Every system call and every allocation fails once.
mod torture;
