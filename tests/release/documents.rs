//! Every block of code in the pages has a test that compiles it, runs it or reads it. A block without a test fails
//! `every_block_has_a_test`, whose list names the tests.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use mde_simulator::{Config, DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, Simulator};
use mde_tests::documents::{Block, blocks};
use mde_tests::programs::{
    ROOT, STRICT, Scratch, release, run, run_with, simulator_program, static_library, tool,
};
use serde_json::Value;

/// A page, the language of its blocks, and the file that tests them; the file has to name the page.
const TESTED: &[(&str, &str, &str)] = &[
    ("README.md", "sh", "tests/release/documents.rs"),
    ("README.md", "c", "tests/release/documents.rs"),
    ("README.md", "json", "tests/release/documents.rs"),
    ("benches/results.md", "sh", "tests/release/documents.rs"),
    ("docs/cpp.md", "cpp", "tests/bindings/cpp.rs"),
    ("docs/cpp.md", "sh", "tests/bindings/cpp.rs"),
    ("docs/contract.md", "json", "tests/release/documents.rs"),
    ("docs/deployment.md", "json", "tests/release/documents.rs"),
    ("docs/dotnet.md", "csharp", "tests/bindings/dotnet/scenarios.rs"),
    ("docs/dotnet.md", "powershell", "tests/bindings/dotnet/scenarios.rs"),
    ("docs/fleet.md", "sh", "tests/support/programs/fleets.rs"),
    ("docs/fleet.md", "console", "tests/release/documents.rs"),
    ("docs/json.md", "json", "src/testing/reference.rs"),
    ("docs/install.md", "sh", "tests/release/archive.rs"),
    ("docs/install.md", "cmake", "tests/release/archive.rs"),
    ("docs/performance.md", "sh", "tests/release/documents.rs"),
    ("docs/python.md", "python", "tests/bindings/python.rs"),
    ("docs/python.md", "sh", "tests/bindings/python.rs"),
    ("docs/python.md", "json", "tests/bindings/python.rs"),
    ("docs/rust.md", "rust,no_run", "tests/release/documents.rs"),
    ("docs/sign-in.md", "sh", "tests/release/documents.rs"),
    ("docs/sign-in.md", "json", "tests/release/documents.rs"),
    ("docs/sign-in.md", "console", "tests/bindings/keys.rs"),
    ("docs/deployment.md", "ini", "tests/support/peers/kerberos.rs"),
    ("examples/c/README.md", "sh", "tests/release/documents.rs"),
    ("examples/cpp/README.md", "sh", "tests/release/archive.rs"),
    ("bindings/dotnet/README.md", "csharp", "tests/bindings/dotnet/scenarios.rs"),
    ("simulator/README.md", "sh", "tests/release/documents.rs"),
    ("simulator/README.md", "rust", "tests/release/documents.rs"),
    ("simulator/README.md", "json", "tests/release/documents.rs"),
];

/// What programs print, and other things that nobody runs.
const TO_READ: [&str; 1] = ["text"];

fn root() -> &'static Path {
    Path::new(ROOT)
}

fn of(document: &str, language: &str) -> Vec<Block> {
    let mut found = blocks(root(), document);
    found.retain(|block| block.language == language);
    assert!(!found.is_empty(), "{document} has no block of {language} any more");
    found
}

#[test]
fn every_block_has_a_test() {
    let mut seen = 0;
    for document in mde_tests::documents::pages(root()) {
        for Block { line, language, .. } in blocks(root(), &document) {
            seen += 1;
            if TO_READ.contains(&language.as_str()) {
                continue;
            }
            let tested =
                TESTED.iter().find(|it| (it.0, it.1) == (document.as_str(), language.as_str()));
            let (.., test) = tested.unwrap_or_else(|| {
                panic!("{document}:{line}: no test is entered for a block of `{language}`")
            });
            let test = fs::read_to_string(root().join(test)).unwrap_or_default();
            assert!(
                test.contains(&document),
                "{document}:{line}: {tested:?} does not name the page"
            );
        }
    }
    assert!(seen > 20, "{seen} blocks");
}

