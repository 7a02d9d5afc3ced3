//! The Python package `bindings/python` of an unpacked release archive. Its tests in `tests/python` run with `unittest`
//! of the system's Python, against the simulator.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mde_simulator::{Config, QuotaMode};
use mde_tests::programs::installing::installed;
use mde_tests::programs::{ROOT, Scratch, Service, run, run_with, tool};

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

    fn example(&self) -> PathBuf {
        self.installed.0.join("share/mde/examples/python/fetch.py")
    }

    fn package(&self) -> PathBuf {
        self.installed.0.join("share/mde/bindings/python")
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
            .env("MDE_TEST_EXAMPLE", self.example())
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
fn outcomes() {
    Python::new().passes("test_outcomes.py");
}

#[test]
fn a_job_over_several_devices() {
    Python::new().passes("test_fleet.py");
}

#[test]
fn processes() {
    Python::new().passes("test_processes.py");
}

#[test]
fn the_example() {
    Python::new().passes("test_fetch.py");
}

#[test]
fn the_example_for_many_devices() {
    Python::new().passes("test_fleet_example.py");
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
        let mypy = mde_tests::target().join("mypy");
        let python = Python::new();
        let mut command = interpreter();
        command
            .args(["-m", "mypy", "--strict", "--python-version", "3.8", "mde"])
            .arg(python.example())
            .arg(python.example().with_file_name("fleet.py"))
            .arg(python.example().with_file_name("signer.py"));
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

    /// What pip would fetch otherwise is there: Debian's setuptools. "0" is how pip spells that.
    fn without_network(pip: &mut Command) -> &mut Command {
        pip.env("PATH", "/usr/bin:/bin");
        pip.env("PIP_NO_INDEX", "1").env("PIP_NO_BUILD_ISOLATION", "0");
        pip.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_ROOT_USER_ACTION", "ignore")
    }

    /// Builds the wheel with these files beside the module: the wheel, and the names and tags in it.
    fn wheel(package: &Path, beside: &[(&Path, &str)]) -> Result<(PathBuf, String), String> {
        for (library, name) in beside {
            std::fs::copy(library, package.join("mde").join(name)).unwrap();
        }
        let out = package.join("out");
        let mut pip = interpreter();
        pip.args(["-m", "pip", "wheel", "--no-deps", "--wheel-dir", "out", "."]);
        let built = run(without_network(&mut pip).current_dir(package));
        for (_, name) in beside {
            std::fs::remove_file(package.join("mde").join(name)).unwrap();
        }
        if built.code != Some(0) {
            return Err(built.stdout + &built.stderr);
        }
        let made = std::fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
        let kept = package.join(made.file_name().unwrap());
        std::fs::rename(&made, &kept).unwrap();
        let show =
            "import sys, zipfile; wheel = zipfile.ZipFile(sys.argv[1]); names = wheel.namelist()
print(*names, sep='\\n')
print(*(wheel.read(name).decode() for name in names if name.endswith('/WHEEL')))";
        let list = run(interpreter().args(["-c", show]).arg(&kept)).expect(0).stdout;
        Ok((kept, list))
    }

    /// A library for another system, from its compiler.
    fn compiled(folder: &Path, compiler: &str, package: &str, code: &str) -> PathBuf {
        let (source, library) = (folder.join("other.c"), folder.join(format!("{compiler}.lib")));
        std::fs::write(&source, code).unwrap();
        let mut cc = tool(compiler, package);
        cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        run(&mut cc).expect(0);
        library
    }

    /// A wheel says which systems it is for by what is inside, not by where it was built.
    #[test]
    fn wheels_are_for_the_system_of_the_library_inside() {
        let python = Python::new();
        let package = python.package();
        let native = python.installed.0.join("lib/libmde.so.0");
        let own = Scratch::new("libraries");
        // An allocation is in every glibc; gettid() came with glibc 2.30.
        let old = "#include <stdlib.h>\nvoid *f(void) { return malloc(1); }\n";
        let new = "extern int gettid(void);\nint f(void) { return gettid(); }\n";
        let newer = compiled(&own.0, "gcc", "gcc", new);
        let arm = compiled(&own.0, "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", old);
        // Like one for musl it names no version of glibc.
        let musl = own.0.join("musl.so");
        let mut cc = tool("gcc", "gcc");
        cc.args(["-shared", "-fPIC", "-nostdlib", "-o"]).arg(&musl).arg(own.0.join("bare.c"));
        std::fs::write(own.0.join("bare.c"), "int f(void) { return 1; }\n").unwrap();
        run(&mut cc).expect(0);
        let windows = compiled(&own.0, "x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64", old);
        let this = format!("manylinux_2_17_{}", std::env::consts::ARCH);
        for (library, name, tag) in [
            (Some(&native), "libmde.so.0", this.as_str()),
            // After one with a library, of which setuptools keeps a copy.
            (None, "", "any"),
            (Some(&newer), "libmde.so.0", "manylinux_2_30_x86_64"),
            (Some(&arm), "libmde.so.0", "manylinux_2_17_aarch64"),
            (Some(&musl), "libmde.so.0", &format!("musllinux_1_2_{}", std::env::consts::ARCH)),
            (Some(&windows), "mde.dll", "win_amd64"),
            (None, "", "any"),
        ] {
            let beside: Vec<_> = library.iter().map(|library| (library.as_path(), name)).collect();
            let (file, list) = wheel(&package, &beside).unwrap();
            let version = mde_tests::VERSION;
            assert_eq!(
                file.file_name().unwrap().to_str().unwrap(),
                format!("mde-{version}-py3-none-{tag}.whl")
            );
            let inside = |wanted: &str| list.lines().any(|line| line.trim() == wanted);
            assert!(inside(&format!("Root-Is-Purelib: {}", library.is_none())), "{list}");
            assert!(inside(&format!("Tag: py3-none-{tag}")), "{list}");
            assert!(inside("mde/py.typed"), "{list}");
            assert_eq!(inside("mde/libmde.so.0"), name == "libmde.so.0", "{list}");
            assert_eq!(inside("mde/mde.dll"), name == "mde.dll", "{list}");
        }
        let two = [(native.as_path(), "libmde.so.0"), (windows.as_path(), "mde.dll")];
        let refused = wheel(&package, &two).unwrap_err();
        assert!(refused.contains("a wheel is for one system; take out one of: "), "{refused}");
        let text = own.0.join("other.c");
        let refused = wheel(&package, &[(&text, "mde.dll")]).unwrap_err();
        assert!(refused.contains("mde.dll is no library for 64-bit Linux or Windows"), "{refused}");

        // And the one for this machine works where pip has installed it.
        let (file, _) = wheel(&package, &[(&native, "libmde.so.0")]).unwrap();
        let site = own.0.join("site");
        let mut pip = interpreter();
        pip.args(["-m", "pip", "install", "--no-deps", "--target"]).arg(&site).arg(&file);
        run(without_network(&mut pip)).expect(0);
        let mut ask = interpreter();
        ask.args(["-c", "import mde; print(mde.load())"]);
        let said = run(ask.current_dir("/").env_remove("MDE_LIBRARY").env("PYTHONPATH", &site));
        let wanted = format!("{}\n", site.join("mde/libmde.so.0").display());
        assert_eq!(said.expect(0).stdout, wanted);
    }

    /// What pip makes of it: the package and its hints, nothing besides, and a library that was put beside it.
    #[test]
    fn pip_installs_it() {
        let python = Python::new();
        let beside = python.package().join("mde/libmde.so.0");
        std::fs::copy(python.installed.0.join("lib/libmde.so.0"), beside).unwrap();
        let site = python.installed.0.join("site");
        let guide = include_str!("../../docs/python.md");
        let command = guide.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
        let mut pip = Command::new("sh");
        pip.args(["-ec", command]).current_dir(python.installed.0.join("share/mde"));
        run(without_network(&mut pip).env("PIP_TARGET", &site)).expect(0);
        assert!(site.join("mde/py.typed").is_file(), "no py.typed");
        let mut ask = interpreter();
        ask.args(["-c", "import mde; print(mde.load(), mde.version())"]);
        let said = run(ask.current_dir("/").env_remove("MDE_LIBRARY").env("PYTHONPATH", &site));
        let wanted = format!("{} {}\n", site.join("mde/libmde.so.0").display(), mde_tests::VERSION);
        assert_eq!(said.expect(0).stdout, wanted);
    }
}
