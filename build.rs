//! Sets the linker's arguments, and with the feature `header` generates the C header.
//!
//! The header goes to `OUT_DIR`. `MDE_UPDATE_HEADER=1 cargo build --features header` also copies it to `include/mde.h`,
//! which is committed; a test compares the two.

use std::env;
use std::error::Error;

#[cfg(feature = "header")]
#[path = "src/ffi/header.rs"]
mod header;

/// The number in the SONAME and in MDE_HEADER_ABI_VERSION; equals `ffi::ABI_VERSION`, as a test checks.
const ABI_VERSION: u32 = 0;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=src/ffi");
    println!("cargo:rerun-if-changed=src/status.rs");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=MDE_UPDATE_HEADER");
    #[cfg(feature = "header")]
    header::generate()?;
    #[cfg(not(feature = "header"))]
    if env::var_os("MDE_UPDATE_HEADER").is_some() {
        return Err("MDE_UPDATE_HEADER needs the feature: cargo build --features header".into());
    }
    link_arguments()
}

/// Sets the SONAME, and prevents unloading: the standard library registers per-thread destructors, and an abandoned
/// name lookup may outlive its call.
fn link_arguments() -> Result<(), Box<dyn Error>> {
    let os = env::var("CARGO_CFG_TARGET_OS")?;
    if matches!(os.as_str(), "linux" | "freebsd" | "android") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libmde.so.{ABI_VERSION}");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    Ok(())
}
