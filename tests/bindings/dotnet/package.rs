//! The NuGet package, without an SDK: `tests/dotnet/layout.py` packs it and lays programs out, and xbuild runs the targets
//! in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mde_tests::programs::scenarios::has;
use mde_tests::programs::{Finished, ROOT, Scratch, run, tool};

/// The native libraries in the package, as folders of `runtimes` and files.
const NATIVE: [(&str, &str); 4] = [
    ("linux-x64", "libmde.so"),
    ("linux-arm64", "libmde.so"),
    ("linux-musl-x64", "libmde.so"),
    ("win-x64", "mde.dll"),
];

/// The project with its native libraries, files that hold their own paths.
struct Project {
    folder: Scratch,
}

impl Project {
    fn new() -> Project {
        let project = Project { folder: Scratch::new("package") };
        for (system, file) in NATIVE {
            let place = project.path("native").join(system);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join(file), format!("{system}/{file}")).unwrap();
        }
        fs::create_dir(project.path("native/licenses")).unwrap();
        fs::write(project.path("native/licenses/ring.txt"), "").unwrap();
        fs::create_dir_all(project.path("mde/bindings")).unwrap();
        let copied = run(Command::new("cp")
            .arg("-r")
            .arg(format!("{ROOT}/bindings/dotnet"))
            .arg(project.path("mde/bindings/dotnet")));
        copied.expect(0);
        for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
            fs::copy(format!("{ROOT}/{name}"), project.path("mde").join(name)).unwrap();
        }
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    fn project(&self) -> PathBuf {
        self.path("mde/bindings/dotnet/Mde.Client/Mde.Client.csproj")
    }

    /// The names of an earlier layout, which is one file too few on Windows.
    fn under_its_old_name(self) -> Project {
        let text = fs::read_to_string(self.project()).unwrap();
        let old =
            text.replace(">Mde.Client<", ">Mde<").replace("/Mde.Client.targets", "/Mde.targets");
        assert_ne!(old, text);
        fs::write(self.project(), old).unwrap();
        for folder in ["net462", "net461", "netcore"] {
            let folder = self.path("mde/bindings/dotnet/Mde.Client/build").join(folder);
            fs::rename(folder.join("Mde.Client.targets"), folder.join("Mde.targets")).unwrap();
        }
        self
    }

    fn layout(words: &[&dyn AsRef<std::ffi::OsStr>]) -> Finished {
        let mut python = tool("python3", "python3");
        run(python.arg(format!("{ROOT}/tests/dotnet/layout.py")).args(words))
    }

    fn pack(&self, how: &[&dyn AsRef<std::ffi::OsStr>]) -> Finished {
        let words: [&dyn AsRef<std::ffi::OsStr>; 3] =
            [&self.project(), &self.path("native"), &self.path("packed")];
        Project::layout(&[&[&"pack" as _], how, &words].concat())
    }

    fn check(&self) -> Finished {
        Project::layout(&[&"check", &self.path("packed")])
    }
}

#[test]
fn programs_for_every_system_have_all_their_files() {
    let project = Project::new();
    project.pack(&[]).expect(0);
    project.check().expect(0);
    for file in ["licenses/ring.txt", "LICENSE-MIT", "LICENSE-APACHE", "README.md"] {
        assert!(project.path("packed").join(file).is_file(), "{file}");
    }
}

#[test]
fn two_names_that_are_one_on_windows_are_found() {
    let project = Project::new().under_its_old_name();
    has(&project.pack(&[]).expect(1).stderr, "are one file on Windows");
    fs::remove_dir_all(project.path("packed")).unwrap();
    project.pack(&[&"--unchecked"]).expect(0);
    let said = project.check().expect(1).stderr;
    has(&said, "net8.0, win-x64: Mde.dll and mde.dll are one file on Windows");
    has(&said, "net48, PackageReference, win-x64: mde.dll and Mde.dll are one file on Windows");
    has(&said, "net48, packages.config: the reference Mde is resolved to the native ");
    has(
        &said,
        "net48, PackageReference without the SDK: the reference Mde is resolved to the native ",
    );
}