#[test]
fn every_exported_function_is_named() {
    let contract = fs::read_to_string(root().join("docs/contract.md")).unwrap();
    for function in include_str!("../abi/exports.txt").split_whitespace() {
        let named = format!("`{function}`");
        assert!(contract.contains(&named), "{function} is not in docs/contract.md");
    }
}

/// Within the checkout, to files and to headings.
#[test]
fn every_link_has_a_target() {
    /// As the hosts of repositories make it of a heading.
    fn anchor(heading: &str) -> String {
        let kept = heading.trim().to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    }
    let mut links = 0;
    for page in mde_tests::documents::pages(root()) {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if target.contains([':', ' ', '\n']) || target.is_empty() {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = match path {
                "" => root().join(&page),
                path => root().join(&page).parent().unwrap().join(path),
            };
            assert!(file.exists(), "{page}: {target}");
            if !heading.is_empty() {
                let text = fs::read_to_string(&file).unwrap();
                let headings = text.lines().filter(|line| line.starts_with('#'));
                let found = headings.map(|line| anchor(line.trim_start_matches('#')));
                assert!(found.into_iter().any(|it| it == heading), "{page}: {target}");
            }
            links += 1;
        }
    }
    assert!(links > 100, "{links}");
}

/// Every figure stands in the results, whose tables the benches print.
#[test]
fn the_figures_about_performance_are_those_of_the_results() {
    /// No measurements: x86-64, two cores, Debian 12, the bound of the library's size, 1 Gbit/s.
    const OTHER: [&str; 6] = ["86", "64", "12", "2.55", "1", "2"];
    let results = fs::read_to_string(root().join("benches/results.md")).unwrap();
    let number = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
    let numbers = |text: &str| -> Vec<String> {
        let parts = text.split(|c| !number(c)).map(|it| it.trim_matches([',', '.']));
        parts.filter(|it| !it.is_empty()).map(|it| it.replace(',', "")).collect()
    };
    let known = numbers(&results);
    let page = fs::read_to_string(root().join("docs/performance.md")).unwrap();
    let mut figures = 0;
    for figure in numbers(&page) {
        let is_known = OTHER.contains(&figure.as_str()) || known.contains(&figure);
        assert!(is_known, "docs/performance.md: {figure} is not in benches/results.md");
        figures += 1;
    }
    assert!(figures > 30, "{figures}");
}

/// A simulator whose collections take a moment.
fn simulator() -> Simulator {
    let sim = Simulator::start(Config::default()).unwrap();
    sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
    sim
}

/// The identity that the pages show, and what the simulator knows in its place.
const MACHINE: &str = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";
const SECRET: &str = "from your vault";

#[test]
fn the_commands_of_the_readme_are_those_of_the_scripts() {
    let scripts = concat!(include_str!("../run.sh"), include_str!("../../.ci/run"));
    for block in of("README.md", "sh") {
        for command in block.text.lines().filter(|line| !line.is_empty()) {
            let command = command.trim_start_matches("./");
            assert!(scripts.contains(command), "no script runs `{command}`");
        }
    }
}

/// A test program that the script does not know would never run.
#[test]
fn the_script_runs_every_program() {
    let script = include_str!("../run.sh");
    let manifest = include_str!("../Cargo.toml");
    let own = manifest.split("[[test]]\nname = \"").skip(1).map(|it| it.split('"').next().unwrap());
    let own: Vec<_> = own.map(str::to_owned).collect();
    assert!(own.len() > 6, "{own:?}");
    // Those of the other packages, which cargo finds by itself.
    let entries = ["simulator/tests", "benches/limiter/tests"].map(|it| root().join(it));
    let others = entries.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let others = others.map(|it| it.unwrap().path());
    let others = others.map(|it| it.file_stem().unwrap().to_str().unwrap().to_owned());
    for name in own.into_iter().chain(others) {
        let runs = [format!("' program {name} "), format!("--test {name}\n")];
        assert!(runs.iter().any(|it| script.contains(it)), "tests/run.sh does not run {name}");
    }
}

