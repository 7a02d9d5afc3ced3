//! Generates the C header. It is a part of `build.rs`, with the feature `header`, and not of the library.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use super::ABI_VERSION;

#[allow(dead_code)]
#[path = "../status.rs"]
mod status;

/// By number, as `log::Level`.
const LOG_LEVELS: [(&str, &str); 5] = [
    ("OFF", "no lines."),
    ("ERROR", "something failed that the host should know about."),
    ("WARN", "something unusual that the library handled."),
    ("INFO", "one line per operation."),
    ("DEBUG", "one line per request."),
];

/// The sections of the header in order: a file of `src/ffi`, and its title.
const SECTIONS: [(&str, &str); 14] = [
    ("packages", "Packages"),
    ("fleet", "Packages of many devices"),
    ("actions", "Machine actions"),
    ("machines", "Devices"),
    ("quota", "Quota"),
    ("access", "Access"),
    ("client", "Clients"),
    ("options", "Options"),
    ("cancel", "Cancel handles"),
    ("token", "Token callback"),
    ("signer", "Signing callback"),
    ("log", "Log callback"),
    ("progress", "Progress callback"),
    ("library", "The library itself"),
];

pub fn generate() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let ffi = root.join("src/ffi");
    let mut builder = cbindgen::Builder::new()
        .with_config(cbindgen::Config::from_file(ffi.join("cbindgen.toml"))?);
    for (file, _) in SECTIONS {
        builder = builder.with_src(ffi.join(format!("{file}.rs")));
    }
    let mut declarations = Vec::new();
    builder.generate()?.write(&mut declarations);
    let mut declarations = String::from_utf8(declarations)?;
    for (file, title) in SECTIONS {
        let source = fs::read_to_string(ffi.join(format!("{file}.rs")))?;
        if let Some(first) = functions(&source).next() {
            let at = comment_of(&declarations, first).ok_or(format!("{first} is not declared"))?;
            declarations.insert_str(at, &format!("/** @}} */\n\n/** @name {title}\n * @{{ */\n\n"));
        }
    }
    let first_page = fs::read_to_string(ffi.join("header.txt"))?;
    let text = format!(
        "{}\n\n#ifndef MDE_H\n#define MDE_H\n\n/* Generated from the source of the library: do not edit. */\n\n\
         #include <stdint.h>\n\n#ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n{}\
         /** @name Types\n * @{{ */\n\n{}\n\n/** @}} */\n\n#ifdef __cplusplus\n}} /* extern \"C\" */\n#endif\n\n\
         #endif /* MDE_H */\n",
        first_page.trim_end(),
        constants()?,
        declarations.trim()
    );
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("mde.h"), &text)?;
    if env::var_os("MDE_UPDATE_HEADER").is_some_and(|v| v == "1") {
        fs::write(root.join("include/mde.h"), &text)?;
    }
    Ok(())
}

/// The exported functions of a file.
fn functions(source: &str) -> impl Iterator<Item = &str> {
    source.split("extern \"C\" fn ").skip(1).filter_map(|rest| rest.split('(').next())
}

/// The position of the comment of a function.
fn comment_of(declarations: &str, function: &str) -> Option<usize> {
    let declared = |(at, _): &(usize, &str)| {
        let declaration = declarations.get(*at..).and_then(|rest| rest.split('(').next());
        declaration.is_some_and(|text| {
            text.ends_with(&format!(" {function}")) || text.ends_with(&format!("*{function}"))
        })
    };
    let (at, _) = declarations.match_indices("\nMDE_API\n").find(declared)?;
    declarations.get(..at)?.rfind("/**")
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
    writeln!(
        out,
        "/** @name Versions\n * @{{ */\n\n/** The version of this header; mde_version() returns that of the library. */"
    )?;
    writeln!(out, "#define MDE_HEADER_VERSION \"{major}.{minor}.{patch}\"")?;
    for (name, value) in [("MAJOR", major), ("MINOR", minor), ("PATCH", patch)] {
        writeln!(
            out,
            "/** A part of MDE_HEADER_VERSION. */\n#define MDE_HEADER_VERSION_{name} {value}"
        )?;
    }
    writeln!(out, "/** major * 1000000 + minor * 1000 + patch */")?;
    writeln!(out, "#define MDE_HEADER_VERSION_NUMBER {number}")?;
    writeln!(out, "/** Compare with mde_abi_version() when the library is loaded. */")?;
    writeln!(out, "#define MDE_HEADER_ABI_VERSION {ABI_VERSION}\n\n/** @}} */\n")?;
    writeln!(out, "/** @name Log levels\n * @{{ */\n")?;
    for (level, (name, meaning)) in LOG_LEVELS.iter().enumerate() {
        writeln!(out, "/** Level of mde_log_set(): {meaning} */\n#define MDE_LOG_{name} {level}")?;
    }
    writeln!(
        out,
        "\n/** @}} */\n\n/** @name Statuses\n * New ones may be added; none ever changes.\n * @{{ */\n"
    )?;
    for status in status::Status::ALL {
        let name = match status.code() {
            0 => "MDE_OK".to_owned(),
            _ => format!("MDE_ERR_{}", status.name().to_uppercase()),
        };
        writeln!(out, "/** {} */\n#define {name} {}\n", status.meaning(), status.code())?;
    }
    writeln!(out, "/** @}} */\n")?;
    Ok(out)
}
