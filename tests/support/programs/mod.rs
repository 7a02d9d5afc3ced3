//! Builds the library and the C programs, and runs them.
//!
//! A tool that is missing fails the test with the command that installs it. Nothing is skipped.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mde_simulator::{Config, Simulator};
use serde_json::json;

/// The check of the access, by the example in C.
pub mod checks;
/// From a device to a file, by the example in C.
pub mod fetching;
/// From a list of devices to a folder, by the example in C.
pub mod fleets;
/// The release archive, unpacked.
pub mod installing;
/// The programs in C.
pub mod scenarios;
/// Other targets than this machine.
pub mod targets;
/// Waits that are stopped.
pub mod waits;

pub use crate::{ROOT, target};

/// What every C program here is compiled with.
pub const STRICT: [&str; 5] = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"];

/// How a C program is built and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Against the release `libmde.so`.
    Plain,
    /// The same, under valgrind: no invalid access, no use of what was never set, nothing lost.
    Valgrind,
    /// Under valgrind without the question what was never set, for TLS: in the AES-GCM of ring, which is
    /// written in assembly, valgrind loses track of which bits are set.
    ValgrindForTls,
    /// The C side with AddressSanitizer and UndefinedBehaviorSanitizer, the same `libmde.so`.
    Sanitized,
    /// The C side with ThreadSanitizer, the same `libmde.so`. What the library does by itself is not seen.
    ThreadSanitized,
    /// Against `libmde.a`.
    Static,
    /// Against a `libmde.so` with the feature `test-hooks`.
    TestHooks,
    /// With nothing but an unpacked release archive.
    Installed(installing::Route),
    /// For Windows, against `mde.dll`, under Wine.
    Wine,
    /// For 64-bit Arm, against its `libmde.so`, under qemu.
    Aarch64,
    /// The same, against its `libmde.a`.
    Aarch64Static,
}

/// A folder of one's own, gone when dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let unique = format!("{name}-{}-{count}", std::process::id());
        let folder = crate::scratch().join(unique);
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A command whose absence is explained.
pub fn tool(name: &str, package: &str) -> Command {
    let found =
        Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(found.is_ok(), "`{name}` is missing. On Debian: apt-get install {package}");
    Command::new(name)
}

/// What a finished program left behind.
#[derive(Debug)]
pub struct Finished {
    /// `None`: a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Fails with everything the program printed, unless it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Finished {
        let Finished { stdout, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "exit code\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        self
    }
}

/// Runs a command to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Finished {
    run_with(command, Duration::from_secs(300), |_| {})
}

/// The same, doing something while it runs, and killing it when it takes too long.
#[track_caller]
pub fn run_with(command: &mut Command, limit: Duration, meanwhile: impl FnOnce(u32)) -> Finished {
    // Into files: a program that prints much does not wait for a reader.
    let folder = Scratch::new("run");
    let (out, err) = (folder.0.join("stdout"), folder.0.join("stderr"));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(fs::File::create(&out).unwrap())
        .stderr(fs::File::create(&err).unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    meanwhile(child.id());
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if start.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let is_of_windows = command.get_program() == targets::WINE;
    let read = |path| {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        if is_of_windows { text.replace("\r\n", "\n") } else { text }
    };
    let (stdout, stderr) = (read(&out), read(&err));
    let Some(status) = status else {
        panic!(
            "{command:?} took longer than {limit:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        );
    };
    Finished { code: status.code(), stdout, stderr }
}

/// Runs a command on a terminal. Returns what it showed.
#[track_caller]
pub fn on_a_terminal(command: &Command) -> String {
    on_a_terminal_until(command, 0)
}

/// The same with a command that ends with this code.
#[track_caller]
pub fn on_a_terminal_until(command: &Command, code: i32) -> String {
    // `script` makes the terminal, which has stdout and stderr in one.
    let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
    let words: Vec<_> =
        [command.get_program()].into_iter().chain(command.get_args()).map(quoted).collect();
    let mut script = tool("script", "bsdutils");
    for (name, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        script.env(name, value);
    }
    script.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
    run(&mut script).expect(code).stdout
}

/// Runs cargo on the library, in the target directory of this test.
fn cargo(target: &Path, arguments: &[&str]) -> Finished {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(ROOT).args(arguments);
    without_cargos_own(&mut command).env("CARGO_TARGET_DIR", target);
    run_with(&mut command, Duration::from_secs(1200), |_| {}).expect(0)
}

/// What cargo told this test about its package would look like changes to build scripts.
pub fn without_cargos_own(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "OUT_DIR"]
            .iter()
            .any(|own| name.starts_with(own))
        {
            command.env_remove(name);
        }
    }
    command
}

/// The folder of the release `libmde.so`: `MDE_LIB_DIR`, or where it is built now.
pub fn release() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| match crate::path_in("MDE_LIB_DIR") {
        Some(folder) => folder,
        None => {
            let what = ["--release", "--lib", "--crate-type", "cdylib"];
            cargo(target(), &[&["rustc", "-p", "mde"], &what[..]].concat());
            target().join("release")
        }
    });
    assert!(
        FOLDER.join("libmde.so").is_file(),
        "{} has no libmde.so; MDE_LIB_DIR names the wrong folder",
        FOLDER.display()
    );
    &FOLDER
}