/// It fetches a package, with the address of the simulator besides.
#[test]
fn the_c_program_of_the_readme_fetches_a_package() {
    let sim = simulator();
    let folder = Scratch::new("readme");
    let package = folder.0.join("4711.zip");
    let services = format!(
        "{SECRET}\\\", \\\"api_url\\\": \\\"{}\\\", \\\"login_url\\\": \\\"{}\\\"}}\"",
        sim.api_url(),
        sim.login_url()
    );
    for block in of("README.md", "c") {
        let known = format!("{SECRET}\\\"}}\"");
        assert!(block.text.contains(&known), "{}", block.text);
        let program = block.text.replace(&known, &services).replace(SECRET, DEFAULT_SECRET);
        let program = program.replace(MACHINE, &sim.machine_id(0));
        let program = program.replace("/var/evidence/4711.zip", package.to_str().unwrap());
        let (source, binary) = (folder.0.join("readme.c"), folder.0.join("readme"));
        fs::write(&source, program).unwrap();
        symlink(release().join("libmde.so"), folder.0.join("libmde.so")).unwrap();
        symlink("libmde.so", folder.0.join("libmde.so.0")).unwrap();
        let mut cc = tool("cc", "gcc libc6-dev");
        cc.args(STRICT).arg("-I").arg(root().join("include")).arg(&source).arg("-L").arg(&folder.0);
        cc.args(["-lmde", &format!("-Wl,-rpath,{}", folder.0.display()), "-o"]).arg(&binary);
        run(&mut cc).expect(0);
        let printed = run(&mut Command::new(&binary)).expect(0);
        assert!(printed.stdout.starts_with("ok: {\"package\":"), "{}", printed.stdout);
        assert!(package.is_file());
    }
}

/// Code without comments, blanks and the lines that rustdoc hides.
fn squeezed(code: &str) -> String {
    let lines = code.lines().filter(|line| !line.starts_with("# "));
    let lines = lines.map(|line| line.split(" // ").next().unwrap());
    lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect()
}

/// This file holds the code of a block.
#[track_caller]
fn is_here(code: &str) {
    let here = squeezed(include_str!("documents.rs"));
    for statement in squeezed(code).split_inclusive(';') {
        assert!(here.contains(statement), "tests/release/documents.rs does not run `{statement}`");
    }
}

#[test]
fn the_rust_program_fetches_a_package() {
    fn program(api_url: &str, machine: &str, path: &str) -> Result<mde::Fetched, mde::Error> {
        let mut options = mde::Options::new();
        options.set("tenant_id", "9d4b7c1e-2f60-4a85-8c3d-51e0a7b6f924")?;
        options.set("client_id", "3a8f5d02-6b7c-4e19-9f48-c2d1708be563")?;
        options.set("client_secret", "from your vault")?;
        options.set("client_secret", DEFAULT_SECRET)?;
        options.set("api_url", api_url)?;
        options.set("login_url", api_url.trim_end_matches("/api"))?;
        let client = mde::Client::new(&options)?;
        let fetched = client.fetch_package(machine, "case 4711", path, None, None)?;
        println!("{}: {}", fetched.package.path, fetched.package.sha256);
        Ok(fetched)
    }
    for block in of("docs/rust.md", "rust,no_run") {
        let code = block.text.replace(&format!("let machine = \"{MACHINE}\";\n"), "");
        is_here(&code.replace("\"/var/evidence/4711.zip\"", "path"));
    }
    let sim = simulator();
    let folder = Scratch::new("rust");
    let path = folder.0.join("4711.zip");
    let fetched = program(&sim.api_url(), &sim.machine_id(0), path.to_str().unwrap()).unwrap();
    assert_eq!(Path::new(&fetched.package.path), path);
}

