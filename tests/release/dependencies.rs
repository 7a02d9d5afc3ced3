//! The crates that the library is linked from, on every system that it is made for: one cryptography, one version of
//! each, licences that a product can ship with.
//!
//! cargo-deny checks the like, and known vulnerabilities too. It takes longer to build than everything else here, and
//! what it knows about vulnerabilities has to be fetched; run it where that can be done.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Every system that docs/platforms.md or the scripts know.
const TARGETS: [&str; 6] = [
    "x86_64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-gnu",
    "aarch64-unknown-linux-musl",
    "x86_64-pc-windows-gnu",
    "x86_64-pc-windows-msvc",
];

/// Licences that ask for nothing but to be named.
const ALLOWED: [&str; 8] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "Unlicense",
    "Zlib",
];

/// Other cryptography that crates of this field like to bring along.
const CRYPTOGRAPHY: [&str; 10] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "aws-lc-fips-sys",
    "boring",
    "boring-sys",
    "graviola",
    "native-tls",
    "openssl",
    "openssl-sys",
    "rustls-openssl",
];

/// Name, version and licence of what is linked into the library.
fn linked(target: &str) -> BTreeSet<(String, String, String)> {
    let output = Command::new(env!("CARGO"))
        .current_dir(mde_tests::ROOT)
        .args(["tree", "--locked", "-p", "mde", "-e", "normal,no-proc-macro", "--prefix", "none"])
        .args(["--target", target, "--format", "{p}|{l}"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| {
            let (package, licence) = line.trim_end_matches(" (*)").split_once('|').unwrap();
            let mut words = package.split(' ');
            let (name, version) = (words.next().unwrap(), words.next().unwrap());
            (name.to_owned(), version.to_owned(), licence.to_owned())
        })
        .collect()
}

fn everywhere(check: impl Fn(&str, &BTreeSet<(String, String, String)>)) {
    for target in TARGETS {
        let crates = linked(target);
        assert!(crates.len() > 20, "{target}: {crates:?}");
        check(target, &crates);
    }
}

/// Whether an expression can be met with what is allowed: one of what OR joins, all of what AND joins.
fn may_be_shipped(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    expression.split(" OR ").any(|choice| {
        choice.split(" AND ").all(|one| ALLOWED.contains(&one.trim_matches(['(', ')', ' '])))
    })
}

#[test]
fn there_is_one_cryptography() {
    everywhere(|target, crates| {
        let names: BTreeSet<&str> = crates.iter().map(|(name, ..)| name.as_str()).collect();
        assert!(names.contains("ring"), "{target}: no ring in {names:?}");
        let others: Vec<_> = CRYPTOGRAPHY.iter().filter(|name| names.contains(*name)).collect();
        assert!(others.is_empty(), "{target}: beside ring there is {others:?}");
    });
}

#[test]
fn each_crate_has_one_version() {
    everywhere(|target, crates| {
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, version, _) in crates {
            versions.entry(name).or_default().push(version);
        }
        versions.retain(|_, versions| versions.len() > 1);
        assert!(versions.is_empty(), "{target}: {versions:?}");
    });
}

#[test]
fn every_licence_is_allowed() {
    let page = include_str!("../../docs/compatibility.md");
    everywhere(|target, crates| {
        for (name, version, licence) in crates {
            assert!(may_be_shipped(licence), "{target}: {name} {version} is under `{licence}`");
            let row = format!("| `{licence}` |");
            assert!(page.contains(&row), "docs/compatibility.md lacks a row for {name}: {row}");
        }
    });
}

#[test]
fn licence_expressions_are_parsed() {
    for allowed in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR ISC", "(MIT OR GPL-2.0)", "ISC AND MIT"] {
        assert!(may_be_shipped(allowed), "{allowed}");
    }
    for refused in ["", "GPL-3.0", "MIT AND LGPL-3.0", "OpenSSL AND MIT", "MPL-2.0"] {
        assert!(!may_be_shipped(refused), "{refused}");
    }
}

/// The linker that makes the archive comes from PyPI, where a name and a version are no proof of what one gets.
#[test]
fn the_linker_is_pinned_by_its_hash() {
    let read = |name: &str| {
        std::fs::read_to_string(format!("{}/packaging/{name}", mde_tests::ROOT)).unwrap()
    };
    let pinned = read("zig.txt");
    let package = read("package.sh");
    let version = package.lines().find_map(|line| line.strip_prefix("zig_version=")).unwrap();
    let lines: Vec<_> = pinned.lines().filter(|line| !line.starts_with('#')).collect();
    let expected = format!("ziglang=={version} --hash=sha256:");
    let [line] = lines[..] else { panic!("{lines:?}") };
    let hash = line.strip_prefix(&expected).unwrap();
    assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    for name in ["package.sh", "link_for_old_glibc.sh"] {
        for command in read(name).lines().filter(|line| line.contains("pip install --")) {
            assert!(command.contains("--require-hashes"), "{name}: {command}");
        }
    }
}
