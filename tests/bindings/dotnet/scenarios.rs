//! What is expected of the .NET binding, on every runtime that [`On`] names.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mde_simulator::{Config, DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, QuotaMode};

use super::building::{ASSEMBLY, Built, On, files};
use mde_tests::programs::scenarios::has;
use mde_tests::programs::{How, ROOT, Scratch, Service, run, run_with, targets, tool};

/// Checks that take long begin with this.
const SLOW: &str = "stress_";

/// And those that another library than the real one serves, with this.
const STAND_IN: &str = "stand_in_";

const GENEROUS: &str = "collect=9999/60;read=9999/60;list=9999/60;cancel=9999/60;link=9999/60";

fn service() -> Service {
    let service = Service::start(Config { quota_mode: QuotaMode::Off, ..Config::default() });
    service.sim.set(|b| (b.pending_s, b.in_progress_s) = (0.2, 0.3));
    service
}

fn tests(on: On) -> Built {
    with_tests(Built::binding(on))
}

fn with_tests(built: Built) -> Built {
    built.once(&["Tests.exe", "Tests.pdb"], |built| {
        let folder = Path::new(ROOT).join("tests/dotnet");
        let mut sources = files(&folder, "cs");
        sources.extend(files(&folder.join(built.target()), "cs"));
        built.compile("Tests.exe", &sources);
    });
    built
}

/// Runs the checks whose names fit, and expects that there are some.
#[track_caller]
fn check(on: On, fits: impl Fn(&str) -> bool) {
    check_with(&tests(on), fits);
}

#[track_caller]
fn check_with(built: &Built, fits: impl Fn(&str) -> bool) {
    let (on, service) = (built.on, service());
    let listed = run(built.start("Tests.exe").arg("--list")).expect(0).stdout;
    let names: Vec<_> = listed.lines().filter(|it| fits(it)).collect();
    assert!(!names.is_empty(), "{listed}");
    let folder = Scratch::new("packages");
    let mut command = built.start("Tests.exe");
    service.describe(&mut command).arg(&folder.0).args(&names);
    command.env("MDE_TEST_HEADER", built.prefix.0.join("include/mde.h"));
    let finished = run(&mut command).expect(0);
    // The numbers of the runtimes: that it is the one that was meant.
    let runtime = match on {
        On::Mono => "runtime 4.0.",
        On::CoreClr => "runtime 3.1.",
        On::Net8 => "runtime 8.0.",
    };
    has(&finished.stdout, runtime);
    has(&finished.stdout, &format!("\n{} passed, 0 failed\n", names.len()));
    assert_eq!(finished.stderr, "");
    for line in finished.stdout.lines().filter_map(|line| line.strip_prefix("sha256 ")) {
        let (sha256, path) = line.split_once(' ').unwrap();
        assert_eq!(sha256sum(Path::new(path)), sha256, "{path}");
    }
}

#[track_caller]
fn sha256sum(path: &Path) -> String {
    let printed = run(tool("sha256sum", "coreutils").arg(path)).expect(0).stdout;
    // A name with a backslash in it would begin with one; these have none.
    printed.split(' ').next().unwrap().to_owned()
}

/// Everything but what takes long.
#[track_caller]
pub fn quick(on: On) {
    check(on, |name| !name.starts_with(SLOW) && !name.starts_with(STAND_IN));
}

/// What takes long.
#[track_caller]
pub fn stress(on: On) {
    check(on, |name| name.starts_with(SLOW));
}

/// What a call came to is not lost, whatever callbacks and tokens do meanwhile.
#[track_caller]
pub fn outcomes_are_kept(on: On) {
    let built = tests(on);
    std::fs::remove_file(built.file("libmde.so.0")).ok();
    let mut cc = tool("cc", "gcc libc6-dev");
    cc.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(built.prefix.0.join("include"));
    cc.arg(format!("{ROOT}/tests/dotnet/outcomes.c")).arg("-o").arg(built.file("libmde.so"));
    run(&mut cc).expect(0);
    check_with(&built, |name| name.starts_with(STAND_IN));
}

