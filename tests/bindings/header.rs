//! `mde.h` for every compiler and every generator of bindings: what they accept, and what trips them.

use std::collections::BTreeMap;
use std::process::Command;

use mde_tests::programs::{ROOT, Scratch, run, tool};

const HEADER: &str = include_str!("../../include/mde.h");

/// Each with the Debian package that has it.
const C: [(&str, &str); 2] = [("gcc", "gcc libc6-dev"), ("clang", "clang")];
const CPP: [(&str, &str); 2] = [("g++", "g++"), ("clang++", "clang")];

/// The standards, under all names that compilers have for them.
const C_STANDARDS: [&[&str]; 5] = [&["c89"], &["c99"], &["c11"], &["c17"], &["c23", "c2x"]];
const CPP_STANDARDS: [&[&str]; 6] =
    [&["c++98"], &["c++11"], &["c++14"], &["c++17"], &["c++20"], &["c++23", "c++2b"]];

/// Compiles a file that includes the header twice, with every warning an error.
#[track_caller]
fn compiles(compiler: (&str, &str), language: &str, options: &[&str]) {
    let scratch = Scratch::new("header");
    let source = scratch.0.join("twice");
    std::fs::write(&source, "#include \"mde.h\"\n#include \"mde.h\"\n").unwrap();
    let mut command = tool(compiler.0, compiler.1);
    command.args(["-x", language, "-fsyntax-only", "-pedantic-errors", "-Wall", "-Wextra"]);
    command.arg("-Werror").args(options).args(["-I", &format!("{ROOT}/include")]);
    run(command.arg(source)).expect(0);
}

/// Whether the compiler knows a standard, by trying it.
fn knows(compiler: &str, language: &str, standard: &str) -> bool {
    let mut command = Command::new(compiler);
    command.args(["-x", language, &format!("-std={standard}"), "-fsyntax-only", "/dev/null"]);
    run(&mut command).code == Some(0)
}

#[track_caller]
fn compiles_as_all(compilers: [(&str, &str); 2], language: &str, standards: &[&[&str]]) {
    for compiler in compilers {
        for names in standards {
            let known = names.iter().find(|name| knows(compiler.0, language, name));
            let known = known.unwrap_or_else(|| panic!("{} knows none of {names:?}", compiler.0));
            compiles(compiler, language, &[&format!("-std={known}")]);
        }
    }
}

#[test]
fn it_is_c_of_every_standard() {
    compiles_as_all(C, "c", &C_STANDARDS);
}

#[test]
fn it_is_cpp_of_every_standard() {
    compiles_as_all(CPP, "c++", &CPP_STANDARDS);
}

/// The comments name the parameters that there are, and results where there are some.
#[test]
fn its_comments_are_about_what_they_stand_above() {
    compiles(C[1], "c", &["-std=c99", "-Wdocumentation"]);
    compiles(CPP[1], "c++", &["-std=c++17", "-Wdocumentation"]);
}

#[test]
fn it_is_plain_text_for_every_generator() {
    assert!(HEADER.is_ascii(), "not ASCII");
    assert!(!HEADER.contains("//"), "comments of C++");
    assert!(!HEADER.contains("size_t"), "a type of another size on other systems");
    let included: Vec<_> = HEADER.lines().filter(|line| line.starts_with("#include")).collect();
    assert_eq!(included, ["#include <stdint.h>"]);
    for line in HEADER.lines().filter(|line| line.starts_with("#define MDE_")) {
        let words: Vec<_> = line.split(' ').collect();
        let value = words.get(2).copied().unwrap_or_default();
        let is_macro = matches!(words[1], "MDE_H" | "MDE_API" | "MDE_HEADER_VERSION");
        assert!(is_macro || (words.len() == 3 && value.parse::<u32>().is_ok()), "{line}");
    }
}

#[test]
fn its_first_page_is_short() {
    let (first, _) = HEADER.split_once("*/").unwrap();
    let lines = first.lines().count();
    assert!((20..=80).contains(&lines), "{lines} lines");
}