/// The simulator's program: that of `MDE_SIMULATOR`, or one that cargo builds.
pub fn simulator_program() -> PathBuf {
    crate::path_in("MDE_SIMULATOR").unwrap_or_else(|| {
        cargo(target(), &["build", "-p", "mde-simulator"]);
        target().join("debug/mde-simulator")
    })
}

/// The static library, and what a program that links it must link besides: of an archive if `MDE_LIB_DIR` is in one,
/// which says so, and otherwise as the compiler says.
pub fn static_library() -> &'static (PathBuf, Vec<String>) {
    static FOUND: LazyLock<(PathBuf, Vec<String>)> = LazyLock::new(|| {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let archived = release().join("libmde.a");
        if let Ok(text) = fs::read_to_string(release().join("pkgconfig/mde.pc")) {
            let needed = text.lines().find_map(|line| line.strip_prefix("Libs.private:")).unwrap();
            return (archived, words(needed));
        }
        let what = ["rustc", "-p", "mde", "--release", "--lib", "--crate-type", "staticlib"];
        let built =
            cargo(target(), &[&what[..], &["--", "--print", "native-static-libs"]].concat());
        let needed = built.stderr.lines().find_map(|line| line.split_once("native-static-libs: "));
        let needed =
            needed.unwrap_or_else(|| panic!("no list of native libraries in\n{}", built.stderr));
        (target().join("release/libmde.a"), words(needed.1))
    });
    &FOUND
}

/// The folder of a `libmde.so` with the feature `test-hooks`, as the tests themselves have it. Another build may have
/// put one without it in its place: then it is built here.
fn with_test_hooks() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let ours = crate::profile().join("deps");
        let library = fs::read(ours.join("libmde.so")).unwrap_or_default();
        let mark = b"canary-in-panic-text";
        if library.windows(mark.len()).any(|at| at == mark) {
            return ours;
        }
        let own = target().join("test-hooks");
        cargo(&own, &["build", "-p", "mde", "--lib", "--features", "test-hooks"]);
        own.join("debug")
    });
    &FOLDER
}

/// A compiled program, in a folder where it finds the library; gone when dropped.
pub struct Program {
    folder: Scratch,
    name: String,
}

impl Program {
    fn path(&self) -> PathBuf {
        self.folder.0.join(&self.name)
    }

