//! Generates the C header and sets what the linker must know.
//!
//! The header goes to `OUT_DIR`. `MDE_UPDATE_HEADER=1 cargo build` also copies it to `include/mde.h`, which
//! is committed; a test compares the two.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

#[allow(dead_code)]
#[path = "src/status.rs"]
mod status;

/// The number in the SONAME and in MDE_ABI_VERSION; equals `ffi::ABI_VERSION`, as a test checks.
const ABI_VERSION: u32 = 0;

/// By number, as `log::Level`.
const LOG_LEVELS: [(&str, &str); 5] = [
    ("OFF", "no lines."),
    ("ERROR", "something failed that the host should know about."),
    ("WARN", "something unusual that the library dealt with."),
    ("INFO", "one line per operation."),
    ("DEBUG", "one line per request."),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=src/ffi");
    println!("cargo:rerun-if-changed=src/status.rs");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=MDE_UPDATE_HEADER");
    link_arguments()?;
    header()
}

/// A name by which programs find the library at run time, and no unloading: the standard library
/// registers per-thread destructors, and an abandoned name lookup may outlive its call.
fn link_arguments() -> Result<(), Box<dyn Error>> {
    let os = env::var("CARGO_CFG_TARGET_OS")?;
    if matches!(os.as_str(), "linux" | "freebsd" | "android") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libmde.so.{ABI_VERSION}");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    Ok(())
}

fn header() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut config = cbindgen::Config::from_file(root.join("src/ffi/cbindgen.toml"))?;
    config.header =
        Some(fs::read_to_string(root.join("src/ffi/header.txt"))?.trim_end().to_owned());
    config.after_includes = Some(constants()?);
    // The files in the order in which the header presents them.
    let mut builder = cbindgen::Builder::new().with_config(config);
    for name in [
        "library", "log", "token", "options", "client", "cancel", "progress", "package", "action",
        "machine", "download", "fetch", "inspect",
    ] {
        builder = builder.with_src(root.join(format!("src/ffi/{name}.rs")));
    }
    let mut text = Vec::new();
    builder.generate()?.write(&mut text);
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("mde.h"), &text)?;
    if env::var_os("MDE_UPDATE_HEADER").is_some_and(|v| v == "1") {
        fs::write(root.join("include/mde.h"), &text)?;
    }
    Ok(())
}

/// Versions and status codes, as preprocessor constants.
fn constants() -> Result<String, Box<dyn Error>> {
    let part = |name: &str| env::var(format!("CARGO_PKG_VERSION_{name}"));
    let (major, minor, patch) = (part("MAJOR")?, part("MINOR")?, part("PATCH")?);
    let number =
        major.parse::<u32>()? * 1_000_000 + minor.parse::<u32>()? * 1_000 + patch.parse::<u32>()?;
    let mut out = String::new();
    writeln!(
        out,
        "/** Windows programs that link the DLL may define MDE_DLL; nothing needs to. */"
    )?;
    writeln!(
        out,
        "#if defined(_WIN32) && defined(MDE_DLL)\n#define MDE_API __declspec(dllimport)"
    )?;
    writeln!(out, "#else\n#define MDE_API\n#endif\n")?;
    writeln!(out, "/** The version of this header; mde_version() is that of the library. */")?;
    writeln!(out, "#define MDE_VERSION \"{major}.{minor}.{patch}\"")?;
    for (name, value) in [("MAJOR", major), ("MINOR", minor), ("PATCH", patch)] {
        writeln!(out, "/** A part of MDE_VERSION. */\n#define MDE_VERSION_{name} {value}")?;
    }
    writeln!(out, "/** major * 1000000 + minor * 1000 + patch */")?;
    writeln!(out, "#define MDE_VERSION_NUMBER {number}")?;
    writeln!(out, "/** Compare with mde_abi_version() when the library is loaded. */")?;
    writeln!(out, "#define MDE_ABI_VERSION {ABI_VERSION}\n")?;
    for (level, (name, meaning)) in LOG_LEVELS.iter().enumerate() {
        writeln!(out, "/** Level of mde_log_set(): {meaning} */\n#define MDE_LOG_{name} {level}")?;
    }
    writeln!(out, "\n/* Status codes. New ones may be added; none ever changes. */\n")?;
    for status in status::Status::ALL {
        let name = match status.code() {
            0 => "MDE_OK".to_owned(),
            _ => format!("MDE_ERR_{}", status.name().to_uppercase()),
        };
        writeln!(out, "/** {} */\n#define {name} {}\n", status.meaning(), status.code())?;
    }
    Ok(out)
}
