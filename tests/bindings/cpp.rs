//! The header for C++, as programs meet it: with two compilers, in two standards, with and without exceptions.
//! The slow ways are in the module `full`, which `tests/run.sh core` leaves out.

use std::collections::BTreeSet;
use std::path::Path;

mod building;
mod example;

use building::{Build, CLANG, GCC, passes};
use example::Example;
use mde_tests::programs::targets::under_wine;
use mde_tests::programs::{ROOT, Scratch, run, tool};

const WITHOUT: [&str; 2] = ["-fno-exceptions", "-fno-rtti"];

/// The headers for C++, by their names under `include`.
fn headers() -> Vec<String> {
    let include = Path::new(ROOT).join("include");
    let of = |folder: &str| {
        let files = std::fs::read_dir(include.join(folder)).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let headers = names.filter(|name| name.ends_with(".hpp"));
        headers.map(|name| format!("{folder}{name}")).collect::<Vec<_>>()
    };
    let mut all = [of(""), of("mde/"), of("mde/detail/")].concat();
    all.sort();
    all
}

/// All of them, one after the other.
fn all_headers() -> String {
    let text = |name| std::fs::read_to_string(format!("{ROOT}/include/{name}")).unwrap();
    headers().iter().map(text).collect()
}

/// The words of a header that are not in a comment.
fn words(text: &str) -> BTreeSet<&str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with(['*', '/']));
    let code = code.map(|line| line.split("//").next().unwrap());
    code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')).collect()
}

#[test]
fn every_function_and_constant_has_a_counterpart() {
    let headers = all_headers();
    let words = words(&headers);
    for function in include_str!("../abi/exports.txt").lines() {
        assert!(words.contains(function), "{function} is not called in include/mde");
    }
    for line in include_str!("../../include/mde.h").lines() {
        let constant = line.strip_prefix("#define ").and_then(|it| it.split(' ').next());
        let named =
            |it: &&str| ["MDE_OK", "MDE_ERR_", "MDE_LOG_"].iter().any(|p| it.starts_with(p));
        if let Some(constant) = constant.filter(named) {
            let name =
                ["MDE_ERR_", "MDE_LOG_", "MDE_"].iter().find_map(|p| constant.strip_prefix(p));
            let row = format!("    {} = {constant},\n", name.unwrap().to_lowercase());
            assert!(headers.contains(&row), "include/mde/ lacks `{}`", row.trim());
        }
    }
}

#[track_caller]
fn each_header_alone(build: &Build, flags: &[&str]) {
    let headers = headers();
    assert!(headers.len() > 10, "{headers:?}");
    for header in headers {
        // Twice, since a program may.
        let text = format!("#include <{header}>\n#include <{header}>\n");
        run(&mut build.checking(&text, flags)).expect(0);
    }
}

#[test]
fn every_header_compiles_alone() {
    each_header_alone(&Build::new(GCC, "c++17"), &[]);
}

/// What a release needs: the other half of the pairs of compilers and standards, and memory that two tools look at.
mod release_only {
    use super::*;

    #[test]
    fn every_header_compiles_alone_without_exceptions() {
        each_header_alone(&Build::new(CLANG, "c++2b"), &WITHOUT);
    }

    #[test]
    fn the_newest_standard_has_no_warnings_by_gcc() {
        check_the_newest_standard(GCC);
    }

    #[test]
    fn structs_are_read_from_any_document_by_clang() {
        passes(&Build::new(CLANG, "c++20"), "structs.cpp", &[]);
    }

    #[test]
    fn with_clang_and_the_newer_standard() {
        passes(&Build::new(CLANG, "c++20"), "lifecycle.cpp", &["with stop_token"]);
        passes(&Build::new(CLANG, "c++20"), "fleet.cpp", &[]);
    }

    /// Those of clang look at the same programs in each run.
    #[test]
    fn with_sanitizers_of_gcc() {
        let build = Build::new(GCC, "c++20").sanitized("address,undefined");
        passes(&build, "lifecycle.cpp", &["with stop_token"]);
        passes(&build, "structs.cpp", &[]);
    }

    #[test]
    fn under_valgrind() {
        let build = Build::new(GCC, "c++20").under_valgrind();
        passes(&build, "lifecycle.cpp", &["with stop_token"]);
        passes(&build, "fleet.cpp", &[]);
    }
}

/// All of what it offers, in the newest standard. [`with_gcc`] and [`with_clang`] compile the same program in the others.
#[test]
fn the_newest_standard_has_no_warnings() {
    check_the_newest_standard(CLANG);
}

#[track_caller]
fn check_the_newest_standard(compiler: building::Compiler) {
    let program = include_str!("../cpp/lifecycle.cpp").replace("#include \"support.hpp\"", "");
    let program = format!("{}{program}", include_str!("../cpp/support.hpp"));
    // The guard of the support header is a macro of the program here.
    let build = Build::new(compiler, "c++2b");
    run(&mut build.checking(&program, &["-Wno-unused-macros"])).expect(0);
}

