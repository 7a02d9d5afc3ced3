//! Compatibility for programs that embed the library. The binary interface and the constants are compared with
//! `tests/abi`, the required C library with `docs/compatibility.md`.
//!
//! `MDE_UPDATE_ABI=1 cargo test -p mde-tests --test release compatibility` takes additions into `tests/abi`. It refuses
//! everything else as long as MDE_HEADER_ABI_VERSION is the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mde_tests::programs::{Finished, ROOT, Scratch, release, run, tool};

const HEADER: &str = include_str!("../../include/mde.h");

fn update() -> bool {
    std::env::var_os("MDE_UPDATE_ABI").is_some_and(|value| value == "1")
}

fn committed(name: &str) -> PathBuf {
    Path::new(ROOT).join("tests/abi").join(name)
}

/// The text without comments.
fn code(header: &str) -> String {
    let mut parts = header.split("/*");
    let mut code = parts.next().unwrap().to_owned();
    for part in parts {
        code.push_str(part.split_once("*/").unwrap().1);
    }
    code
}

/// A C file with an empty function for every one that the header declares.
///
/// The library itself can't be asked: its debug information describes it as Rust sees it, and differs from compiler to
/// compiler. What C programs are compiled against is the header, which is generated from the library.
fn stub(header: &str) -> String {
    let mut stub = String::from("#include \"mde.h\"\n");
    for declaration in code(header).split("\nMDE_API").skip(1) {
        let declaration = declaration.split(';').next().unwrap().trim();
        let nothing = declaration.starts_with("void mde_");
        stub.push_str(declaration);
        stub.push_str(if nothing { " {}\n" } else { " { return 0; }\n" });
    }
    stub
}

/// A library with the interface of a header, and debug information.
fn interface(header: &str, compiler: &str) -> (Scratch, PathBuf) {
    let folder = Scratch::new("interface");
    fs::write(folder.0.join("mde.h"), header).unwrap();
    fs::write(folder.0.join("stub.c"), stub(header)).unwrap();
    let mut cc = tool(compiler, compiler);
    cc.current_dir(&folder.0).args(["-std=c99", "-Werror", "-g", "-O0", "-fPIC", "-shared"]);
    let abi = constants(header)["MDE_HEADER_ABI_VERSION"].clone();
    cc.arg(format!("-Wl,-soname,libmde.so.{abi}"));
    run(cc.args(["-I", ".", "-o", "libmde.so", "stub.c"])).expect(0);
    let library = folder.0.join("libmde.so");
    (folder, library)
}

/// Compares with what is committed. 0: nothing but additions. 4, or more: something else, and what it is.
fn compare(library: &Path) -> Finished {
    let mut abidiff = tool("abidiff", "abigail-tools");
    // Harmless changes too: one that only drops a const still breaks the build of programs in C++.
    abidiff.args(["--harmless", "--no-added-syms"]);
    run(abidiff.arg(committed("mde.abi")).arg(library))
}

fn describe(library: &Path) -> String {
    let mut abidw = tool("abidw", "abigail-tools");
    abidw.args(["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs"]);
    run(abidw.arg(library)).expect(0).stdout
}

/// The macros of a header that have a value, as the compiler gives them.
fn constants(header: &str) -> BTreeMap<String, String> {
    let folder = Scratch::new("constants");
    let file = folder.0.join("mde.h");
    fs::write(&file, header).unwrap();
    let mut cc = tool("cc", "gcc libc6-dev");
    let macros = run(cc.args(["-E", "-dM", "-xc"]).arg(file)).expect(0).stdout;
    let macros = macros.lines().filter_map(|line| line.strip_prefix("#define MDE_"));
    let mut found = BTreeMap::new();
    for line in macros {
        if let Some((name, value)) = line.split_once(' ').filter(|(_, value)| !value.is_empty()) {
            found.insert(format!("MDE_{name}"), value.to_owned());
        }
    }
    found
}

/// Those that stay what they are: all but the version.
fn lasting(header: &str) -> String {
    let constants = constants(header);
    let lasting = constants.iter().filter(|(name, _)| !name.starts_with("MDE_HEADER_VERSION"));
    lasting.map(|(name, value)| format!("{name} {value}\n")).collect()
}

/// Committed lines that are gone.
fn missing(committed: &str, now: &str) -> Vec<String> {
    let has = |line: &&str| !now.lines().any(|other| other == *line);
    committed.lines().filter(has).map(str::to_owned).collect()
}

/// The committed description is of the same MDE_HEADER_ABI_VERSION; another one may change everything.
fn same_version(now: &str) -> bool {
    let version = |text: &str| {
        let line =
            text.lines().find(|line| line.starts_with("MDE_HEADER_ABI_VERSION")).map(str::to_owned);
        line.expect("no MDE_HEADER_ABI_VERSION")
    };
    version(&fs::read_to_string(committed("constants.txt")).unwrap()) == version(now)
}

