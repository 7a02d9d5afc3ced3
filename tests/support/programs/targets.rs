//! Other targets than this machine: how programs for them are built, and what runs them here.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use super::{How, ROOT, run, run_with, symlink, target, tool};

/// What is built for it, and with what.
pub struct Target {
    /// Rust's name.
    pub name: &'static str,
    pub compiler: &'static str,
    /// The Debian packages with the compiler and what runs its programs.
    pub packages: &'static str,
    /// Names the folder with the libraries, if they are there already.
    variable: &'static str,
    folder: OnceLock<PathBuf>,
}

static WINDOWS: Target = Target {
    name: "x86_64-pc-windows-gnu",
    compiler: "x86_64-w64-mingw32-gcc",
    packages: "mingw-w64 wine64",
    variable: "MDE_LIB_DIR_WINDOWS",
    folder: OnceLock::new(),
};

static AARCH64: Target = Target {
    name: "aarch64-unknown-linux-gnu",
    compiler: "aarch64-linux-gnu-gcc",
    packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
    variable: "MDE_LIB_DIR_AARCH64",
    folder: OnceLock::new(),
};

/// `None`: this machine's own.
pub fn of(how: How) -> Option<&'static Target> {
    match how {
        How::Wine => Some(&WINDOWS),
        How::Aarch64 | How::Aarch64Static => Some(&AARCH64),
        _ => None,
    }
}

impl Target {
    /// The folder with its libraries, built now unless a variable names one.
    pub fn folder(&self) -> &Path {
        self.folder.get_or_init(|| match crate::path_in(self.variable) {
            Some(folder) => folder,
            None => {
                let mut package = Command::new("./packaging/package.sh");
                package.arg(self.name).current_dir(ROOT).env("CARGO_TARGET_DIR", target());
                run_with(&mut package, Duration::from_secs(1800), |_| {}).expect(0);
                target().join("package/build").join(self.name).join("archive")
            }
        })
    }
}

/// Links a program in `folder` with the library, and puts beside it what it needs to run.
pub fn link(cc: &mut Command, target: &Target, how: How, folder: &Path) {
    let there = |name: &str| {
        let path = target.folder().join(name);
        assert!(
            path.is_file(),
            "no {}; {} names the wrong folder",
            path.display(),
            target.variable
        );
        path.canonicalize().unwrap()
    };
    match how {
        How::Wine => {
            symlink(there("mde.dll"), folder.join("mde.dll")).unwrap();
            symlink(wine().join(PRNG), folder.join(PRNG)).unwrap();
            cc.arg(there("libmde.dll.a")).args(["-static", "-pthread"]);
        }
        How::Aarch64Static => {
            cc.arg(there("libmde.a"))
                .args(["-pthread", "-lgcc_s", "-lutil", "-lrt", "-lm", "-ldl"]);
        }
        _ => {
            for name in ["libmde.so", "libmde.so.0"] {
                symlink(there("libmde.so"), folder.join(name)).unwrap();
            }
            cc.arg("-L").arg(folder).args(["-lmde", "-pthread"]);
            cc.arg(format!("-Wl,-rpath,{}", folder.display()));
        }
    }
}

/// Puts the library for Windows, and what it needs under Wine, beside a program that is not linked with it.
pub fn put_library_of_windows(folder: &Path) {
    std::fs::copy(WINDOWS.folder().join("mde.dll"), folder.join("mde.dll")).unwrap();
    put_random_numbers(folder);
}

/// Puts the source of random numbers, which this Wine lacks, into a folder.
pub fn put_random_numbers(folder: &Path) {
    std::fs::copy(wine().join(PRNG), folder.join(PRNG)).unwrap();
}

pub const WINE: &str = "/usr/lib/wine/wine64";

const PRNG: &str = "bcryptprimitives.dll";

const INTERRUPTER: &str = "interrupter.exe";

/// A folder with what every program under Wine needs, and Wine's own files.
fn wine() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = target().join("wine");
        std::fs::create_dir_all(&folder).unwrap();
        for (source, name, more) in [
            ("tests/c/bcryptprimitives.c", PRNG, ["-shared", "-ladvapi32"]),
            ("tests/c/interrupter.c", INTERRUPTER, ["-static", "-s"]),
        ] {
            let mut cc = tool(WINDOWS.compiler, WINDOWS.packages);
            cc.current_dir(ROOT).args(super::STRICT).args(["-O1", source]).args(more);
            run(cc.arg("-o").arg(folder.join(name))).expect(0);
        }
        // One of an earlier run that was ended in the middle would be waited for.
        run(Command::new("/usr/lib/wine/wineserver")
            .arg("-k")
            .env("WINEPREFIX", folder.join("prefix")));
        // The first program makes the folder with the system, and must not be disturbed by a second one.
        let mut first = wine_in(&folder);
        run(first.args(["cmd", "/c", "exit"])).expect(0);
        folder
    });
    &FOLDER
}

fn wine_in(folder: &Path) -> Command {
    assert!(Path::new(WINE).exists(), "`{WINE}` is missing. On Debian: apt-get install wine64");
    let mut wine = Command::new(WINE);
    wine.env("WINEPREFIX", folder.join("prefix")).env("WINEDEBUG", "-all").env_remove("DISPLAY");
    // Otherwise it takes names that are not ASCII for something else.
    wine.env("LC_ALL", "C.UTF-8");
    wine
}

pub fn under_wine(words: &[&dyn AsRef<OsStr>]) -> Command {
    let mut command = wine_in(wine());
    command.args(words);
    command
}

/// An absolute path of this machine, as programs under Wine see it.
pub fn native(path: &Path, how: How) -> String {
    let path = path.to_str().unwrap();
    match how {
        How::Wine => format!("Z:{}", path.replace('/', "\\")),
        _ => path.to_owned(),
    }
}

/// The same command, with Ctrl-C as soon as the file is there.
pub fn interruptible(command: &Command, file: &Path) -> Command {
    let mut interrupted = under_wine(&[&wine().join(INTERRUPTER), &file]);
    interrupted.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => interrupted.env(name, value),
            None => interrupted.env_remove(name),
        };
    }
    interrupted
}