#[test]
fn a_library_that_is_missing_is_found() {
    for (system, file, said) in [
        (
            "linux-arm64",
            "libmde.so",
            "net8.0, linux-arm64: the native library libmde.so is missing",
        ),
        ("win-x64", "mde.dll", "net48, packages.config: "),
        (
            "linux-x64",
            "libmde.so",
            "net8.0, no identifier: the native library runtimes/linux-x64/native/libmde.so is missing",
        ),
    ] {
        let project = Project::new();
        project.pack(&[]).expect(0);
        fs::remove_file(project.path("packed/runtimes").join(system).join("native").join(file))
            .unwrap();
        has(&project.check().expect(1).stderr, said);
        fs::remove_dir_all(project.path("packed")).unwrap();
        fs::remove_file(project.path("native").join(system).join(file)).unwrap();
        has(&project.pack(&[]).expect(1).stderr, "is missing");
    }
    // Not built everywhere.
    let project = Project::new();
    fs::remove_dir_all(project.path("native/linux-musl-x64")).unwrap();
    project.pack(&[]).expect(0);
    project.check().expect(0);
}

#[test]
fn a_reference_that_finds_a_native_file_is_found() {
    let project = Project::new();
    project.pack(&[]).expect(0);
    let targets = project.path("packed/build/net462/Mde.Client.targets");
    let text = fs::read_to_string(&targets).unwrap();
    fs::write(&targets, text.replace("native/mde.dll", "native/mde.client.dll")).unwrap();
    let native = project.path("packed/runtimes/win-x64/native");
    fs::copy(native.join("mde.dll"), native.join("mde.client.dll")).unwrap();
    let said = project.check().expect(1).stderr;
    has(&said, "net48, packages.config: the reference Mde.Client is resolved to the native ");
}

/// What can be said of the project without an SDK.
#[test]
fn the_project_is_sound() {
    for project in
        ["bindings/dotnet/Mde.Client/Mde.Client.csproj", "examples/dotnet/Fetch/Fetch.csproj"]
    {
        let read = "import sys, xml.dom.minidom as x; x.parse(sys.argv[1])";
        let mut python = tool("python3", "python3");
        run(python.args(["-c", read]).arg(format!("{ROOT}/{project}"))).expect(0);
    }
    let project =
        fs::read_to_string(format!("{ROOT}/bindings/dotnet/Mde.Client/Mde.Client.csproj")).unwrap();
    for part in [
        "<TargetFrameworks>net8.0;netstandard2.0</TargetFrameworks>",
        "<LangVersion>8.0</LangVersion>",
        "<Nullable>enable</Nullable>",
        "<Deterministic>true</Deterministic>",
        "<PathMap>$(MSBuildThisFileDirectory)=/mde/</PathMap>",
        "<SymbolPackageFormat>snupkg</SymbolPackageFormat>",
        "<AnalysisMode>Recommended</AnalysisMode>",
        "<AssemblyOriginatorKeyFile>../mde.snk</AssemblyOriginatorKeyFile>",
        "<PackageId>Mde.Client</PackageId>",
        &format!("<Version>{}</Version>", mde_tests::VERSION),
        "<PackageLicenseExpression>MIT OR Apache-2.0</PackageLicenseExpression>",
        "<None Include=\"../README.md\" Pack=\"true\" PackagePath=\"/\" />",
        "<None Include=\"@(MdeNative)\" />",
    ] {
        assert!(project.contains(part), "the project lacks {part}");
    }
    assert!(Path::new(ROOT).join("bindings/dotnet/mde.snk").is_file());
}

/// A project that imports what NuGet would. Its program is not compiled: the targets run around that.
const USER: &str = r#"<Project DefaultTargets="Build" ToolsVersion="14.0" xmlns="http://schemas.microsoft.com/developer/msbuild/2003">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <AssemblyName>Agent</AssemblyName>
    <TargetFrameworkVersion>v4.5</TargetFrameworkVersion>
    <OutputPath>bin/</OutputPath>
  </PropertyGroup>
  <ItemGroup><Compile Include="Agent.cs" /></ItemGroup>
  <Import Project="$(MSBuildToolsPath)/Microsoft.CSharp.targets" />
  <Import Project="packed/FOLDER/Mde.Client.targets" />
  <Target Name="CoreCompile"><Copy SourceFiles="Agent.cs" DestinationFiles="@(IntermediateAssembly)" /></Target>
