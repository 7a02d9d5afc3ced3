//! The release archive: its contents, and programs that are built and run with nothing else. Making the archive takes
//! minutes, so all tests are in one module, as in `c_full.rs`. `MDE_ARCHIVE` names an archive that exists already.

mod full {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::Duration;

    use mde_simulator::{Config, DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, Simulator};
    use serde_json::Value;

    use mde_tests::programs::How::Installed;
    use mde_tests::programs::installing::installed;
    use mde_tests::programs::installing::{Route, archive, unpack};
    use mde_tests::programs::{
        ROOT, Scratch, release, run, run_with, target, tool, without_cargos_own,
    };
    use mde_tests::programs::{checks, fetching, fleets, scenarios};

    use mde_tests::VERSION;

    /// Bytes of the library as it is shipped. Growing beyond it is for a reason only.
    const SIZE: u64 = 2_550_000;

    fn library(prefix: &Scratch) -> PathBuf {
        prefix.0.join(format!("lib/libmde.so.{VERSION}"))
    }

    /// All files below a folder, by their names from there.
    fn files(folder: &Path) -> BTreeSet<String> {
        let found = run(Command::new("find").args([".", "!", "-type", "d"]).current_dir(folder));
        let text = found.expect(0).stdout;
        text.lines().map(|line| line.trim_start_matches("./").to_owned()).collect()
    }

    fn json(path: &Path) -> Value {
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn the_archive_has_the_documented_layout() {
        let prefix = installed();
        let found = files(&prefix.0);
        let shared = format!("lib/libmde.so.{VERSION}");
        for name in [
            "include/mde.h",
            "include/mde.hpp",
            "include/mde/client.hpp",
            "include/mde/detail/call.hpp",
            "lib/libmde.so",
            "lib/libmde.so.0",
            &shared,
            "lib/libmde.a",
            "lib/pkgconfig/mde.pc",
            "lib/pkgconfig/mde-static.pc",
            "lib/cmake/mde/mde-config.cmake",
            "lib/cmake/mde/mde-config-version.cmake",
            "share/mde/LICENSE-APACHE",
            "share/mde/LICENSE-MIT",
            "share/mde/README.md",
            "share/mde/mde.cdx.json",
            "share/mde/licenses/README.md",
            "share/mde/docs/options.md",
            "share/mde/examples/c/fetch.c",
        ] {
            assert!(found.contains(name), "no {name} among {found:#?}");
        }
        for (folder, place) in [("include", "include"), ("docs", "share/mde/docs")] {
            for name in files(&Path::new(ROOT).join(folder)) {
                if name.ends_with(".md") {
                    // Its links are others.
                    assert!(found.contains(&format!("{place}/{name}")), "{name}");
                    continue;
                }
                let ours = std::fs::read(Path::new(ROOT).join(folder).join(&name)).unwrap();
                assert_eq!(
                    ours,
                    std::fs::read(prefix.0.join(place).join(&name)).unwrap(),
                    "{name}"
                );
            }
        }
        let link = |name: &str| std::fs::read_link(prefix.0.join(name)).unwrap();
        assert_eq!(link("lib/libmde.so"), Path::new("libmde.so.0"));
        assert_eq!(link("lib/libmde.so.0"), Path::new(&format!("libmde.so.{VERSION}")));
    }

    /// The pages lie elsewhere than in the sources, and not all that they speak of is packed.
    #[test]
    fn every_link_of_its_pages_has_a_target() {
        let prefix = installed();
        let mut links = 0;
        for name in files(&prefix.0).into_iter().filter(|name| name.ends_with(".md")) {
            let page = prefix.0.join(&name);
            let text = std::fs::read_to_string(&page).unwrap();
            for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
                let path = link.0.split('#').next().unwrap();
                if path.contains([':', ' ']) || path.is_empty() || name.contains("/licenses/") {
                    continue;
                }
                assert!(page.parent().unwrap().join(path).exists(), "{name}: {path}");
                links += 1;
            }
        }
        assert!(links > 100, "{links}");
        let readme = std::fs::read_to_string(prefix.0.join("share/mde/README.md")).unwrap();
        assert!(readme.contains("](../../include/mde.h"), "{readme}");
    }

