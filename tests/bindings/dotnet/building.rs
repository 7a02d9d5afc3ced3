//! Compiles the .NET binding out of an installation, and runs programs on the runtimes that there are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mde_tests::programs::installing::installed;
use mde_tests::programs::{ROOT, Scratch, run, tool};

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Debian's Mono, compiled with its `mcs`.
    Mono,
    /// .NET Core 3.1, the same files.
    CoreClr,
    /// .NET 8, compiled with Microsoft's compiler together with the files for that target.
    Net8,
}

/// The runtimes that `tests/dotnet/runtimes.sh` has unpacked.
fn runtimes() -> PathBuf {
    mde_tests::target().join("dotnet")
}

#[track_caller]
fn unpacked(name: &str, what: &str) -> PathBuf {
    let path = runtimes().join(name);
    let folder = runtimes();
    assert!(
        path.exists(),
        "{} is missing; run: tests/dotnet/runtimes.sh {} {what}",
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
    /// The binding, out of a fresh installation, without a warning.
    #[track_caller]
    pub fn binding(on: On) -> Built {
        Built::changed(on, |_| ())
    }

    /// The same, with changes to its sources.
    #[track_caller]
    pub fn changed(on: On, change: impl FnOnce(&Path)) -> Built {
        let folder = Scratch::new("dotnet");
        let built = Built { on, prefix: installed(), folder };
        let source = built.source();
        change(&source);
        let mut sources = files(&source, "cs");
        sources.extend(files(&source.join("Native"), "cs"));
        let mut compiler = built.compiler("8");
        if on == On::Net8 {
            // MdeJsonContext.cs needs the source generator of a newer compiler.
            let newer = files(&source.join("Net8"), "cs").into_iter();
            sources.extend(newer.filter(|it| !it.ends_with("MdeJsonContext.cs")));
            sources.push(Path::new(ROOT).join("tests/dotnet/net8/MdeJsonContext.cs"));
        }
        compiler.arg("-target:library").arg(built.out("Mde.dll"));
        compiler.arg(format!("-doc:{}", built.file("Mde.xml").display()));
        run(compiler.args(sources)).expect(0);
        let library = built.prefix.0.join("lib").join("libmde.so.0");
        // On .NET 8 under its SONAME: there the binding knows that name.
        let name = if on == On::Net8 { "libmde.so.0" } else { "libmde.so" };
        fs::copy(library, built.file(name)).unwrap();
        fs::write(built.file("3.1.json"), configuration("3.1.0")).unwrap();
        fs::write(built.file("8.0.json"), configuration("8.0.0")).unwrap();
        built
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    /// The sources of the binding, as they were installed.
    pub fn source(&self) -> PathBuf {
        self.prefix.0.join("share/mde/bindings/dotnet/Mde")
    }

    /// Those of the example.
    pub fn example(&self) -> PathBuf {
        self.prefix.0.join("share/mde/examples/dotnet/Fetch")
    }

    fn out(&self, name: &str) -> String {
        format!("-out:{}", self.file(name).display())
    }

    /// A C# compiler with the framework's assemblies, where warnings are errors.
    fn compiler(&self, language: &str) -> Command {
        let strict = ["-nologo", "-warnaserror", "-debug+"];
        if self.on != On::Net8 {
            let mut mcs = tool("mcs", "mono-mcs libmono-cil-dev");
            mcs.args(strict).args(["-langversion:7.2", "-r:System.Core.dll"]);
            return mcs;
        }
        fs::write(self.file("8.0.json"), configuration("8.0.0")).unwrap();
        let mut csc = self.dotnet("net-8.0", "8.0.json");
        csc.arg(unpacked("roslyn", "full").join("csc.dll"));
        csc.args(["-noconfig", "-nostdlib", "-define:NET8_0_OR_GREATER"]).args(strict);
        csc.arg(format!("-langversion:{language}"));
        let shared = unpacked("net-8.0", "full").join("shared/Microsoft.NETCore.App");
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
        let what = if runtime == "net-8.0" { "full" } else { "core" };
        let mut dotnet = Command::new(unpacked(runtime, what).join("dotnet"));
        dotnet.args(["exec", "--runtimeconfig"]).arg(self.file(configuration));
        dotnet.env("DOTNET_CLI_TELEMETRY_OPTOUT", "1");
        dotnet
    }

    /// Compiles the part of the binding that is for .NET Standard, as C# 7.3 against the reference assembly of 2.1:
    /// that of 2.0 is in no package here.
    #[track_caller]
    pub fn for_net_standard(&self) {
        let mut csc = self.dotnet("net-8.0", "8.0.json");
        csc.arg(unpacked("roslyn", "full").join("csc.dll"));
        csc.args(["-nologo", "-warnaserror", "-noconfig", "-nostdlib", "-langversion:7.3"]);
        let reference = unpacked("netstandard", "full").join("netstandard.dll");
        csc.arg("-target:library").arg(format!("-r:{}", reference.display()));
        csc.arg(self.out("Mde.standard.dll"));
        csc.args(files(&self.source(), "cs"));
        run(csc.args(files(&self.source().join("Native"), "cs"))).expect(0);
    }

    /// Compiles a program against the binding, without a warning.
    #[track_caller]
    pub fn compile(&self, name: &str, sources: &[PathBuf]) {
        let mut compiler = self.compiler("7.3");
        compiler.arg("-target:exe").arg(self.out(name));
        compiler.arg(format!("-r:{}", self.file("Mde.dll").display()));
        run(compiler.args(sources)).expect(0);
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
}