</Project>
"#;

/// Builds it. Gives the native library beside the program, and what was said.
fn build(project: &Project, imported: &str, properties: &[&str]) -> (Option<String>, Finished) {
    fs::write(project.path("Agent.cs"), "").unwrap();
    fs::write(project.path("Agent.csproj"), USER.replace("FOLDER", imported)).unwrap();
    for left in ["bin", "obj"] {
        fs::remove_dir_all(project.path(left)).ok();
    }
    let mut xbuild = tool("xbuild", "mono-xbuild");
    xbuild.args(["/nologo", "/verbosity:normal"]).args(properties);
    let said = run(xbuild.arg(project.path("Agent.csproj")));
    (fs::read_to_string(project.path("bin/mde.dll")).ok(), said)
}

/// Programs on .NET Framework get the native library beside them, and those that cannot load it a warning.
#[test]
fn net_framework_gets_the_library() {
    let project = Project::new();
    project.pack(&[]).expect(0);
    let result = |imported: &str, properties: &[&str]| {
        let (library, said) = build(&project, imported, properties);
        let stdout = said.expect(0).stdout;
        assert!(project.path("bin/Agent.exe").is_file(), "{stdout}");
        (library, stdout.contains("warning MDE001"))
    };
    for imported in ["build/net462", "buildTransitive/net462"] {
        let library = Some("win-x64/mde.dll".to_owned());
        assert_eq!(result(imported, &[]), (library.clone(), false), "{imported}");
        for (platform, warned) in [("x64", false), ("x86", true), ("arm64", true)] {
            let platform = format!("/p:PlatformTarget={platform}");
            assert_eq!(result(imported, &[&platform]), (library.clone(), warned), "{platform}");
        }
        assert_eq!(
            result(imported, &["/p:Prefer32Bit=true"]),
            (library.clone(), true),
            "{imported}"
        );
        // There NuGet copies it.
        let by_nuget = ["/p:UsingMicrosoftNETSdk=true", "/p:RuntimeIdentifier=win-x64"];
        assert_eq!(result(imported, &by_nuget), (None, false), "{imported}");
        assert_eq!(result(imported, &by_nuget[..1]), (library.clone(), false), "{imported}");
        assert_eq!(result(imported, &by_nuget[1..]), (library, false), "{imported}");
    }
    for imported in ["build/net461", "buildTransitive/net461"] {
        let (_, said) = build(&project, imported, &[]);
        has(&said.expect(1).stdout, "error MDE003");
    }
}

/// A program for a system that the package has no library for is built with a warning.
#[test]
fn systems_without_a_library_are_named() {
    let project = Project::new();
    fs::remove_dir_all(project.path("native/linux-musl-x64")).unwrap();
    project.pack(&[]).expect(0);
    let warned = |rid: &str| {
        let (_, said) =
            build(&project, "buildTransitive/net8.0", &[&format!("/p:RuntimeIdentifier={rid}")]);
        said.expect(0).stdout.contains("warning MDE002")
    };
    for rid in
        ["", "win-x64", "win10-x64", "linux-x64", "linux-arm64", "ubuntu.22.04-x64", "rhel.8-arm64"]
    {
        assert!(!warned(rid), "{rid}");
    }
    for rid in [
        "osx-arm64",
        "osx-x64",
        "win-x86",
        "win-arm64",
        "win10-x86",
        "linux-musl-x64",
        "alpine.3.18-x64",
        "linux-arm",
    ] {
        assert!(warned(rid), "{rid}");
    }
    let same =
        fs::read(project.path("packed/buildTransitive/netcoreapp2.0/Mde.Client.targets")).unwrap();
    assert_eq!(
        same,
        fs::read(project.path("packed/buildTransitive/net8.0/Mde.Client.targets")).unwrap()
    );
    // With that library there is none for musl.
    let place = project.path("packed/runtimes/linux-musl-x64/native");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("libmde.so"), "").unwrap();
    assert!(!warned("linux-musl-x64"));
}
