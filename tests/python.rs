//! The Python package, `examples/python`, as it lies in an unpacked release archive: its tests in `tests/python` run under
//! the system's Python with `unittest`, against the simulator.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "c/harness.rs"]
mod harness;
#[path = "support/installed.rs"]
mod installed;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::{ROOT, Scratch, Service, run, run_with, tool};
use installed::installed;
use mde_simulator::{Config, QuotaMode};

/// An installation, and a simulator that counts no calls and is soon done.
struct Python {
    installed: Scratch,
    service: Service,
}

impl Python {
    fn new() -> Python {
        let service = Service::start(Config { quota_mode: QuotaMode::Off, ..Config::default() });
        service.sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
        Python { installed: installed(), service }
    }

    fn package(&self) -> PathBuf {
        self.installed.0.join("share/mde/examples/python")
    }

    /// Runs a file of tests. The development mode of Python shows what else would pass unnoticed.
    #[track_caller]
    fn passes(&self, tests: &str) {
        let lib = self.installed.0.join("lib");
        let folder = Path::new(ROOT).join("tests/python");
        let path = std::env::join_paths([self.package(), folder.clone()]).unwrap();
        let mut command = interpreter();
        self.service
            .describe(&mut command)
            .args(["-X", "dev", "-W", "error::ResourceWarning", "-m", "unittest", "-v"])
            .arg(tests)
            .current_dir(folder)
            .env("MDE_LIBRARY", lib.join("libmde.so.0"))
            .env("MDE_TEST_LIB", &lib)
            .env("MDE_TEST_CHECKOUT", ROOT)
            .env("PYTHONPATH", path)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let finished = run_with(&mut command, Duration::from_secs(240), |_| {}).expect(0);
        let said = &finished.stderr;
        assert!(said.contains("\nOK") && !said.contains("skipped"), "{said}");
    }
}

/// The system's Python, not one of a version manager.
fn interpreter() -> Command {
    let system = Path::new("/usr/bin/python3");
    let name = if system.exists() { "/usr/bin/python3" } else { "python3" };
    tool(name, "python3")
}

#[test]
fn calls() {
    Python::new().passes("test_calls.py");
}

#[test]
fn stopping() {
    Python::new().passes("test_stopping.py");
}

#[test]
fn processes() {
    Python::new().passes("test_processes.py");
}

#[test]
fn the_example() {
    Python::new().passes("test_fetch.py");
}

/// The blocks of Python and JSON in `docs/python.md`.
#[test]
fn the_guide() {
    Python::new().passes("test_guide.py");
}

mod full {
    use super::*;

    #[test]
    fn memory() {
        Python::new().passes("test_memory.py");
    }

    /// Complete type hints, and nothing that Python 3.8 does not have.
    #[test]
    fn types() {
        let mypy = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("mypy");
        let python = Python::new();
        let mut command = interpreter();
        command.args(["-m", "mypy", "--strict", "--python-version", "3.8", "mde", "fetch.py"]);
        command.current_dir(python.package()).env("PYTHONPATH", &mypy);
        command.arg("--cache-dir").arg(python.installed.0.join("mypy-cache"));
        assert!(
            mypy.join("mypy").is_dir(),
            "mypy is missing; run: python3 -m pip install --target {} mypy==1.14.1",
            mypy.display()
        );
        run(&mut command).expect(0);
        // The tests use it as its users do.
        let mut command = interpreter();
        command.args(["-m", "mypy", "--strict"]).arg(Path::new(ROOT).join("tests/python"));
        command.env("PYTHONPATH", &mypy).env("MYPYPATH", python.package());
        command.arg("--cache-dir").arg(python.installed.0.join("mypy-cache"));
        run(&mut command).expect(0);
    }

    /// What pip makes of it: the package and its hints, nothing besides, and a library that was put beside it.
    #[test]
    fn pip_installs_it() {
        let python = Python::new();
        let beside = python.package().join("mde/libmde.so.0");
        std::fs::copy(python.installed.0.join("lib/libmde.so.0"), beside).unwrap();
        let site = python.installed.0.join("site");
        let guide = include_str!("../docs/python.md");
        let command = guide.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
        let mut pip = Command::new("sh");
        pip.args(["-ec", command]).current_dir(python.installed.0.join("share/mde"));
        pip.env("PATH", "/usr/bin:/bin").env("PIP_TARGET", &site);
        // What the command would fetch otherwise is there: Debian's setuptools. "0" is how pip spells that.
        pip.env("PIP_NO_INDEX", "1").env("PIP_NO_BUILD_ISOLATION", "0");
        pip.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_ROOT_USER_ACTION", "ignore");
        run(&mut pip).expect(0);
        assert!(site.join("mde/py.typed").is_file(), "no py.typed");
        let mut ask = interpreter();
        ask.args(["-c", "import mde; print(mde.load(), mde.version())"]);
        let said = run(ask.current_dir("/").env_remove("MDE_LIBRARY").env("PYTHONPATH", &site));
        let wanted =
            format!("{} {}\n", site.join("mde/libmde.so.0").display(), env!("CARGO_PKG_VERSION"));
        assert_eq!(said.expect(0).stdout, wanted);
    }
}