    /// Otherwise all that building and testing left behind would be packed.
    #[test]
    fn a_checkout_that_git_refuses_is_not_packed() {
        let folder = Scratch::new("refused");
        std::fs::create_dir(folder.0.join("packaging")).unwrap();
        for name in ["packaging/package.sh", "Cargo.toml", "build.rs"] {
            std::fs::copy(Path::new(ROOT).join(name), folder.0.join(name)).unwrap();
        }
        std::fs::write(folder.0.join(".git"), "gitdir: /nowhere\n").unwrap();
        let mut package = Command::new(folder.0.join("packaging/package.sh"));
        let said = run(without_cargos_own(&mut package)).expect(1).stderr;
        assert!(said.contains("not a git repository"), "{said}");
        assert!(said.contains("git does not read this checkout"), "{said}");
    }

    #[test]
    fn the_checksums_are_those_of_the_archives() {
        let folder = archive().parent().unwrap();
        let mut check = tool("sha256sum", "coreutils");
        let checked = run(check.args(["--check", "--strict", "SHA256SUMS"]).current_dir(folder));
        let name = archive().file_name().unwrap().to_str().unwrap();
        let said = checked.expect(0).stdout;
        for name in [name.to_owned(), name.replace(".tar.gz", "-debug.tar.gz")] {
            assert!(said.contains(&format!("{name}: OK\n")), "{said}");
        }
    }

    /// What all programs of the host have to load.
    #[test]
    fn the_library_is_small_and_exports_what_is_documented() {
        let prefix = installed();
        let size = std::fs::metadata(library(&prefix)).unwrap().len();
        assert!(size <= SIZE, "{size}");
        let mut nm = tool("nm", "binutils");
        nm.args(["-D", "--defined-only", "--format=just-symbols"]).arg(library(&prefix));
        let exported = run(&mut nm).expect(0).stdout;
        let set = |text: &str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
        assert_eq!(set(&exported), set(include_str!("../abi/exports.txt")));
        let mut readelf = tool("readelf", "binutils");
        let dynamic = run(readelf.arg("-dW").arg(library(&prefix))).expect(0).stdout;
        for part in ["soname: [libmde.so.0]", "NODELETE", "BIND_NOW"] {
            assert!(dynamic.contains(part), "no {part} in\n{dynamic}");
        }
    }

    /// No folder of the machine that built it, in neither archive.
    #[test]
    fn no_path_of_the_builder_is_in_it() {
        let prefix = installed();
        unpack(&debug_archive(), &prefix.0);
        let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME")).unwrap();
        let mut paths = vec![ROOT.to_owned(), "/.cargo/".to_owned(), "/rustlib/src/".to_owned()];
        paths.push("index.crates.io".to_owned());
        if home.len() > 2 {
            paths.push(format!("{home}/"));
        }
        let mut grep = tool("grep", "grep");
        grep.args(["--recursive", "--text", "--only-matching", "--fixed-strings"]);
        for path in &paths {
            grep.args(["-e", path]);
        }
        let found = run(grep.arg(".").current_dir(&prefix.0)).expect(1).stdout;
        assert_eq!(found, "");
    }

    fn debug_archive() -> PathBuf {
        let name = archive().file_name().unwrap().to_str().unwrap();
        archive().with_file_name(name.replace(".tar.gz", "-debug.tar.gz"))
    }

    /// A debugger takes the link in the library, and finds the names that the library itself lacks.
    #[test]
    fn the_debug_symbols_belong_to_the_library() {
        let prefix = installed();
        let function = format!("0x{}", address(&prefix, "mde_fetch_package"));
        let name_of = |prefix: &Scratch| {
            let mut addr2line = tool("addr2line", "binutils");
            addr2line.args(["--functions", "--exe"]).arg(library(prefix)).arg(&function);
            run(&mut addr2line).expect(0).stdout
        };
        assert!(!name_of(&prefix).contains("src/ffi/"));
        unpack(&debug_archive(), &prefix.0);
        let named = name_of(&prefix);
        assert!(named.contains("mde_fetch_package\n/mde/src/ffi/packages.rs:"), "{named}");
    }