    /// Puts a file beside the program.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// Compiles and links C files (paths from the checkout) into one program.
#[track_caller]
pub fn compile(sources: &[&str], how: How) -> Program {
    compile_with(sources, how, &[])
}

/// The same, with files (name and content) that the sources include.
#[track_caller]
pub fn compile_with(sources: &[&str], how: How, included: &[(&str, &str)]) -> Program {
    compile_also(sources, how, included, &[])
}

/// The same, with further words for the compiler.
#[track_caller]
pub fn compile_also(
    sources: &[&str],
    how: How,
    included: &[(&str, &str)],
    words: &[&str],
) -> Program {
    let stem = Path::new(sources[0]).file_stem().unwrap();
    let ending = if how == How::Wine { ".exe" } else { "" };
    let name = format!("{}{ending}", stem.to_str().unwrap());
    let program = Program { folder: Scratch::new("c"), name };
    for (name, content) in included {
        program.write(name, content);
    }
    if let How::Installed(route) = how {
        installing::build(route, sources, &program.folder, &program.path());
        return program;
    }
    let target = targets::of(how);
    let (compiler, packages) = match how {
        How::ThreadSanitized => ("clang", "clang libclang-rt-dev"),
        _ => target.map_or(("cc", "gcc libc6-dev"), |it| (it.compiler, it.packages)),
    };
    let mut cc = tool(compiler, packages);
    cc.current_dir(ROOT).args(STRICT).args(["-g", "-O1"]);
    cc.args(["-I", "include", "-I", "tests/c", "-I"]);
    cc.arg(&program.folder.0).args(sources);
    if how == How::Sanitized {
        cc.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    }
    if how == How::ThreadSanitized {
        cc.arg("-fsanitize=thread");
    }
    if let Some(target) = target {
        targets::link(&mut cc, target, how, &program.folder.0);
    } else if how == How::Static {
        let (library, needed) = static_library();
        cc.arg(library).arg("-pthread").args(needed);
    } else {
        let folder = &program.folder.0;
        let library = match how {
            How::TestHooks => with_test_hooks(),
            _ => release(),
        };
        // Under its SONAME, as after an installation.
        let library = library.join("libmde.so").canonicalize().unwrap();
        symlink(&library, folder.join("libmde.so")).unwrap();
        symlink(&library, folder.join("libmde.so.0")).unwrap();
        cc.arg("-L").arg(folder).args(["-lmde", "-pthread"]);
        cc.arg(format!("-Wl,-rpath,{}", folder.display()));
    }
    run(cc.args(words).arg("-o").arg(program.path())).expect(0);
    program
}

/// The command that runs a compiled program. Memory errors and leaks end it with 99, races with 66.
pub fn start(program: &Program, how: How) -> Command {
    let mut command = match how {
        How::Valgrind | How::ValgrindForTls => {
            let mut valgrind = tool("valgrind", "valgrind libc6-dbg");
            valgrind.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
            valgrind.arg("--show-leak-kinds=definite,possible,indirect");
            valgrind.arg("--errors-for-leak-kinds=definite,possible,indirect");
            if how == How::ValgrindForTls {
                valgrind.arg("--undef-value-errors=no");
            }
            valgrind.arg(program.path());
            valgrind
        }
        How::ThreadSanitized => {
            // It wants its places in memory free, which newer kernels give away at random.
            let mut fixed = tool("setarch", "util-linux");
            fixed.arg("--addr-no-randomize").arg(program.path());
            fixed
        }
        How::Wine => targets::under_wine(&[&program.path()]),
        How::Aarch64 | How::Aarch64Static => {
            let mut qemu = tool("qemu-aarch64", "qemu-user");
            qemu.args(["-L", "/usr/aarch64-linux-gnu"]).arg(program.path());
            qemu
        }
        _ => Command::new(program.path()),
    };
    command.env("TSAN_OPTIONS", "ignore_noninstrumented_modules=1:exitcode=99");
    command.env("ASAN_OPTIONS", "detect_leaks=1:exitcode=99");
    command.env("UBSAN_OPTIONS", "print_stacktrace=1:exitcode=99");
    command
}

/// A simulator with one machine that never answers, and how C programs reach it.
pub struct Service {
    pub sim: Simulator,
    token: String,
}

/// The certificate of a key that nobody has, in one line.
pub fn certificate() -> String {
    include_str!("certificate.pem").replace('\n', "\\n")
}

/// The machine whose collections are never answered.
const STALLED: usize = 50;

impl Service {
    pub fn start(config: Config) -> Service {
        let sim = Simulator::start(config).unwrap();
        let stalled = sim.machine_id(STALLED);
        let rule = json!({"match": {"path_contains": stalled}, "times": 0, "stall": true});
        sim.script(rule).unwrap();
        let token = match sim.ca_pem() {
            None => token(&sim),
            // The Rust side does not need one there.
            Some(_) => String::new(),
        };
        sim.clear_requests();
        Service { sim, token }
    }

    pub fn stalled_machine(&self) -> String {
        self.sim.machine_id(STALLED)
    }

    /// Gives a program of `tests/c` the address and credentials it asks for.
    pub fn describe<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let machines: Vec<_> = (0..4).map(|n| self.sim.machine_id(n)).collect();
        command
            .env("MDE_TEST_URL", self.sim.api_url())
            .env("MDE_TEST_TENANT", mde_simulator::DEFAULT_TENANT)
            .env("MDE_TEST_CLIENT", mde_simulator::DEFAULT_CLIENT)
            .env("MDE_TEST_SECRET", mde_simulator::DEFAULT_SECRET)
            .env("MDE_TEST_MACHINES", machines.join(" "))
            .env("MDE_TEST_STALLED_MACHINE", self.stalled_machine())
            .env("MDE_TEST_TOKEN", &self.token)
            .env("MDE_TEST_CERTIFICATE", certificate())
    }

    /// The same for examples, which read options from `MDE_OPTION_<NAME>`; actions are polled ten times a second.
    pub fn as_options<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("MDE_OPTION_API_URL", self.sim.api_url())
            .env("MDE_OPTION_LOGIN_URL", self.sim.api_url())
            .env("MDE_OPTION_TENANT_ID", mde_simulator::DEFAULT_TENANT)
            .env("MDE_OPTION_CLIENT_ID", mde_simulator::DEFAULT_CLIENT)
            .env("MDE_OPTION_CLIENT_SECRET", mde_simulator::DEFAULT_SECRET)
            .env("MDE_OPTION_POLL_INTERVAL_MS", "100")
    }
}

/// A token of the simulator, as a host that signs in by itself would have one: read off a request.
fn token(sim: &Simulator) -> String {
    let mut options = mde::Options::new();
    for (name, value) in [
        ("api_url", sim.api_url().as_str()),
        ("login_url", sim.login_url().as_str()),
        ("tenant_id", mde_simulator::DEFAULT_TENANT),
        ("client_id", mde_simulator::DEFAULT_CLIENT),
        ("client_secret", mde_simulator::DEFAULT_SECRET),
    ] {
        options.set(name, value).unwrap();
    }
    mde::Client::new(&options).unwrap().actions("", None).unwrap();
    let requests = sim.requests();
    let header = requests
        .iter()
        .flat_map(|request| &request.headers)
        .find(|(name, _)| name == "authorization")
        .unwrap();
    header.1.strip_prefix("Bearer ").unwrap().to_owned()
}