#[test]
fn the_rust_program_of_the_simulator_runs() {
    fn program() -> Result<(), Box<dyn std::error::Error>> {
        let sim = mde_simulator::Simulator::start(mde_simulator::Config::default())?;
        let (api, login) = (sim.api_url(), sim.login_url());
        sim.set(|b| b.in_progress_s = 0.0);
        sim.script(serde_json::json!({"reply": {"status": 503}}))?;
        assert_eq!(sim.refusals(), 0);
        assert!(api.starts_with("http://127.0.0.1:") && login.starts_with("http://127.0.0.1:"));
        Ok(())
    }
    program().unwrap();
    for block in of("simulator/README.md", "rust") {
        is_here(&block.text);
    }
}

/// The JSON of a block, where `…` stands for what is left out.
fn json(block: &Block) -> Value {
    let text = block.text.replace(", …}", "}");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}:{}: {e}", block.document, block.line))
}

#[test]
fn documents_have_the_members_of_the_pages() {
    fn names(value: &Value, found: &mut Vec<String>) {
        if let Value::Object(members) = value {
            for (name, value) in members {
                found.push(name.clone());
                names(value, found);
            }
        }
    }
    let schema = include_str!("../../docs/schema.json");
    for block in [of("README.md", "json"), of("docs/contract.md", "json")].concat() {
        let mut found = Vec::new();
        names(&json(&block), &mut found);
        for name in found {
            assert!(schema.contains(&format!("\"{name}\"")), "{name} is not in docs/schema.json");
        }
    }
}

#[test]
fn options_of_the_pages_are_accepted() {
    for block in [of("docs/sign-in.md", "json"), of("docs/deployment.md", "json")].concat() {
        let text = json(&block).to_string();
        let text = text.replace("9d4b7c1e-…", DEFAULT_TENANT).replace("3a8f5d02-…", DEFAULT_CLIENT);
        mde::Options::new().set_json(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
    }
}

#[test]
fn the_limits_for_a_fast_simulator_are_accepted() {
    let page = include_str!("../../simulator/README.md");
    let limits = page.split("`quota_limits` to `").nth(1).unwrap().split('`').next().unwrap();
    mde::Options::new().set("quota_limits", limits).unwrap();
    assert!(limits.starts_with("link="), "{limits}");
}

/// The Azure CLI needs a tenant: what it would be given is looked at instead.
#[test]
fn the_command_that_grants_a_permission_is_well_formed() {
    let folder = Scratch::new("az");
    let az = folder.0.join("az");
    fs::write(&az, "#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; done\n").unwrap();
    run(Command::new("chmod").arg("+x").arg(&az)).expect(0);
    for block in of("docs/sign-in.md", "sh") {
        let mut bash = Command::new("bash");
        let path = format!("{}:{}", folder.0.display(), std::env::var("PATH").unwrap());
        bash.args(["-euc", &block.text]).env("PATH", path);
        let words =
            run(bash.envs([("PRINCIPAL", "p"), ("DEFENDER", "d"), ("ROLE", "r")])).expect(0).stdout;
        let words: Vec<_> = words.lines().collect();
        assert_eq!(words[..3], ["rest", "--method", "POST"]);
        assert_eq!(
            words[4],
            "https://graph.microsoft.com/v1.0/servicePrincipals/p/appRoleAssignments"
        );
        let body: Value = serde_json::from_str(words[6]).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"principalId": "p", "resourceId": "d", "appRoleId": "r"})
        );
    }
}

/// With all members at once it would be three outcomes, and four kinds of body.
#[test]
fn the_simulator_accepts_the_rule_of_its_page() {
    let sim = simulator();
    for block in of("simulator/README.md", "json") {
        let whole = json(&block);
        let without = |mut rule: Value, names: &[&str], kept: &str| {
            let members = rule.as_object_mut().unwrap();
            names.iter().filter(|name| **name != kept).for_each(|name| drop(members.remove(*name)));
            rule
        };
        for outcome in ["reply", "close", "stall"] {
            let rule = without(whole.clone(), &["reply", "close", "stall"], outcome);
            for body in ["body", "json", "body_base64", "repeat"] {
                let mut rule = rule.clone();
                if let Some(reply) = rule.get_mut("reply") {
                    *reply =
                        without(reply.take(), &["body", "json", "body_base64", "repeat"], body);
                }
                sim.script(rule).unwrap();
            }
        }
    }
}