    fn address(prefix: &Scratch, symbol: &str) -> String {
        let nm = run(tool("nm", "binutils").arg("-D").arg(library(prefix))).expect(0).stdout;
        let line = nm.lines().find(|line| line.ends_with(&format!(" {symbol}"))).unwrap();
        line.split(' ').next().unwrap().to_owned()
    }

    /// As the schema of CycloneDX 1.5 requires, with what is locked, and a licence text for each.
    #[test]
    fn the_bill_of_materials_is_complete() {
        let prefix = installed();
        let share = prefix.0.join("share/mde");
        let bill = json(&share.join("mde.cdx.json"));
        assert_eq!(
            (&bill["bomFormat"], &bill["specVersion"]),
            (&"CycloneDX".into(), &"1.5".into())
        );
        assert!(bill["serialNumber"].as_str().unwrap().starts_with("urn:uuid:"));
        assert_eq!(bill["metadata"]["component"]["version"], VERSION);
        let lock = std::fs::read_to_string(format!("{ROOT}/Cargo.lock")).unwrap();
        let page = std::fs::read_to_string(share.join("licenses/README.md")).unwrap();
        let mut names = BTreeSet::new();
        let mut references =
            BTreeSet::from([bill["metadata"]["component"]["bom-ref"].clone().to_string()]);
        for component in bill["components"].as_array().unwrap() {
            let text = |name: &str| component[name].as_str().unwrap();
            let (name, version) = (text("name"), text("version"));
            assert_eq!(text("type"), "library");
            assert!(!component["licenses"][0]["expression"].as_str().unwrap().is_empty(), "{name}");
            assert!(references.insert(component["bom-ref"].to_string()), "{name} twice");
            let folder = format!("{name}-{version}");
            assert!(!files(&share.join("licenses").join(&folder)).is_empty(), "{folder}");
            assert!(page.contains(&format!("| {name} {version} |")), "{folder}");
            names.insert(name);
            // Those of the standard library are locked by the compiler's own file.
            if ["ureq", "rustls", "ring", "rustls-webpki", "serde_json"].contains(&name) {
                let locked = format!("name = \"{name}\"\nversion = \"{version}\"\n");
                assert!(lock.contains(&locked), "{folder} is not locked");
                let sum = component["hashes"][0]["content"].as_str().unwrap();
                assert!(lock.contains(&format!("checksum = \"{sum}\"")), "{folder}");
            }
        }
        for name in ["ureq", "rustls", "ring", "rustls-webpki", "serde_json", "std", "libc"] {
            assert!(names.contains(name), "no {name} in {names:?}");
        }
        // What only builds or tests, and what other systems need.
        for name in
            ["cbindgen", "cc", "syn", "serde_derive", "proptest", "fs4", "shuttle", "proc_macro"]
        {
            assert!(!names.contains(name), "{name} is not in the library");
        }
        for entry in bill["dependencies"].as_array().unwrap() {
            for reference in
                [&entry["ref"]].into_iter().chain(entry["dependsOn"].as_array().unwrap())
            {
                assert!(references.contains(&reference.to_string()), "{reference}");
            }
        }
    }

    fn with_pkg_config(prefix: &Scratch, arguments: &[&str]) -> String {
        let mut command = tool("pkg-config", "pkg-config");
        command.env("PKG_CONFIG_PATH", prefix.0.join("lib/pkgconfig")).args(arguments);
        run(&mut command).expect(0).stdout
    }

    #[test]
    fn pkg_config_knows_the_version_and_what_else_to_link() {
        let prefix = installed();
        assert_eq!(with_pkg_config(&prefix, &["--modversion", "mde"]).trim(), VERSION);
        let own = with_pkg_config(&prefix, &["--libs", "mde"]);
        let all = with_pkg_config(&prefix, &["--static", "--libs", "mde"]);
        assert!(own.trim().ends_with("-lmde"), "{own}");
        assert!(all.contains("-lmde ") && all.contains("-lgcc_s"), "{all}");
        let page =
            std::fs::read_to_string(prefix.0.join("share/mde/examples/c/README.md")).unwrap();
        let needed = all.split_once("-lmde ").unwrap().1.trim();
        assert!(page.contains(needed), "examples/c/README.md lacks `{needed}`");
    }