#[test]
fn functions_and_types_are_only_added() {
    let (_folder, library) = interface(HEADER, "gcc");
    if same_version(&lasting(HEADER)) {
        let result = compare(&library);
        assert_eq!(result.code, Some(0), "programs in use would break:\n{}", result.stdout);
    }
    let now = describe(&library);
    if update() {
        fs::write(committed("mde.abi"), &now).unwrap();
    }
    let before = fs::read_to_string(committed("mde.abi")).unwrap();
    let symbols = |text: &str| {
        let lines = text.lines().filter(|line| line.contains("<elf-symbol "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        symbols(&before),
        symbols(&now),
        "a function is new. Take it into tests/abi: MDE_UPDATE_ABI=1 cargo test -p mde-tests --test release compatibility"
    );
}

#[test]
fn constants_are_only_added() {
    let now = lasting(HEADER);
    let before = fs::read_to_string(committed("constants.txt")).unwrap();
    if same_version(&now) {
        let gone = missing(&before, &now);
        assert!(gone.is_empty(), "programs in use have been compiled with {gone:#?}");
    }
    if update() {
        fs::write(committed("constants.txt"), &now).unwrap();
    } else {
        assert_eq!(
            before, now,
            "a constant is new. Take it into tests/abi: MDE_UPDATE_ABI=1 cargo test -p mde-tests --test release compatibility"
        );
    }
}

/// The gate holds what it is there to hold, and lets pass what it is to let pass.
#[test]
fn every_kind_of_break_is_detected() {
    let changed = |from: &str, to: &str| {
        assert!(HEADER.contains(from), "the header has no `{from}`");
        let (_folder, library) = interface(&HEADER.replace(from, to), "gcc");
        compare(&library)
    };
    let breaks = [
        ("MDE_API\nvoid mde_cancel_free(mde_cancel *cancel);", ""),
        ("mde_cancel_new(uint64_t timeout_ms)", "mde_cancel_new(uint32_t timeout_ms)"),
        ("uint32_t mde_abi_version", "int32_t mde_abi_version"),
        ("void mde_cancel_trigger(const mde_cancel *", "void mde_cancel_trigger(mde_cancel *"),
        ("(*mde_progress_fn)(void *user_data,", "(*mde_progress_fn)("),
        ("typedef int32_t mde_status;", "typedef uint32_t mde_status;"),
        ("#define MDE_HEADER_ABI_VERSION 0", "#define MDE_HEADER_ABI_VERSION 1"),
    ];
    for (from, to) in breaks {
        let result = changed(from, to);
        assert_ne!(result.code, Some(0), "`{from}` became `{to}`, unnoticed");
    }
    let free = "MDE_API\nvoid mde_cancel_free(mde_cancel *cancel);";
    let more = format!("{free}\nMDE_API\nint32_t mde_cancel_more(const mde_cancel *cancel);");
    assert_eq!(changed(free, &more).code, Some(0), "an addition is no break");

    let before = lasting(HEADER);
    let renumbered = HEADER.replace("#define MDE_ERR_NULL 1\n", "#define MDE_ERR_NULL 9\n");
    assert_eq!(missing(&before, &lasting(&renumbered)), ["MDE_ERR_NULL 1"]);
    let removed = HEADER.replace("#define MDE_ERR_TLS 42\n", "");
    assert_eq!(missing(&before, &lasting(&removed)), ["MDE_ERR_TLS 42"]);
    let added = HEADER.replace("#define MDE_OK 0\n", "#define MDE_OK 0\n#define MDE_ERR_NEW 7\n");
    assert!(missing(&before, &lasting(&added)).is_empty());
}

/// What is committed is about the header, not about one compiler.
#[test]
fn the_description_does_not_depend_on_the_compiler() {
    let (_folder, library) = interface(HEADER, "clang");
    let result = compare(&library);
    assert_eq!(result.code, Some(0), "{}", result.stdout);
}

/// The versions of the C library that its functions are taken from, each with one of the functions; functions
/// without a version that must be there are listed under "".
fn glibc_needs(library: &Path) -> BTreeMap<Vec<u32>, String> {
    let mut objdump: Command = tool("objdump", "binutils");
    let symbols = run(objdump.arg("-T").arg(library)).expect(0).stdout;
    let mut needs = BTreeMap::new();
    for line in symbols.lines().filter(|line| line.contains("*UND*")) {
        let name = line.split_whitespace().last().unwrap().to_owned();
        match line.split_once("(GLIBC_").and_then(|(_, rest)| rest.split_once(')')) {
            Some((version, _)) => {
                let version = version.split('.').map(|part| part.parse().unwrap()).collect();
                needs.insert(version, name);
            }
            // Looked for when the library is loaded, and done without where it is missing.
            None if line.split_whitespace().nth(1) == Some("w") => {}
            None if line.contains("(GCC_") => {}
            None => panic!("{name} is needed of nobody knows which version: {line}"),
        }
    }
    needs
}

/// `MDE_TEST_GLIBC` is the version that the library in `MDE_LIB_DIR` was linked for, where it was linked for another
/// one than that of the machine.
#[test]
fn the_library_needs_the_glibc_that_is_documented() {
    let wanted = std::env::var("MDE_TEST_GLIBC").unwrap_or_else(|_| "2.34".to_owned());
    let needs = glibc_needs(&release().join("libmde.so"));
    let (newest, function) = needs.last_key_value().unwrap();
    let newest: Vec<_> = newest.iter().map(u32::to_string).collect();
    assert_eq!(newest.join("."), wanted, "the glibc that {function} is in; all: {needs:?}");
    let page = include_str!("../../docs/compatibility.md");
    let stated = format!("| {wanted} |");
    assert!(page.contains(&stated), "docs/compatibility.md has no row with `{stated}`");
}
