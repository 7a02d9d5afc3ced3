//! Compiles the .NET binding out of an installation, and runs programs on the runtimes that there are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use mde_tests::programs::installing::installed;
use mde_tests::programs::{Finished, How, Scratch, run, targets, tool};

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Debian's Mono, with the assembly for .NET Standard.
    Mono,
    /// .NET Core 3.1, with the same one.
    CoreClr,
    /// .NET 8, with its own.
    Net8,
}

/// Not `Mde.dll`, which Windows takes for the native library.
pub const ASSEMBLY: &str = "Mde.Client.dll";

const MONO: &str = "/usr/lib/mono/4.5";

/// The runtimes that `tests/dotnet/runtimes.sh` has unpacked.
fn runtimes() -> PathBuf {
    mde_tests::target().join("dotnet")
}

#[track_caller]
fn unpacked(name: &str) -> PathBuf {
    let path = runtimes().join(name);
    let folder = runtimes();
    assert!(
        path.exists(),
        "{} is missing; run: tests/dotnet/runtimes.sh {}",
        path.display(),
        folder.display()
    );
    path
}

/// Without a culture database; the binding does not depend on one.
fn configuration(version: &str) -> String {
    serde_json::json!({"runtimeOptions": {
        "framework": {"name": "Microsoft.NETCore.App", "version": version},
        "configProperties": {"System.Globalization.Invariant": true},
    }})
    .to_string()
}

/// Files of a folder with an ending, and of no folder below it.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        entries.filter(|it| it.extension().is_some_and(|e| e == ending)).collect();
    found.sort();
    assert!(!found.is_empty(), "no .{ending} in {}", folder.display());
    found
}

/// Compiled assemblies with the native library beside them.
pub struct Built {
    pub on: On,
    pub prefix: Scratch,
    folder: Scratch,
}

impl Built {
    /// The binding, out of an installation, without a warning. Compiled once for each target.
    #[track_caller]
    pub fn binding(on: On) -> Built {
        let built = Built::nothing(on);
        built.once(&[ASSEMBLY, "Mde.Client.pdb", "Mde.Client.xml"], Built::compile_binding);
        built
    }

    /// The same, compiled anew with changes to its sources.
    #[track_caller]
    pub fn changed(on: On, change: impl FnOnce(&Path)) -> Built {
        let built = Built::nothing(on);
        change(&built.source());
        built.compile_binding();
        built
    }