    /// `pkg-config --static`, where the shared library is not to be taken.
    #[test]
    fn pkg_config_links_statically() {
        let prefix = installed();
        let flags = with_pkg_config(&prefix, &["--static", "--cflags", "--libs", "mde"]);
        let flags = flags.replace("-lmde", "-Wl,-Bstatic -lmde -Wl,-Bdynamic");
        let program = prefix.0.join("version");
        let source = prefix.0.join("version.c");
        let text = "#include <mde.h>\n#include <stdio.h>\nint main(void) { return puts(mde_version()) < 0; }\n";
        std::fs::write(&source, text).unwrap();
        let mut cc = tool("cc", "gcc libc6-dev");
        run(cc.arg(&source).arg("-o").arg(&program).args(flags.split_whitespace())).expect(0);
        assert_eq!(run(&mut Command::new(&program)).expect(0).stdout.trim(), VERSION);
    }

    fn cmake(prefix: &Scratch, find: &str) -> (Option<i32>, String) {
        let host = Scratch::new("cmake");
        let text = format!(
            "cmake_minimum_required(VERSION 3.16)\nproject(host C)\n{find}\n\
             message(STATUS \"found ${{mde_FOUND}} ${{mde_VERSION}}\")\n"
        );
        std::fs::write(host.0.join("CMakeLists.txt"), text).unwrap();
        let mut cmake = tool("cmake", "cmake make");
        cmake.arg("-S").arg(&host.0).arg("-B").arg(host.0.join("build"));
        let done = run(cmake.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.0.display())));
        (done.code, format!("{}{}", done.stdout, done.stderr))
    }

    #[test]
    fn cmake_distinguishes_versions_and_components() {
        let prefix = installed();
        for good in ["mde", "mde 0.1", "mde 0.1.0 EXACT", "mde COMPONENTS shared static"] {
            let (code, said) = cmake(&prefix, &format!("find_package({good} REQUIRED)"));
            assert_eq!(code, Some(0), "{good}: {said}");
            assert!(
                said.contains(&format!("found 1 {VERSION}")) || said.contains("found TRUE"),
                "{said}"
            );
        }
        for bad in ["mde 0.0.9", "mde 0.2", "mde 1.0", "mde 0.1.1", "mde COMPONENTS nonsense"] {
            let (code, said) = cmake(&prefix, &format!("find_package({bad} REQUIRED)"));
            assert_eq!(code, Some(1), "{bad}: {said}");
        }
        // Where a packager took the static library out.
        std::fs::remove_file(prefix.0.join("lib/libmde.a")).unwrap();
        let (code, said) = cmake(&prefix, "find_package(mde REQUIRED COMPONENTS shared)");
        assert_eq!(code, Some(0), "{said}");
        let (code, said) = cmake(&prefix, "find_package(mde REQUIRED COMPONENTS static)");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("has no component `static`"), "{said}");
    }

    #[track_caller]
    fn examples(route: Route) {
        let how = Installed(route);
        scenarios::example_collects(how);
        scenarios::example_fails_helpfully(how);
        scenarios::example_can_be_interrupted(how);
        checks::succeeds(how);
        fetching::succeeds(how);
        fetching::fails_helpfully(how);
        fetching::resumes_after_ctrl_c(how);
        fleets::succeeds(how);
    }

    #[test]
    fn the_examples_through_pkg_config() {
        examples(Route::PkgConfig);
    }

    #[test]
    fn the_examples_through_pkg_config_with_the_static_library() {
        examples(Route::PkgConfigStatic);
    }

    #[test]
    fn the_examples_through_cmake() {
        examples(Route::CMake);
    }

    #[test]
    fn the_examples_through_cmake_with_the_static_library() {
        examples(Route::CMakeStatic);
    }

    /// The commands of `examples/cpp/README.md`, with the library beside the program and inside it.
    #[track_caller]
    fn cpp_example(more: &str) {
        let sim = Simulator::start(Config::default()).unwrap();
        sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
        let (prefix, folder) = (installed(), Scratch::new("cpp page"));
        let page = include_str!("../../examples/cpp/README.md");
        let commands = page.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
        let export = commands.lines().find(|line| line.starts_with("export ")).unwrap();
        let script = commands
            .replace(export, "")
            .replace("examples/cpp", &prefix.0.join("share/mde/examples/cpp").to_string_lossy())
            .replace("/opt/mde", &format!("{} {more}", prefix.0.display()))
            .replace("49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9", &sim.machine_id(0));
        let mut bash = in_bash(
            &format!(
                "{}--option api_url=$API --option login_url=$LOGIN\n",
                script.trim_end().to_owned() + " "
            ),
            &folder.0,
        );
        bash.env("API", sim.api_url()).env("LOGIN", sim.login_url());
        bash.env("MDE_TENANT_ID", DEFAULT_TENANT).env("MDE_CLIENT_ID", DEFAULT_CLIENT);
        bash.env("MDE_CLIENT_SECRET", DEFAULT_SECRET);
        let said = run(&mut bash).expect(0).stdout;
        assert!(
            said.contains("\nsha256       ") && folder.0.join("case-4711.zip").is_file(),
            "{said}"
        );
        let mut readelf = tool("readelf", "binutils");
        let dynamic = run(readelf.arg("-d").arg(folder.0.join("build/fetch"))).expect(0).stdout;
        assert_eq!(dynamic.contains("[libmde.so.0]"), more.is_empty(), "{dynamic}");
    }

    #[test]
    fn the_cpp_example_through_cmake() {
        cpp_example("");
    }

    #[test]
    fn the_cpp_example_through_cmake_with_the_static_library() {
        cpp_example("-DMDE_LIBRARY=mde::static");
    }

    const PAGE: &str = include_str!("../../docs/install.md");

    /// The blocks of docs/install.md in a language, which have to hold this.
    fn block(language: &str, with: &str) -> &'static str {
        let opening = format!("```{language}\n");
        let mut blocks = PAGE.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap());
        blocks.find(|block| block.contains(with)).unwrap()
    }

    fn in_bash(script: &str, folder: &Path) -> Command {
        let mut bash = Command::new("bash");
        bash.args(["-euc", script]).current_dir(folder);
        bash
    }

    const HOST: &str = "#include <mde.h>\n#include <stdio.h>\n\
        int main(void) { return puts(mde_version()) < 0; }\n";

    #[test]
    fn the_archive_is_used_as_documented() {
        let folder = Scratch::new("page");
        for name in ["SHA256SUMS".to_owned(), name_of(archive()), name_of(&debug_archive())] {
            std::fs::copy(archive().with_file_name(&name), folder.0.join(&name)).unwrap();
        }
        std::fs::write(folder.0.join("host.c"), HOST).unwrap();
        run(&mut in_bash(block("sh", "sha256sum"), &folder.0)).expect(0);
        let script = block("sh", "PKG_CONFIG_PATH").to_owned() + "./host\n./host-static\n";
        let printed = run(&mut in_bash(&script, &folder.0)).expect(0).stdout;
        assert_eq!(printed, format!("{VERSION}\n{VERSION}\n"));

        let text = "cmake_minimum_required(VERSION 3.16)\nproject(host C)\n".to_owned();
        let text = text + block("cmake", "find_package");
        std::fs::write(folder.0.join("CMakeLists.txt"), text).unwrap();
        let script = "cmake -B built -DCMAKE_PREFIX_PATH=$PWD/mde-0.1.0-x86_64-unknown-linux-gnu
            cmake --build built && ./built/host";
        let printed = run(&mut in_bash(script, &folder.0)).expect(0).stdout;
        assert!(printed.ends_with(&format!("\n{VERSION}\n")), "{printed}");
    }

    fn name_of(path: &Path) -> String {
        path.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// The commands that make the archive are those that the tests begin with.
    #[test]
    fn the_archive_is_made_as_documented() {
        assert!(PAGE.contains("```sh\n./packaging/package.sh\n```"));
        assert!(PAGE.contains("```sh\n./packaging/package.sh --verify\n```"));
        let script = include_str!("../run.sh");
        assert!(script.contains("        ./packaging/package.sh\n"));
        assert!(script.contains(" ./packaging/package.sh --verify\n"));
    }

    #[test]
    fn cargo_alone_installs_as_documented() {
        let folder = Scratch::new("cargo");
        std::os::unix::fs::symlink(Path::new(ROOT).join("include"), folder.0.join("include"))
            .unwrap();
        std::fs::create_dir_all(folder.0.join("target/release")).unwrap();
        std::fs::copy(release().join("libmde.so"), folder.0.join("target/release/libmde.so"))
            .unwrap();
        // That command has been run; it would take minutes in a folder of its own.
        let script = format!("cargo() {{ :; }}\n{}", block("sh", "cargo rustc"));
        let prefix = folder.0.join("prefix");
        run(in_bash(&script, &folder.0).env("PREFIX", &prefix)).expect(0);
        links_and_runs(&prefix, &["-lmde"]);
    }

    /// Compiles with nothing but these flags and an installation, and runs.
    #[track_caller]
    fn links_and_runs(prefix: &Path, flags: &[&str]) {
        let folder = Scratch::new("host");
        let (source, program) = (folder.0.join("host.c"), folder.0.join("host"));
        std::fs::write(&source, HOST).unwrap();
        let mut cc = tool("cc", "gcc libc6-dev");
        cc.arg(&source).arg("-o").arg(&program).arg("-I").arg(prefix.join("include"));
        cc.arg("-L").arg(prefix.join("lib")).args(flags);
        cc.arg(format!("-Wl,-rpath,{}", prefix.join("lib").display()));
        run(&mut cc).expect(0);
        assert_eq!(run(&mut Command::new(&program)).expect(0).stdout.trim(), VERSION);
    }

    /// What only a release needs: `tests/run.sh release`.
    mod release_only {
        use super::*;

        /// `MDE_CARGO_C` is the folder of its programs, where it is not among those of the system.
        #[test]
        fn cargo_c_installs_as_documented() {
            let prefix = Scratch::new("cinstall");
            let mut path = std::env::var("PATH").unwrap();
            if let Ok(folder) = std::env::var("MDE_CARGO_C") {
                path = format!("{folder}:{path}");
            }
            let found =
                run(&mut in_bash(&format!("PATH='{path}'; type -P cargo-cinstall"), &prefix.0));
            assert_eq!(
                found.code,
                Some(0),
                "cargo-c is missing; run: cargo install cargo-c --locked"
            );
            let command = block("sh", "cargo cinstall");
            assert!(command.contains("--prefix=/usr/local"));
            // Debian's folders for several architectures are for the system alone.
            let here = format!("--prefix={} --libdir=lib", prefix.0.display());
            let script = command.replace("--prefix=/usr/local", &here);
            let mut bash = in_bash(&script, Path::new(ROOT));
            bash.env("PATH", path).env("CARGO_TARGET_DIR", target().join("cinstall"));
            run_with(without_cargos_own(&mut bash), Duration::from_secs(1200), |_| {}).expect(0);

            let archived = installed();
            let includes = files(&archived.0.join("include"));
            assert_eq!(files(&prefix.0.join("include")), includes);
            for name in includes {
                let of = |prefix: &Scratch| std::fs::read(prefix.0.join("include").join(&name));
                assert_eq!(of(&prefix).unwrap(), of(&archived).unwrap(), "{name}");
            }
            let link = |name: &str| std::fs::read_link(prefix.0.join(name)).unwrap();
            assert_eq!(link("lib/libmde.so.0"), Path::new(&format!("libmde.so.{VERSION}")));
            let mut readelf = tool("readelf", "binutils");
            let dynamic = run(readelf.arg("-dW").arg(library(&prefix))).expect(0).stdout;
            assert!(dynamic.contains("soname: [libmde.so.0]"), "{dynamic}");
            let private = |prefix: &Scratch| {
                let all = with_pkg_config(prefix, &["--static", "--libs", "mde"]);
                all.split_once("-lmde ").unwrap().1.trim().to_owned()
            };
            assert_eq!(private(&prefix), private(&archived));
            links_and_runs(&prefix.0, &["-lmde"]);
            let needed = private(&prefix);
            let all: Vec<_> = ["-l:libmde.a"].into_iter().chain(needed.split(' ')).collect();
            links_and_runs(&prefix.0, &all);
        }
    }
}