/// Other headers define macros by names that a library may have: those of macOS, of the C library, of Windows, of X11
/// and of Qt. Each is made to what is an error wherever it stands.
#[test]
fn macros_of_others_do_no_harm() {
    let headers = all_headers() + include_str!("../../include/mde.h");
    let standard = |line: &&str| line.starts_with("#include <") && !line.contains("<stop_token>");
    let mut text: String =
        headers.lines().filter(standard).map(|line| format!("{line}\n")).collect();
    let names = "check require verify major minor makedev errno min max small near far interface IN OUT ERROR DELETE \
                 Status Bool None Success True False signals slots emit foreach unix linux";
    for name in names.split(' ') {
        text += &format!("#undef {name}\n#define {name} )(\n");
    }
    text += "#include <mde.hpp>\nint main() {}\n";
    for compiler in [GCC, CLANG] {
        let build = Build::new(compiler, "c++17").with(&["-Wno-unused-macros"]);
        run(&mut build.checking(&text, &[])).expect(0);
        let broken = text.replace("int main() {}", "int check() { return 0; }");
        run(&mut build.checking(&broken, &[])).expect(1);
    }
}

#[test]
fn structs_are_read_from_any_document() {
    passes(&Build::new(GCC, "c++17").optimised(), "structs.cpp", &[]);
}

#[test]
fn with_gcc() {
    passes(&Build::new(GCC, "c++17").optimised(), "lifecycle.cpp", &[]);
    passes(&Build::new(GCC, "c++20"), "lifecycle.cpp", &["with stop_token"]);
}

/// In the newer standard it passes with the sanitizers of clang.
#[test]
fn with_clang() {
    passes(&Build::new(CLANG, "c++17"), "lifecycle.cpp", &[]);
}

#[test]
fn a_job_over_several_devices() {
    passes(&Build::new(GCC, "c++17").optimised(), "fleet.cpp", &[]);
}

#[test]
fn destructors_at_the_end_may_use_it() {
    passes(&Build::new(GCC, "c++17").optimised(), "last_moments.cpp", &[]);
}

#[test]
fn without_exceptions() {
    passes(&Build::new(GCC, "c++17").with(&WITHOUT), "without_exceptions.cpp", &[]);
    passes(&Build::new(CLANG, "c++20").with(&WITHOUT), "without_exceptions.cpp", &[]);
}

/// In both orders: the linker keeps the first of two equal functions, and one that was compiled without
/// exceptions ends the program where the other one catches.
#[test]
fn parts_without_exceptions_leave_those_with_them_alone() {
    let build = Build::new(GCC, "c++17").with(&["-DMDE_TEST_PARTS"]);
    let mut parts =
        [build.object("catching.cpp", &[]), build.object("without_exceptions.cpp", &WITHOUT)];
    for name in ["catching_first", "catching_last"] {
        building::succeeds(build.link(name, &parts), &[]);
        parts.reverse();
    }
}

/// A library of another ABI, in C: two functions tell so, the others end the program.
fn other_library() -> String {
    let mut library = String::from("#include <stdlib.h>\n");
    for function in include_str!("../abi/exports.txt").lines() {
        let body = match function {
            "mde_abi_version" => "return 99;",
            "mde_version" => "return \"7.8.9\";",
            _ => "abort();",
        };
        let kind = if function == "mde_version" { "const char *" } else { "unsigned " };
        library.push_str(&format!("{kind}{function}(void) {{ {body} }}\n"));
    }
    library
}

#[test]
fn a_library_of_another_abi_is_refused() {
    let build = Build::new(GCC, "c++20");
    let library = build.c_object("other", &other_library());
    let program = build.link("other_abi", &[build.object("other_abi.cpp", &[]), library]);
    building::succeeds(program, &[]);
}

/// What must not compile, each for its reason.
#[test]
fn mistakes_are_refused() {
    let build = Build::new(CLANG, "c++17");
    for (mistake, reason) in [
        ("void f(mde::options &o) { o.set(\"cloud\", \"eu\"); }", "ignoring return value"),
        ("void f(mde::client &c) { mde::client d(c); }", "deleted"),
        ("void f(mde::cancellation &c) { mde::cancellation d(c); }", "deleted"),
        ("void f(mde::options &c) { mde::options d(c); }", "deleted"),
        ("auto f(mde::document &d) { return d.get<double>(\"/a\"); }", "T is std::string, bool"),
        ("void f(mde::options &o) { (void)o.set(\"cloud\", true); }", "no matching member"),
        ("void f(mde::options &o) { (void)o.set(\"cloud\", nullptr); }", "deleted function"),
    ] {
        let source = format!("#include <mde.hpp>\n{mistake}\n");
        let said = run(&mut build.checking(&source, &[])).expect(1).stderr;
        assert!(said.contains(reason), "{mistake}: {said}");
    }
    let throwing =
        "#include <mde.hpp>\nvoid f(mde::options &o) { o.set(\"cloud\", \"eu\").value(); }\n";
    run(&mut build.checking(throwing, &[])).expect(0);
    let said = run(&mut build.checking(throwing, &WITHOUT)).expect(1).stderr;
    assert!(said.contains("no member named 'value'"), "{said}");
}