mod full {
    use std::time::{Duration, Instant};

    use super::*;

    /// A folder that looks like the checkout after `cargo`, which is known from elsewhere: it does nothing here.
    fn checkout() -> Scratch {
        let folder = Scratch::new("checkout");
        for name in ["bindings", "include", "examples"] {
            symlink(root().join(name), folder.0.join(name)).unwrap();
        }
        let target = folder.0.join("target/release");
        fs::create_dir_all(&target).unwrap();
        fs::copy(release().join("libmde.so"), target.join("libmde.so")).unwrap();
        symlink(&static_library().0, target.join("libmde.a")).unwrap();
        folder
    }

    #[test]
    fn the_c_examples_are_built_and_run_as_documented() {
        let sim = simulator();
        let url = sim.api_url();
        for block in of("examples/c/README.md", "sh") {
            let folder = checkout();
            let script = block
                .text
                .replace("MDE_TENANT_ID=…", &format!("MDE_TENANT_ID={DEFAULT_TENANT}"))
                .replace("MDE_CLIENT_ID=…", &format!("MDE_CLIENT_ID={DEFAULT_CLIENT}"))
                .replace("MDE_CLIENT_SECRET=…", &format!("MDE_CLIENT_SECRET='{DEFAULT_SECRET}'"))
                .replace(
                    "./fetch ",
                    &format!("./fetch --option api_url={url} --option login_url={url} "),
                )
                .replace(MACHINE, &sim.machine_id(0));
            let script = format!("cargo() {{ :; }}\n{script}./fetch --help\n");
            run(Command::new("bash").args(["-euc", &script]).current_dir(&folder.0)).expect(0);
            let fetches = block.text.contains("--out case-4711.zip");
            assert_eq!(folder.0.join("case-4711.zip").is_file(), fetches);
        }
    }

    /// All commands of `docs/fleet.md` for the simulator, which are written as a terminal shows them.
    #[test]
    fn the_commands_to_try_a_job_over_many_devices_run() {
        let folder = checkout();
        fs::create_dir_all(folder.0.join("target/debug")).unwrap();
        symlink(simulator_program(), folder.0.join("target/debug/mde-simulator")).unwrap();
        let port = mde_tests::peers::ports::unused_port();
        let mut script = String::from("cargo() { :; }\n");
        for line in of("docs/fleet.md", "console").iter().flat_map(|block| block.text.lines()) {
            let line = line.strip_prefix("$ ").unwrap_or(line);
            script += &line.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
            script.push('\n');
            if line.contains("mde-simulator --listen") {
                script += "simulator=$!\ntrap 'kill $simulator' EXIT\n";
                script += "until grep -q 'listening on' simulator.log; do sleep 0.1; done\n";
            }
        }
        let mut bash = Command::new("bash");
        let printed = run(bash.args(["-euc", &script]).current_dir(&folder.0)).expect(0).stdout;
        assert!(printed.contains("12 devices: 12 done, "), "{printed}");
        assert!(printed.contains("'done': 12"), "{printed}");
        assert!(printed.contains("packages.jsonl: OK"), "{printed}");
        for job in ["case-4711", "case-4712"] {
            let files = fs::read_dir(folder.0.join(job)).unwrap();
            let is_package = |path: &Path| path.extension().is_some_and(|it| it == "zip");
            let packages = files.filter(|file| is_package(&file.as_ref().unwrap().path())).count();
            assert_eq!(packages, 12, "{job}: {printed}");
        }
    }