/// Threads that are all the first to use the library. Where there is something to do before it is loaded, that takes
/// long enough for all of them to come.
#[track_caller]
pub fn any_thread_may_be_first(on: On) {
    let built = with_tests(Built::changed(on, |source| {
        let resolver = source.join("Net8/NativeLibraryResolver.cs");
        let text = std::fs::read_to_string(&resolver).unwrap();
        let step = "NativeLibrary.SetDllImportResolver(";
        assert_eq!(text.matches(step).count(), 1, "{text}");
        let slow = format!("System.Threading.Thread.Sleep(100); {step}");
        std::fs::write(resolver, text.replace(step, &slow)).unwrap();
    }));
    let finished = run(built.start("Tests.exe").arg("--first-use")).expect(0);
    assert_eq!(finished.stdout, "loaded 16\n");
}

/// A native library with another ABI, another library of its name, one for other processors, and none at all.
#[track_caller]
pub fn refuses_what_does_not_fit(on: On) {
    let built = tests(on);
    let beside = built.file("libmde.so");
    std::fs::remove_file(built.file("libmde.so.0")).ok();
    let refused = || {
        let failed = run(built.start("Tests.exe").arg("."));
        assert_ne!(failed.code, Some(0));
        format!("{}{}", failed.stdout, failed.stderr)
    };
    let library = |source: &str| {
        std::fs::write(built.file("other.c"), source).unwrap();
        std::fs::remove_file(&beside).ok();
        let mut cc = tool("cc", "gcc libc6-dev");
        run(cc.args(["-shared", "-fPIC", "-o"]).arg(&beside).arg(built.file("other.c"))).expect(0);
    };
    library("unsigned mde_abi_version(void) { return 7; }\n");
    has(&refused(), "has the ABI version 7; this binding needs 0");
    library("int other(void) { return 7; }\n");
    has(&refused(), "is another one: it has no function mde_abi_version");

    // The processor in the head of the file.
    let mut bytes = std::fs::read(&beside).unwrap();
    *bytes.get_mut(18).unwrap() = 0xb7;
    std::fs::write(&beside, bytes).unwrap();
    let said = refused();
    has(&said, "BadImageFormatException");
    has(
        &said,
        &format!("{} is for Arm64 processors, and this process is for X64", beside.display()),
    );

    std::fs::remove_file(&beside).unwrap();
    has(&refused(), "DllNotFoundException");
}

/// What may be null is known to the compiler.
#[track_caller]
pub fn doubts_about_null_do_not_compile(on: On) {
    let built = Built::binding(on);
    let compiled = |name: &str, statement: &str| {
        let source = built.file(&format!("{name}.cs"));
        let program = format!(
            "using Mde; class Doubt {{ static void Main() {{ }} static void With(MdeClient client, MdeOptions options) {{ {statement} }} }}"
        );
        std::fs::write(&source, program).unwrap();
        let finished = built.compiling(&format!("{name}.exe"), &[source]);
        (finished.code, finished.stdout)
    };
    for (code, statement) in [
        ("CS8602", "var length = client.GetAction(\"a\").Action.MachineId.Length;"),
        ("CS8602", "var found = new MdeError(MdeStatus.Ok, \"\").Action.Id;"),
        (
            "CS8603",
            "options.SetTokenProvider((scope, cancellation) => { MdeAccessToken? none = null; return none; });",
        ),
        ("CS8625", "client.CollectPackage(null, \"why\");"),
    ] {
        let (ended, said) = compiled("doubt", statement);
        assert_eq!(ended, Some(1), "{statement}\n{said}");
        has(&said, &format!("error {code}"));
    }
    let sure = "var length = client.GetAction(\"a\").Action.MachineId?.Length; options.SetTokenProvider((scope, cancellation) => new MdeAccessToken(scope));";
    let (ended, said) = compiled("sure", sure);
    assert_eq!(ended, Some(0), "{said}");
}

/// The public API is the committed list.
#[track_caller]
pub fn the_api_is_the_list(on: On) {
    let built = Built::binding(on);
    built.compile("Api.exe", &[Path::new(ROOT).join("tests/dotnet/api/Api.cs")]);
    let listed = run(built.start("Api.exe").arg(built.file(ASSEMBLY))).expect(0).stdout;
    let committed = Path::new(ROOT).join("bindings/dotnet/PublicApi.txt");
    if std::env::var_os("MDE_UPDATE_DOCS").is_some() {
        std::fs::write(&committed, &listed).unwrap();
    }
    let known = std::fs::read_to_string(&committed).unwrap();
    let only = |one: &str, other: &str| -> Vec<String> {
        let other: std::collections::BTreeSet<_> = other.lines().collect();
        one.lines().filter(|it| !other.contains(it)).map(str::to_owned).collect()
    };
    let (added, gone) = (only(&listed, &known), only(&known, &listed));
    assert!(
        listed == known,
        "the public API is not that of {}\nadded: {added:#?}\ngone: {gone:#?}\nIf it is meant: MDE_UPDATE_DOCS=1 cargo test -p mde-tests --test bindings the_api",
        committed.display()
    );
}

