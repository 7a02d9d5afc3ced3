//! The README says nothing that is not run: its program compiles and works, its commands are those of the
//! scripts, its functions are those of the library.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../README.md");

fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    README.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_program_compiles_without_a_warning() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (n, program) in blocks("c").into_iter().enumerate() {
        let source = folder.join(format!("readme-{n}.c"));
        std::fs::write(&source, program).unwrap();
        let output = Command::new("cc")
            .args(["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
            .arg(&source)
            .output()
            .expect("the C compiler is missing; run: apt-get install -y gcc libc6-dev");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(blocks("c").len(), 1);
}

#[test]
fn every_command_is_run_by_a_script() {
    let scripts = concat!(
        include_str!("run.sh"),
        include_str!("../.ci/run"),
        include_str!("../examples/demo.sh")
    );
    let commands: Vec<_> =
        blocks("sh").into_iter().flat_map(str::lines).filter(|l| !l.is_empty()).collect();
    assert_eq!(commands.len(), 3);
    for command in commands {
        let command = command.trim_start_matches("./");
        assert!(scripts.contains(command), "no script runs `{command}`");
    }
}

#[test]
fn every_exported_function_is_named() {
    for function in include_str!("abi/exports.txt").split_whitespace() {
        let family =
            ["mde_options_", "mde_client_", "mde_cancel_"].iter().any(|f| function.starts_with(f));
        assert!(family || README.contains(function), "{function} is not in the README");
    }
}