/// What is left for a program that compiles it: what the preprocessor gives, without that of `<stdint.h>`.
fn code() -> String {
    let mut cc = tool("cc", "gcc libc6-dev");
    let text =
        run(cc.args(["-E", "-P", "-xc"]).arg(format!("{ROOT}/include/mde.h"))).expect(0).stdout;
    let (_, ours) = text.split_once("typedef struct mde_").expect("no types of ours");
    format!("typedef struct mde_{ours}")
}

/// What cffi, LuaJIT and PHP read as it is.
#[test]
fn the_preprocessor_leaves_declarations_alone() {
    let code = code();
    for forbidden in ['#', '{', '}', '"', '[', '='] {
        assert!(!code.contains(forbidden), "`{forbidden}` in\n{code}");
    }
    assert!(!code.contains("__"), "an extension in\n{code}");
    let mut functions = 0;
    for declaration in code.split(';').map(str::trim).filter(|one| !one.is_empty()) {
        let begins = |with: &str| declaration.starts_with(with);
        let is_type = begins("typedef ");
        let results =
            ["mde_status mde_", "void mde_", "uint32_t mde_", "uint64_t mde_", "const char *mde_"];
        let handles = ["mde_options *mde_", "mde_cancel *mde_"];
        let is_function = results.into_iter().chain(handles).any(begins);
        assert!(is_type || (is_function && declaration.ends_with(')')), "{declaration}");
        functions += usize::from(is_function);
    }
    assert_eq!(functions, include_str!("../abi/exports.txt").lines().count());
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Ada, Pascal, Fortran and Visual Basic take them for one.
#[test]
fn no_two_names_differ_in_case_alone() {
    let code = code();
    let macros = HEADER.lines().filter_map(|line| line.strip_prefix("#define ")?.split(' ').next());
    let mut names = BTreeMap::new();
    for name in words(&code).chain(macros) {
        let other = names.insert(name.to_ascii_lowercase(), name);
        assert!(other.is_none_or(|other| other == name), "{name} and {}", other.unwrap());
    }
    assert!(names.contains_key("mde_h") && names.contains_key("mde_fetch_package"), "{names:?}");
}

/// Keywords and types of other languages.
#[test]
fn no_parameter_is_a_keyword_elsewhere() {
    let code = code();
    for taken in [
        "string",
        "pointer",
        "scope",
        "object",
        "type",
        "function",
        "end",
        "in",
        "out",
        "ref",
        "begin",
        "procedure",
        "interface",
        "self",
        "this",
        "class",
        "default",
        "integer",
        "record",
        "range",
    ] {
        assert!(words(&code).all(|word| !word.eq_ignore_ascii_case(taken)), "a name is `{taken}`");
    }
}

/// Each with its comment.
fn functions() -> Vec<(&'static str, &'static str)> {
    let function = |(at, marker): (usize, &str)| {
        let (before, behind) = (&HEADER[..at], &HEADER[at + marker.len()..]);
        (before.rsplit("/**").next().unwrap(), behind.split(';').next().unwrap())
    };
    HEADER.match_indices("\nMDE_API\n").map(function).collect()
}

#[test]
fn every_parameter_and_result_has_its_line() {
    let functions = functions();
    assert_eq!(functions.len(), include_str!("../abi/exports.txt").lines().count());
    for (comment, declaration) in functions {
        let (head, parameters) = declaration.split_once('(').unwrap();
        for parameter in parameters.trim_end_matches(')').split(',').filter(|one| *one != "void") {
            let name = words(parameter).last().unwrap();
            assert!(comment.contains(&format!("@param {name} ")), "{head}: no line about {name}");
        }
        if head.starts_with("mde_status") {
            assert!(comment.contains("@retval MDE_OK "), "{head}: no line about MDE_OK");
        } else if !head.starts_with("void") {
            assert!(comment.contains("@return "), "{head}: no line about the result");
        }
    }
}

/// In sections, the main function first.
#[test]
fn every_section_has_its_title() {
    let titles: Vec<_> =
        HEADER.lines().filter_map(|line| line.strip_prefix("/** @name ")).collect();
    assert_eq!(titles[..5], ["Versions", "Log levels", "Statuses", "Types", "Packages"]);
    assert_eq!(HEADER.matches("@{").count(), titles.len());
    assert_eq!(HEADER.matches("@}").count(), titles.len());
    assert!(functions()[0].1.contains("mde_fetch_package("), "the main function is not the first");
}
