//! The constants of the header, and the release library, as they are shipped. What compilers say to the header is in
//! `tests/bindings/header.rs`.

use std::path::PathBuf;

use mde_tests::programs::{How, ROOT, compile_with, release, run, start, tool};

const HEADER: &str = include_str!("../../include/mde.h");

/// The longest the library may become: it goes into every host process. An eighth of it is what the
/// standard library brings along to print backtraces and to be fast, which only one's own build of it leaves out.
const MAX_BYTES: u64 = 2_550_000;

#[test]
fn constants_agree_with_the_library() {
    let mut statuses = String::new();
    for line in HEADER.lines().filter(|line| line.starts_with("#define MDE_")) {
        let constant = line.split_whitespace().nth(1).unwrap();
        let name = match constant.strip_prefix("MDE_ERR_") {
            Some(name) => name.to_lowercase(),
            None if constant == "MDE_OK" => "ok".to_owned(),
            None => continue,
        };
        statuses.push_str(&format!("STATUS({constant}, \"{name}\")\n"));
    }
    assert!(statuses.lines().count() > 20, "{statuses}");
    let sources = ["tests/c/constants.c", "tests/c/support.c"];
    let program = compile_with(&sources, How::Plain, &[("statuses.inc", &statuses)]);
    let mut command = start(&program, How::Plain);
    run(command.env("MDE_TEST_VERSION", mde_tests::VERSION)).expect(0);
}

fn library() -> PathBuf {
    release().join("libmde.so")
}

fn readelf(what: &str) -> String {
    let mut readelf = tool("readelf", "binutils");
    run(readelf.args(["--wide", what]).arg(library())).expect(0).stdout
}

#[test]
fn the_release_library_is_linked_as_promised() {
    let dynamic = readelf("--dynamic");
    let has = |part: &str| assert!(dynamic.contains(part), "no `{part}` in\n{dynamic}");
    has("Library soname: [libmde.so.0]");
    has("NODELETE");
    has("BIND_NOW");
    for line in dynamic.lines().filter(|line| line.contains("(NEEDED)")) {
        let system = ["libc.so", "libgcc_s.so", "ld-linux", "libm.so", "libpthread.so", "libdl.so"];
        assert!(
            system.iter().any(|name| line.contains(&format!("[{name}"))),
            "needs more than the system has: {line}"
        );
    }
    let sections = readelf("--sections");
    assert!(!sections.contains(".symtab"), "not stripped:\n{sections}");
    assert!(!sections.contains(".debug_"), "not stripped:\n{sections}");
    let segments = readelf("--segments");
    assert!(segments.contains("GNU_RELRO"), "no RELRO:\n{segments}");
    let stack = segments.lines().find(|line| line.contains("GNU_STACK")).unwrap();
    assert!(!stack.contains("RWE"), "an executable stack: {stack}");
}

#[test]
fn the_release_library_is_small() {
    let bytes = std::fs::metadata(library()).unwrap().len();
    assert!(bytes <= MAX_BYTES, "{bytes} bytes, more than {MAX_BYTES}");
}

#[test]
fn the_release_library_gives_nothing_away() {
    let content = std::fs::read(library()).unwrap();
    let holds = |text: &str| content.windows(text.len()).any(|at| at == text.as_bytes());
    assert!(holds("client_secret"), "the search does not work");
    for trace in ["test_hook", "test-hook", "canary-in-panic-text"] {
        assert!(!holds(trace), "holds `{trace}`: built with the feature test-hooks");
    }
    assert!(!holds(ROOT), "holds the path of this checkout, {ROOT}");
}