/// The calls of the lines for PowerShell, which nothing runs here: they are in the page, and compile.
#[track_caller]
pub fn the_calls_for_powershell_compile(on: On) {
    let page = std::fs::read_to_string(format!("{ROOT}/docs/dotnet.md")).unwrap();
    let lines = page.split("```powershell\n").nth(1).unwrap().split("```").next().unwrap();
    for call in [
        "$options.Set('tenant_id', $env:MDE_TENANT_ID).Set('client_id', $env:MDE_CLIENT_ID)",
        "$options.Set('client_secret', $env:MDE_CLIENT_SECRET)",
        "[Mde.MdeClient]::new($options)",
        "$client.FindMachines('device-0001.contoso.example').Machines[0]",
        "$client.FetchPackage($machine.Id, 'case 4711', '/var/evidence/4711.zip').Package",
        "$client.Dispose()",
    ] {
        has(lines, call);
    }
    let built = Built::binding(on);
    let source = built.file("Lines.cs");
    let program = "class Lines { static void Main() { string s = \"\"; var options = new Mde.MdeOptions(); \
        options.Set(\"tenant_id\", s).Set(\"client_id\", s); options.Set(\"client_secret\", s); \
        var client = new Mde.MdeClient(options); var machine = client.FindMachines(s).Machines[0]; \
        System.Console.WriteLine(client.FetchPackage(machine.Id, s, s).Package); client.Dispose(); } }";
    std::fs::write(&source, program).unwrap();
    built.compile("Lines.exe", &[source]);
}

/// The same sources in two folders give the same bytes.
#[track_caller]
pub fn two_folders_give_one_assembly(on: On) {
    let (one, other) = (Built::changed(on, |_| ()), Built::changed(on, |_| ()));
    assert_ne!(one.file(ASSEMBLY), other.file(ASSEMBLY));
    for name in [ASSEMBLY, "Mde.Client.pdb"] {
        let same =
            std::fs::read(one.file(name)).unwrap() == std::fs::read(other.file(name)).unwrap();
        assert!(same, "{name} differs");
    }
}

/// As PowerShell finds the libraries of its modules.
#[track_caller]
pub fn a_module_finds_its_library() {
    let built = Built::binding(On::Net8);
    built.compile("Module.exe", &[Path::new(ROOT).join("tests/dotnet/module/Module.cs")]);
    std::fs::create_dir(built.file("linux-x64")).unwrap();
    std::fs::rename(built.file("libmde.so.0"), built.file("linux-x64/libmde.so")).unwrap();
    let printed = run(&mut built.start("Module.exe")).expect(0).stdout;
    assert_eq!(printed.trim_end(), mde_tests::VERSION);
}

/// On Windows, as far as Wine goes: `Mde.Client.dll` and `mde.dll` in one folder.
#[track_caller]
pub fn fetches_on_windows() {
    let built = Built::binding(On::CoreClr);
    built.compile("Windows.exe", &[Path::new(ROOT).join("tests/dotnet/windows/Windows.cs")]);
    let (service, folder) = (service(), Scratch::new("windows"));
    let path = folder.0.join("4711.zip");
    let mut command = built.start_on_windows("Windows.exe");
    service.describe(&mut command).arg(targets::native(&path, How::Wine));
    let printed = run(&mut command).expect(0).stdout.replace("\r\n", "\n");
    assert_eq!(
        printed,
        format!(
            "library {}, not_found\nfetched {}\nsha256 {}\nstages collect wait download verify\ncomment True\nquotas True\nshutdown True\nlog True\n",
            mde_tests::VERSION,
            targets::native(&path, How::Wine),
            sha256sum(&path)
        )
    );
}

/// `examples/dotnet/Fetch` with what it needs.
struct Fetch {
    built: Built,
    service: Service,
    folder: Scratch,
}

impl Fetch {
    fn new(on: On) -> Fetch {
        let built = Built::binding(on);
        let sources = files(&built.example(), "cs");
        built.compile("Fetch.exe", &sources);
        Fetch { built, service: service(), folder: Scratch::new("fetch") }
    }