    /// Has these files made in the folder, or copies those that were made for an earlier one of this target.
    #[track_caller]
    pub fn once(&self, names: &[&str], make: impl FnOnce(&Built)) {
        /// The contents of files, by target and names.
        type Kept = BTreeMap<(&'static str, String), Vec<Vec<u8>>>;
        static KEPT: Mutex<Kept> = Mutex::new(Kept::new());
        // Others wait meanwhile, since two at once would take as long as one after the other.
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (self.target(), names.join(" "));
        if let Some(contents) = kept.get(&key) {
            for (name, bytes) in names.iter().zip(contents) {
                fs::write(self.file(name), bytes).unwrap();
            }
            return;
        }
        make(self);
        kept.insert(key, names.iter().map(|name| fs::read(self.file(name)).unwrap()).collect());
    }

    /// An installation, the native library beside the program to come, and what runtimes need.
    fn nothing(on: On) -> Built {
        let built = Built { on, prefix: installed(), folder: Scratch::new("dotnet") };
        fs::write(built.file("3.1.json"), configuration("3.1.0")).unwrap();
        fs::write(built.file("8.0.json"), configuration("8.0.0")).unwrap();
        let library = built.prefix.0.join("lib").join("libmde.so.0");
        // On .NET 8 under its SONAME: there the binding knows that name.
        let name = if on == On::Net8 { "libmde.so.0" } else { "libmde.so" };
        fs::copy(library, built.file(name)).unwrap();
        built
    }

    #[track_caller]
    fn compile_binding(&self) {
        let source = self.source();
        let mut compiler = self.compiler();
        compiler.arg("-target:library").arg(self.out(ASSEMBLY));
        compiler.arg(format!("-keyfile:{}", source.join("../mde.snk").display()));
        compiler.arg(format!("-doc:{}", self.file("Mde.Client.xml").display()));
        compiler.arg(format!(
            "-pathmap:{}=/mde,{}=/out",
            source.display(),
            self.folder.0.display()
        ));
        run(compiler.args(self.sources(self.target()))).expect(0);
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    /// The sources of the binding, as they were installed.
    pub fn source(&self) -> PathBuf {
        self.prefix.0.join("share/mde/bindings/dotnet/Mde.Client")
    }

    /// The files of the binding for a target.
    fn sources(&self, target: &str) -> Vec<PathBuf> {
        let parts = ["", "Native", target].into_iter();
        parts.flat_map(|part| files(&self.source().join(part), "cs")).collect()
    }

    /// The folder of what only one target has.
    pub fn target(&self) -> &'static str {
        if self.on == On::Net8 { "Net8" } else { "NetStandard" }
    }

    /// Those of the example.
    pub fn example(&self) -> PathBuf {
        self.prefix.0.join("share/mde/examples/dotnet/Fetch")
    }

    fn out(&self, name: &str) -> String {
        format!("-out:{}", self.file(name).display())
    }

    /// Microsoft's C# compiler without any assembly, where warnings are errors, those about null too.
    fn csc(&self) -> Command {
        // An older runtime does not find today's OpenSSL, which the compiler needs.
        let mut csc = self.dotnet("net-8.0", "8.0.json");
        csc.arg(unpacked("roslyn").join("csc.dll"));
        csc.args(["-nologo", "-noconfig", "-nostdlib", "-warnaserror", "-debug:portable"]);
        csc.args(["-deterministic", "-langversion:8", "-nullable:enable"]);
        csc
    }

    /// The same with the assemblies of the target.
    fn compiler(&self) -> Command {
        let mut csc = self.csc();
        if self.on != On::Net8 {
            // Debian's Mono lacks the assembly `netstandard`; .NET Core has those of Mono as well.
            for name in ["mscorlib", "System", "System.Core"] {
                csc.arg(format!("-r:{MONO}/{name}.dll"));
            }
            return csc;
        }
        let shared = unpacked("net-8.0").join("shared/Microsoft.NETCore.App");
        let version = fs::read_dir(shared).unwrap().next().unwrap().unwrap().path();
        // The rest of what ends in .dll there are facades or native.
        for name in fs::read_dir(&version).unwrap().map(|it| it.unwrap().path()) {
            let text = name.file_name().unwrap().to_string_lossy().into_owned();
            let managed = text.starts_with("System.") || text == "netstandard.dll";
            if managed && text.ends_with(".dll") {
                csc.arg(format!("-r:{}", name.display()));
            }
        }
        csc
    }

    fn dotnet(&self, runtime: &str, configuration: &str) -> Command {
        let mut dotnet = Command::new(unpacked(runtime).join("dotnet"));
        dotnet.args(["exec", "--runtimeconfig"]).arg(self.file(configuration));
        dotnet.env("DOTNET_CLI_TELEMETRY_OPTOUT", "1");
        dotnet
    }

    /// Compiles the assembly for .NET Standard against its own reference: that of 2.1, since that of 2.0 is in no package
    /// here.
    #[track_caller]
    pub fn for_net_standard(&self) {
        let mut csc = self.csc();
        csc.arg(format!("-r:{}", unpacked("netstandard").join("netstandard.dll").display()));
        csc.arg("-target:library").arg(self.out("standard.dll"));
        run(csc.args(self.sources("NetStandard"))).expect(0);
    }

    /// Compiles a program against the binding, without a warning.
    #[track_caller]
    pub fn compile(&self, name: &str, sources: &[PathBuf]) {
        self.compiling(name, sources).expect(0);
    }

    /// The same, which may fail.
    #[track_caller]
    pub fn compiling(&self, name: &str, sources: &[PathBuf]) -> Finished {
        let mut compiler = self.compiler();
        compiler.arg("-target:exe").arg(self.out(name));
        compiler.arg(format!("-r:{}", self.file(ASSEMBLY).display()));
        run(compiler.args(sources))
    }

    /// The command that runs a compiled program.
    #[track_caller]
    pub fn start(&self, name: &str) -> Command {
        let mut command = match self.on {
            On::Mono => {
                let mut mono = tool("mono", "mono-runtime");
                mono.arg("--debug");
                mono
            }
            On::CoreClr => self.dotnet("coreclr-3.1", "3.1.json"),
            On::Net8 => self.dotnet("net-8.0", "8.0.json"),
        };
        // Cargo's own would lead to a library that a test wants to be missing.
        command.arg(self.file(name)).env_remove("LD_LIBRARY_PATH");
        command
    }
    /// The same under Wine. The assembly is that for .NET Standard, and the native library that of Windows.
    #[track_caller]
    pub fn start_on_windows(&self, name: &str) -> Command {
        targets::put_library_of_windows(&self.folder.0);
        let runtime = unpacked("coreclr-3.1-windows");
        // Beside the runtime's own program, which asks for it as well.
        targets::put_random_numbers(&runtime);
        let native = |path: &Path| targets::native(path, How::Wine);
        let dotnet = runtime.join("dotnet.exe");
        let mut command = targets::under_wine(&[&dotnet]);
        command.args(["exec", "--runtimeconfig", &native(&self.file("3.1.json"))]);
        command.arg(native(&self.file(name))).env("DOTNET_CLI_TELEMETRY_OPTOUT", "1");
        command
    }
}