/// Its first program runs, by the command beside it; the others compile.
#[test]
fn the_quick_start_works() {
    let blocks = |language: &str| -> Vec<&'static str> {
        let opening = format!("```{language}\n");
        let page = include_str!("../../docs/cpp.md");
        page.split(&*opening.leak()).skip(1).map(|it| it.split("```").next().unwrap()).collect()
    };
    let (programs, commands) = (blocks("cpp"), blocks("sh"));
    assert_eq!((programs.len(), commands.len()), (6, 1));
    // Each by one of them, since the header is compiled by both in other tests.
    let builds = [Build::new(GCC, "c++17"), Build::new(CLANG, "c++20")];
    for (program, build) in programs.iter().zip(builds.iter().cycle()) {
        run(&mut build.checking(program, &[])).expect(0);
    }
    run(&mut Build::new(GCC, "c++17").checking(programs[1], &WITHOUT)).expect(0);
    example::quick_start(programs[0], commands[0]);
}

#[test]
fn the_example_fetches() {
    Example::new(Build::new(GCC, "c++17")).succeeds();
}

#[test]
fn the_example_fails_helpfully() {
    Example::new(Build::new(GCC, "c++17")).fails_helpfully();
}

#[test]
fn the_example_can_be_interrupted() {
    Example::new(Build::new(CLANG, "c++20")).can_be_interrupted();
}

mod full {
    use super::*;

    #[test]
    fn with_sanitizers() {
        let build = Build::new(GCC, "c++20").sanitized("address,undefined");
        passes(&build, "fleet.cpp", &[]);
        passes(&build, "without_exceptions.cpp", &[]);
        let example = Example::new(Build::new(GCC, "c++17").sanitized("address,undefined"));
        example.succeeds();
        example.fails_helpfully();
        example.can_be_interrupted();
    }

    /// The other compiler's, which look at more, such as functions called through pointers of another type.
    #[test]
    fn with_sanitizers_of_clang() {
        let build = Build::new(CLANG, "c++20").sanitized("address,undefined");
        passes(&build, "lifecycle.cpp", &["with stop_token"]);
        passes(&build, "structs.cpp", &[]);
    }

    /// The header and what it makes of the standard library; the library itself synchronises where the sanitizer
    /// cannot see it.
    #[test]
    fn with_thread_sanitizer() {
        let build = Build::new(CLANG, "c++20").sanitized("thread");
        passes(&build, "lifecycle.cpp", &["with stop_token"]);
    }

    /// With the other standard library of Linux, which has no `std::stop_token` in this version.
    #[test]
    fn with_libcxx() {
        let build = Build::new(CLANG, "c++20").with(&["-stdlib=libc++"]);
        passes(&build, "lifecycle.cpp", &[]);
        passes(&build, "structs.cpp", &[]);
    }

    /// With the macros of `windows.h` before it.
    #[test]
    fn for_windows() {
        let folder = Scratch::new("windows");
        let source = folder.0.join("twice.cpp");
        let text = "#include <windows.h>\n#include <mde.hpp>\n#include <filesystem>\n\
            bool f(const std::filesystem::path &p) { return mde::inspect_package(p).has_value(); }\n";
        std::fs::write(&source, text).unwrap();
        for standard in ["c++17", "c++20"] {
            let mut cross = tool("x86_64-w64-mingw32-g++", "g++-mingw-w64-x86-64");
            cross.args(building::STRICT).arg(format!("-std={standard}")).arg("-fsyntax-only");
            run(cross.arg("-I").arg(format!("{ROOT}/include")).arg(&source)).expect(0);
        }
    }

    /// What has no place in a code page comes in as it is.
    #[test]
    fn the_example_reads_unicode_on_windows() {
        let folder = Scratch::new("fetch");
        let (library, program) = (folder.0.join("other.o"), folder.0.join("fetch.exe"));
        let source = folder.0.join("other.c");
        std::fs::write(&source, other_library()).unwrap();
        let mut cc = tool("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64");
        run(cc.arg("-c").arg(&source).arg("-o").arg(&library)).expect(0);
        let cross = |standard: &str| {
            let mut cross = tool("x86_64-w64-mingw32-g++-posix", "g++-mingw-w64-x86-64");
            cross.args(building::STRICT).arg(format!("-std={standard}"));
            cross.arg("-I").arg(format!("{ROOT}/include"));
            cross.arg(format!("{ROOT}/examples/cpp/fetch.cpp"));
            cross
        };
        run(cross("c++20").arg("-fsyntax-only")).expect(0);
        run(cross("c++17").arg("-static").arg(&library).arg("-o").arg(&program)).expect(0);
        let said = run(&mut under_wine(&[&program, &"--größe日本"])).expect(2).stderr;
        assert!(said.contains("fetch: unknown argument: --größe日本 "), "{said}");
        let fetch = ["--machine", "m", "--comment", "c"];
        let mut named = under_wine(&[&program]);
        let said = run(named.args(fetch).env("MDE_TENANT_ID", "日本")).expect(2).stderr;
        assert!(said.contains("has ABI 99"), "{said}");
    }
}