    fn command(&self, machine: &str) -> Command {
        let mut command = self.built.start("Fetch.exe");
        self.service.as_options(&mut command).env("MDE_OPTION_QUOTA_LIMITS", GENEROUS);
        command.args([machine, "case 4711"]).arg(self.folder.0.join("4711.zip"));
        command
    }
}

/// The example: success, failures, Ctrl-C, and carrying on.
#[track_caller]
pub fn the_example_fetches(on: On) {
    let fetch = Fetch::new(on);
    let sim = &fetch.service.sim;
    let machine = sim.machine_id(0);
    sim.set(|b| b.in_progress_s = 600.0);
    // The second look follows the words about the first, which the program may still be writing when it is seen.
    let looked =
        || sim.requests().iter().filter(|it| it.path.contains("/api/machineactions/")).count() > 1;
    let finished = run_with(&mut fetch.command(&machine), Duration::from_secs(60), |pid| {
        let patience = Instant::now() + Duration::from_secs(30);
        while !looked() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(10));
        }
        run(Command::new("sh").args(["-c", &format!("kill -INT {pid}")])).expect(0);
    });
    // Mono takes Ctrl-C on a terminal only; here the signal ends the program, which must do no harm either.
    assert_eq!(finished.code, (on != On::Mono).then_some(1), "{}", finished.stderr);
    has(&finished.stderr, "collecting, action ");
    has(&finished.stderr, "waiting, ");
    if on != On::Mono {
        has(&finished.stderr, "\ncancelled: ");
        has(&finished.stderr, "\nRun the same command to resume.");
    }
    assert_eq!(finished.stdout, "");

    sim.set(|b| b.in_progress_s = 0.1);
    let finished = run(&mut fetch.command(&machine)).expect(0);
    let path = fetch.folder.0.join("4711.zip");
    has(&finished.stdout, &format!("package  {}\n", path.display()));
    has(&finished.stdout, &format!("sha256   {}\n", sha256sum(&path)));
    has(&finished.stdout, "adopted  yes\n");
    has(&finished.stderr, "downloading, 100 %\n");

    std::fs::remove_file(path).unwrap();
    let finished = run(&mut fetch.command("0123456789012345678901234567890123456789")).expect(1);
    has(&finished.stderr, "not_found (61): ");
    let mut command = fetch.command(&machine);
    has(&run(command.env("MDE_OPTION_MAX_RETRIES", "x")).expect(2).stderr, "max_retries");
    has(&run(&mut fetch.built.start("Fetch.exe")).expect(2).stderr, "usage: Fetch ");
}

/// The blocks of C# in a page, in order.
fn blocks(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("{ROOT}/{page}")).unwrap();
    let parts = text.split("```csharp\n").skip(1);
    parts.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Every program in the pages compiles, and that of the quick start fetches.
#[track_caller]
pub fn the_pages_are_right(on: On) {
    let (built, service) = (Built::binding(on), service());
    let all = [blocks("bindings/dotnet/README.md"), blocks("docs/dotnet.md")].concat();
    assert_eq!(all.len(), 5);
    // Takes the place of the packages that programs get from NuGet.
    let stand_ins = Path::new(ROOT).join("tests/dotnet/standins/Packages.cs");
    for (n, block) in all.into_iter().enumerate() {
        let source = built.file(&format!("block{n}.cs"));
        let main =
            if block.contains(" Main(") { "" } else { "class Other { static void Main() {} }" };
        std::fs::write(&source, block + main).unwrap();
        built.compile(&format!("block{n}.exe"), &[source, stand_ins.clone()]);
    }
    let printed = run(&mut built.start("block4.exe")).expect(0).stdout;
    assert_eq!(printed, "service: busy\naction a1, Pending\n");
    service.sim.set(|b| (b.pending_s, b.in_progress_s) = (0.0, 0.0));
    let path = built.file("package.zip");
    let start = |machine: &str| {
        let mut command = built.start("block1.exe");
        command.arg(machine).arg(&path).env("MDE_GATEWAY", service.sim.api_url());
        command.env("MDE_TENANT_ID", DEFAULT_TENANT).env("MDE_CLIENT_ID", DEFAULT_CLIENT);
        command.env("MDE_CLIENT_SECRET", DEFAULT_SECRET);
        command
    };
    let finished = run(&mut start("0123456789012345678901234567890123456789")).expect(1);
    has(&finished.stdout, "NotFound: ");
    let finished = run(&mut start(&service.sim.machine_id(0))).expect(0);
    assert_eq!(finished.stdout, format!("{} {}\n", path.display(), sha256sum(&path)));
}
