//! Programs in other languages, out of an installation: each fetches with progress, says what is wrong with an unknown
//! device, and is stopped from another thread. And the header, preprocessed, as tools read it that know no preprocessor.

/// Needs compilers and interpreters of those languages, which a release installs.
mod release_only {
    use std::path::Path;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use mde_simulator::{Config, QuotaMode};
    use mde_tests::programs::installing::installed;
    use mde_tests::programs::{Scratch, Service, run, run_with, tool};

    struct Language {
        installed: Scratch,
        service: Service,
        folder: Scratch,
    }

    impl Language {
        fn new() -> Language {
            let service =
                Service::start(Config { quota_mode: QuotaMode::Off, ..Config::default() });
            service.sim.set(|b| (b.pending_s, b.in_progress_s) = (0.2, 0.3));
            Language { installed: installed(), service, folder: Scratch::new("language") }
        }

        fn example(&self, name: &str) -> std::path::PathBuf {
            self.installed.0.join("share/mde/examples").join(name)
        }

        fn ready(&self, mut command: Command, machine: &str) -> Command {
            let lib = self.installed.0.join("lib");
            self.service
                .as_options(&mut command)
                .env("MDE_LIBRARY", lib.join("libmde.so.0"))
                .env("LD_LIBRARY_PATH", lib);
            command.args([machine, "case 4711"]).arg(self.folder.0.join("4711.zip"));
            command
        }

        /// `start` gives the command without its arguments, `stop` what stops a running program.
        #[track_caller]
        fn passes(&self, start: impl Fn() -> Command, stop: impl Fn(&mut Command) -> bool) {
            let sim = &self.service.sim;
            let machine = sim.machine_id(0);
            let unknown = self.ready(start(), "0123456789012345678901234567890123456789");
            let finished = run(&mut { unknown }).expect(1);
            assert!(finished.stderr.contains("not_found (61): "), "{}", finished.stderr);

            sim.set(|b| b.in_progress_s = 600.0);
            let mut command = self.ready(start(), &machine);
            let by_itself = stop(&mut command);
            let looked =
                || sim.requests().iter().any(|it| it.path.contains("/api/machineactions/"));
            let began = Instant::now();
            let finished = run_with(&mut command, Duration::from_secs(120), |pid| {
                while !by_itself && !looked() && began.elapsed() < Duration::from_secs(60) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                if !by_itself {
                    run(Command::new("sh").args(["-c", &format!("kill -INT {pid}")])).expect(0);
                }
            });
            assert!(finished.stderr.contains("cancelled (83): "), "{}", finished.stderr);

            sim.set(|b| b.in_progress_s = 0.1);
            let finished = run(&mut self.ready(start(), &machine)).expect(0);
            let path = self.folder.0.join("4711.zip");
            assert!(finished.stdout.contains(&*path.to_string_lossy()), "{}", finished.stdout);
            for stage in ["collect", "wait", "download", "verify"] {
                assert!(
                    finished.stderr.contains(&format!("\"stage\":\"{stage}\"")),
                    "{stage}: {}",
                    finished.stderr
                );
            }
            assert!(path.is_file());
        }
    }

    #[test]
    fn go() {
        let language = Language::new();
        let program = language.folder.0.join("fetch");
        let mut go = tool("go", "golang-go");
        go.args(["build", "-o"]).arg(&program).arg(".").current_dir(language.example("go"));
        go.env("PKG_CONFIG_PATH", language.installed.0.join("lib/pkgconfig"));
        go.env("GOCACHE", language.folder.0.join("cache")).env("GOFLAGS", "-mod=mod");
        run_with(&mut go, Duration::from_secs(300), |_| {}).expect(0);
        language.passes(|| Command::new(&program), |_| false);
    }

    #[test]
    fn node() {
        let language = Language::new();
        let folder = language.example("node");
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder);
        run_with(&mut npm, Duration::from_secs(300), |_| {}).expect(0);
        let start = || {
            let mut node = Command::new("node");
            node.arg(folder.join("fetch.js"));
            node
        };
        language.passes(start, |_| false);
    }

    /// The header without its lines for the preprocessor.
    fn preprocessed(language: &Language, into: &Path) {
        let mut cc = tool("cc", "gcc libc6-dev");
        cc.args(["-E", "-P"]).arg(language.installed.0.join("include/mde.h")).arg("-o").arg(into);
        run(&mut cc).expect(0);
    }

    #[test]
    fn luajit() {
        let language = Language::new();
        let header = language.folder.0.join("mde.i");
        preprocessed(&language, &header);
        let start = || {
            let mut lua = tool("luajit", "luajit");
            lua.arg(language.example("lua/fetch.lua")).arg(&header);
            lua
        };
        language.passes(start, |command| {
            command.env("MDE_STOP", "1");
            true
        });
    }

    #[test]
    fn cffi() {
        let language = Language::new();
        let header = language.folder.0.join("mde.i");
        preprocessed(&language, &header);
        let program = "import sys, cffi; ffi = cffi.FFI(); ffi.cdef(open(sys.argv[1]).read())\n\
                       lib = ffi.dlopen(sys.argv[2]); print(ffi.string(lib.mde_version()).decode())";
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", program]).arg(&header).arg(language.installed.0.join("lib/libmde.so.0"));
        let printed = run(&mut python).expect(0).stdout;
        assert_eq!(printed.trim_end(), mde_tests::VERSION);
    }
}