    #[test]
    fn the_simulator_starts_as_documented() {
        for block in of("simulator/README.md", "sh") {
            let command = block.text.trim();
            assert!(command.contains("127.0.0.1:8080"), "{command}");
            // Any free port, since that one may be in use. A program that is built already is as good as one that
            // cargo builds now.
            let mut script = command.replace("127.0.0.1:8080", "127.0.0.1:0");
            if let Some(built) = std::env::var_os("MDE_SIMULATOR") {
                let known = "cargo run -p mde-simulator -- ";
                assert!(script.starts_with(known), "{script}");
                script = script.replacen(known, &format!("'{}' ", built.display()), 1);
            }
            let script = format!("exec {script}");
            let folder = Scratch::new("simulator");
            let printed = folder.0.join("stdout");
            let mut bash = Command::new("bash");
            bash.args(["-euc", &script])
                .current_dir(ROOT)
                .stdout(fs::File::create(&printed).unwrap());
            for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_")) {
                bash.env_remove(name);
            }
            let mut child = bash.spawn().unwrap();
            let since = Instant::now();
            let says =
                || fs::read_to_string(&printed).unwrap().contains("listening on http://127.0.0.1:");
            while !says() && since.elapsed() < Duration::from_secs(240) {
                assert!(child.try_wait().unwrap().is_none(), "it ended");
                std::thread::sleep(Duration::from_millis(50));
            }
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(says());
        }
    }

    /// A bench, once and with few calls: that it runs, and prints the tables that the page has.
    #[track_caller]
    fn bench_runs(part: &str) {
        let commands = of("benches/results.md", "sh");
        let ends = |it: &&Block| it.text.trim().ends_with(&format!("benches/run.sh {part}"));
        let mut command = commands.iter().find(ends).unwrap().text.trim().to_owned();
        // Priority is for steady figures, and not everybody may have it.
        if run(Command::new("chrt").args(["-f", "5", "true"])).code != Some(0) {
            command = command.replace("LIMITER_WITH='chrt -f 5' ", "");
        }
        let mut bash = Command::new("bash");
        bash.args(["-euc", &command]).current_dir(ROOT).env("MDE_LIB_DIR", release());
        for (name, value) in [
            ("CALLS", "60"),
            ("ROUNDS", "1"),
            ("TRIALS", "2"),
            ("MIB", "8"),
            ("WAITERS", "8"),
            ("DEVICES", "8"),
        ] {
            bash.env(name, value);
        }
        let printed = run_with(&mut bash, Duration::from_secs(300), |_| {}).expect(0).stdout;
        let tables = printed.lines().filter(|line| line.starts_with("|---")).count();
        assert!(tables > 0, "{command} printed no table:\n{printed}");
    }

    /// A test for each bench.
    macro_rules! benches {
        ($($test:ident: $part:literal,)*) => {
            $(
                #[test]
                fn $test() {
                    bench_runs($part);
                }
            )*

            #[test]
            fn every_bench_has_a_test() {
                let commands = of("benches/results.md", "sh");
                let parts = commands.iter().map(|it| it.text.trim().rsplit(' ').next().unwrap());
                let parts: Vec<_> = parts.collect();
                assert_eq!(parts, [$($part),*]);
                // One command makes them all.
                let script = include_str!("../../benches/run.sh");
                assert_eq!(of("docs/performance.md", "sh")[0].text, "benches/run.sh all\n");
                for part in parts {
                    assert!(script.contains(&format!("#     benches/run.sh {part} ")), "{part}");
                }
            }
        };
    }

    benches! {
        the_bench_of_calls_runs: "calls",
        the_bench_of_instructions_runs: "instructions",
        the_bench_of_memory_runs: "memory",
        the_bench_of_cold_starts_runs: "cold",
        the_bench_of_stops_runs: "overshoot",
        the_bench_of_the_limiter_runs: "limiter",
        the_bench_of_downloads_runs: "download",
        the_bench_of_waits_runs: "waits",
        the_bench_of_many_devices_runs: "fleet",
        the_bench_of_devices_that_wait_runs: "waiting",
        the_bench_of_starts_runs: "start",
    }
}
