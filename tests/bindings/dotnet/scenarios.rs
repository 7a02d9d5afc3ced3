//! What is expected of the .NET binding, on every runtime that [`On`] names.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mde_simulator::{Config, DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, QuotaMode};

use super::building::{Built, On, files};
use mde_tests::programs::{ROOT, Scratch, Service, run, run_with, tool};

/// Checks that take long begin with this.
const SLOW: &str = "stress_";

/// And those that another library than the real one serves, with this.
const STAND_IN: &str = "stand_in_";

/// The native libraries in the package, as folders of `runtimes` and files.
pub const NATIVE: [(&str, &str); 4] = [
    ("linux-x64", "libmde.so"),
    ("linux-arm64", "libmde.so"),
    ("linux-musl-x64", "libmde.so"),
    ("win-x64", "mde.dll"),
];

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
    built.compile("Tests.exe", &files(&Path::new(ROOT).join("tests/dotnet"), "cs"));
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

#[track_caller]
fn has(text: &str, part: &str) {
    assert!(text.contains(part), "no `{part}` in\n{text}");
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

/// A native library with another ABI, and none at all.
#[track_caller]
pub fn refuses_what_does_not_fit(on: On) {
    let built = tests(on);
    let beside = built.file("libmde.so");
    std::fs::remove_file(built.file("libmde.so.0")).ok();
    let source = built.file("other.c");
    std::fs::write(&source, "unsigned mde_abi_version(void) { return 7; }\n").unwrap();
    std::fs::remove_file(&beside).ok();
    let mut cc = tool("cc", "gcc libc6-dev");
    run(cc.args(["-shared", "-fPIC", "-o"]).arg(&beside).arg(&source)).expect(0);
    let mut command = built.start("Tests.exe");
    let failed = run(command.arg("."));
    assert_ne!(failed.code, Some(0));
    let said = format!("{}{}", failed.stdout, failed.stderr);
    has(&said, "has the ABI version 7; this binding needs 0");

    std::fs::remove_file(&beside).unwrap();
    let failed = run(built.start("Tests.exe").arg("."));
    assert_ne!(failed.code, Some(0));
    has(&format!("{}{}", failed.stdout, failed.stderr), "DllNotFoundException");
}

/// The package, unpacked, with files in place of the native libraries that hold their own paths.
fn package() -> Scratch {
    let folder = Scratch::new("package");
    let native = folder.0.join("native");
    for (system, file) in NATIVE {
        let place = native.join(system);
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join(file), format!("{system}/{file}")).unwrap();
    }
    let mut python = tool("python3", "python3");
    python.arg(format!("{ROOT}/tests/dotnet/lay_out.py"));
    python.arg(format!("{ROOT}/bindings/dotnet/Mde/Mde.csproj"));
    run(python.arg(native).arg(folder.0.join("Mde"))).expect(0);
    folder
}

/// A program for .NET Framework, whose project imports what NuGet would.
const FRAMEWORK: &str = r#"<Project DefaultTargets="Build" ToolsVersion="14.0" xmlns="http://schemas.microsoft.com/developer/msbuild/2003">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <AssemblyName>Agent</AssemblyName>
    <TargetFrameworkVersion>v4.5</TargetFrameworkVersion>
    <OutputPath>bin/</OutputPath>
    <NoCompilerStandardLib>false</NoCompilerStandardLib>
  </PropertyGroup>
  <ItemGroup><Compile Include="Agent.cs" /></ItemGroup>
  <Import Project="$(MSBuildToolsPath)/Microsoft.CSharp.targets" />
  <Import Project="Mde/FOLDER/net462/Mde.targets" />
</Project>
"#;

/// Programs on .NET Framework get the native library beside them, and those that cannot load it a warning.
#[track_caller]
pub fn net_framework_gets_the_library() {
    let folder = package();
    let here = |name: &str| folder.0.join(name);
    for (system, file) in NATIVE {
        let packed = here(&format!("Mde/runtimes/{system}/native/{file}"));
        assert_eq!(std::fs::read_to_string(packed).unwrap(), format!("{system}/{file}"));
    }
    std::fs::write(here("Agent.cs"), "class Agent { static void Main() {} }").unwrap();
    let build = |what: &[&str]| {
        for left in ["bin", "obj"] {
            std::fs::remove_dir_all(here(left)).ok();
        }
        let mut xbuild = tool("xbuild", "mono-xbuild");
        let said =
            run(xbuild.args(["/nologo", "/verbosity:normal"]).args(what).arg(here("Agent.csproj")));
        let stdout = said.expect(0).stdout;
        assert!(here("bin/Agent.exe").is_file(), "{stdout}");
        (std::fs::read_to_string(here("bin/mde.dll")).ok(), stdout.contains("warning MDE001"))
    };
    for imported in ["build", "buildTransitive"] {
        std::fs::write(here("Agent.csproj"), FRAMEWORK.replace("FOLDER", imported)).unwrap();
        let library = Some("win-x64/mde.dll".to_owned());
        assert_eq!(build(&[]), (library.clone(), false), "{imported}");
        assert_eq!(build(&["/p:PlatformTarget=x64"]), (library.clone(), false), "{imported}");
        assert_eq!(build(&["/p:PlatformTarget=x86"]), (library.clone(), true), "{imported}");
        assert_eq!(build(&["/p:Prefer32Bit=true"]), (library.clone(), true), "{imported}");
        // There NuGet copies it.
        let by_nuget = ["/p:UsingMicrosoftNETSdk=true", "/p:RuntimeIdentifier=win-x64"];
        assert_eq!(build(&by_nuget), (None, false), "{imported}");
        assert_eq!(build(&by_nuget[..1]), (library.clone(), false), "{imported}");
        assert_eq!(build(&by_nuget[1..]), (library, false), "{imported}");
    }
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
        let url = self.service.sim.api_url();
        for (name, value) in [
            ("API_URL", url.as_str()),
            ("LOGIN_URL", url.as_str()),
            ("TENANT_ID", DEFAULT_TENANT),
            ("CLIENT_ID", DEFAULT_CLIENT),
            ("CLIENT_SECRET", DEFAULT_SECRET),
            ("POLL_INTERVAL_MS", "100"),
            ("QUOTA_LIMITS", GENEROUS),
        ] {
            command.env(format!("MDE_OPTION_{name}"), value);
        }
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
    assert_eq!(all.len(), 3);
    for (n, block) in all.into_iter().enumerate() {
        let source = built.file(&format!("block{n}.cs"));
        let main =
            if block.contains(" Main(") { "" } else { "class Other { static void Main() {} }" };
        std::fs::write(&source, block + main).unwrap();
        built.compile(&format!("block{n}.exe"), &[source]);
    }
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
