//! Builds C++ programs against an unpacked archive and runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mde_simulator::{Config, QuotaMode};

use mde_tests::programs::installing::installed;
use mde_tests::programs::{ROOT, Scratch, Service, run, tool};

/// What every C++ program here is compiled with.
pub const STRICT: [&str; 7] =
    ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wold-style-cast", "-Werror"];

/// A compiler, the Debian package that has it, and its own warnings.
pub type Compiler = (&'static str, &'static str, &'static [&'static str]);
pub const GCC: Compiler = ("g++", "g++", &["-Weffc++", "-Wuseless-cast"]);
/// Those of `-Weverything` that are not about the layout of types or about standards before C++17.
pub const CLANG: Compiler = (
    "clang++",
    "clang",
    &[
        "-Wcast-qual",
        "-Wcomma",
        "-Wdeprecated",
        "-Wdocumentation",
        "-Wdouble-promotion",
        "-Wextra-semi-stmt",
        "-Wheader-hygiene",
        "-Wmissing-noreturn",
        "-Wnon-virtual-dtor",
        "-Wreserved-identifier",
        "-Wshadow-all",
        "-Wswitch-enum",
        "-Wthread-safety",
        "-Wundef",
        "-Wunreachable-code-aggressive",
        "-Wunused-macros",
        "-Wzero-as-null-pointer-constant",
    ],
);

/// One way to build programs, with a folder of its own.
pub struct Build {
    pub prefix: Scratch,
    compiler: Compiler,
    flags: Vec<String>,
    valgrind: bool,
}

impl Build {
    pub fn new(compiler: Compiler, standard: &str) -> Build {
        let flags = [format!("-std={standard}"), "-g1".to_owned(), "-O0".to_owned()];
        let strict = STRICT.iter().chain(compiler.2).map(|&flag| flag.to_owned());
        let flags = flags.into_iter().chain(strict).collect();
        Build { prefix: installed(), compiler, flags, valgrind: false }
    }

    pub fn with(mut self, flags: &[&str]) -> Build {
        self.flags.extend(flags.iter().map(|&flag| flag.to_owned()));
        self
    }

    /// GCC knows some of its warnings from optimising, which takes most of the time.
    pub fn optimised(self) -> Build {
        self.with(&["-O1"])
    }

    pub fn sanitized(self, sanitizers: &str) -> Build {
        self.with(&[&format!("-fsanitize={sanitizers}"), "-fno-sanitize-recover=all"])
    }

    pub fn under_valgrind(mut self) -> Build {
        self.valgrind = true;
        self
    }

    fn compiler(&self) -> Command {
        let mut command = tool(self.compiler.0, self.compiler.1);
        command.args(&self.flags).arg("-I").arg(self.prefix.0.join("include"));
        command
    }

    fn compiled(&self, source: &Path, flags: &[&str]) -> PathBuf {
        let object = self.prefix.0.join(source.with_extension("o").file_name().unwrap());
        run(self.compiler().args(flags).arg("-c").arg(source).arg("-o").arg(&object)).expect(0);
        object
    }

    /// Compiles a file of `tests/cpp`, with more flags.
    #[track_caller]
    pub fn object(&self, name: &str, flags: &[&str]) -> PathBuf {
        self.compiled(&Path::new(ROOT).join("tests/cpp").join(name), flags)
    }

    /// Compiles C.
    pub fn c_object(&self, name: &str, text: &str) -> PathBuf {
        let source = self.prefix.0.join(format!("{name}.c"));
        let object = source.with_extension("o");
        fs::write(&source, text).unwrap();
        run(tool("cc", "gcc").arg("-c").arg(&source).arg("-o").arg(&object)).expect(0);
        object
    }

    /// Links objects or sources with the library. Objects that define all of its functions need none of it.
    #[track_caller]
    pub fn link(&self, name: &str, parts: &[PathBuf]) -> Command {
        let program = self.prefix.0.join(name);
        let lib = self.prefix.0.join("lib");
        let mut link = self.compiler();
        link.args(parts).arg("-L").arg(&lib).args(["-lmde", "-pthread"]);
        link.arg(format!("-Wl,-rpath,{}", lib.display()));
        run(link.arg("-o").arg(&program)).expect(0);
        let mut command = if self.valgrind {
            let mut valgrind = tool("valgrind", "valgrind libc6-dbg");
            valgrind.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]).arg(program);
            valgrind
        } else {
            Command::new(program)
        };
        command.env("ASAN_OPTIONS", "detect_leaks=1:exitcode=99");
        command.env("UBSAN_OPTIONS", "print_stacktrace=1:exitcode=99");
        let suppressions = Path::new(ROOT).join("tests/cpp/tsan.supp");
        command.env("TSAN_OPTIONS", format!("suppressions={}", suppressions.display()));
        command
    }

    /// The command that only compiles a text.
    pub fn checking(&self, text: &str, flags: &[&str]) -> Command {
        let source = self.prefix.0.join("checked.cpp");
        fs::write(&source, text).unwrap();
        let mut command = self.compiler();
        command.args(flags).arg("-fsyntax-only").arg(source);
        command
    }
}

/// Runs a program of `tests/cpp` against a simulator; it has to say these things, and that all is well.
#[track_caller]
pub fn succeeds(mut program: Command, says: &[&str]) {
    let service = Service::start(Config { quota_mode: QuotaMode::Off, ..Config::default() });
    service.sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.3));
    let folder = Scratch::new("packages");
    service.describe(&mut program).env("MDE_TEST_FOLDER", &folder.0);
    let finished = run(&mut program).expect(0);
    for part in says.iter().chain(&["all checks passed"]) {
        assert!(finished.stdout.contains(part), "no `{part}` in\n{}", finished.stdout);
    }
}

/// The same for a program of one file.
#[track_caller]
pub fn passes(build: &Build, source: &str, says: &[&str]) {
    succeeds(build.link("program", &[build.object(source, &[])]), says);
}
