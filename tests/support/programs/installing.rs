//! The release archive as users install it: unpacked in a separate folder, with flags from pkg-config or CMake.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use super::{ROOT, STRICT, Scratch, run, run_with, target, tool, without_cargos_own};

/// How a program is told where the library lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    PkgConfig,
    /// Through `mde-static.pc`.
    PkgConfigStatic,
    CMake,
    CMakeStatic,
}

/// The archive for this machine: `MDE_ARCHIVE`, or what `packaging/package.sh` makes now.
pub fn archive() -> &'static Path {
    static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
        if let Some(archive) = crate::path_in("MDE_ARCHIVE") {
            return archive;
        }
        let mut script = Command::new(Path::new(ROOT).join("packaging/package.sh"));
        without_cargos_own(&mut script).env("CARGO_TARGET_DIR", target());
        let printed = run_with(&mut script, Duration::from_secs(2400), |_| {}).expect(0).stdout;
        PathBuf::from(printed.trim())
    });
    assert!(MADE.is_file(), "{} is missing; MDE_ARCHIVE names a wrong file", MADE.display());
    &MADE
}

/// Unpacks a tar archive, without its outermost folder.
#[track_caller]
pub fn unpack(archive: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let mut tar = tool("tar", "tar");
    run(tar.arg("-xf").arg(archive).arg("-C").arg(to).arg("--strip-components=1")).expect(0);
}

/// The archive for this machine, unpacked in an empty folder; gone when dropped.
///
/// ```text
/// include/  mde.h mde.hpp mde/*.hpp mde/detail/*.hpp
/// lib/      libmde.so libmde.so.0 libmde.so.0.1.0 libmde.a pkgconfig/mde.pc cmake/mde/*.cmake
/// share/mde/  examples/{c,cpp,dotnet,go,lua,node,python} bindings/{dotnet,python}
/// ```
pub fn installed() -> Scratch {
    static UNPACKED: LazyLock<PathBuf> = LazyLock::new(|| {
        let program = std::env::current_exe().unwrap();
        let name = format!("unpacked-{}", program.file_name().unwrap().to_str().unwrap());
        let folder = crate::scratch().join(name);
        // Of an earlier run.
        let _ = std::fs::remove_dir_all(&folder);
        unpack(archive(), &folder);
        folder
    });
    let prefix = Scratch::new("installed");
    // Quicker than unpacking it again.
    run(Command::new("cp").arg("-a").arg(UNPACKED.join(".")).arg(&prefix.0)).expect(0);
    prefix
}

/// Builds a program of the archive's examples. Nothing of the checkout is used, and the archive has been
/// unpacked where no script that made it could have guessed.
#[track_caller]
pub(super) fn build(route: Route, sources: &[&str], folder: &Scratch, program: &Path) {
    let prefix = folder.0.join("some where else");
    unpack(archive(), &prefix);
    let sources: Vec<_> =
        sources.iter().map(|source| prefix.join("share/mde").join(source)).collect();
    match route {
        Route::PkgConfig => pkg_config(&prefix, "mde", &sources, program),
        Route::PkgConfigStatic => pkg_config(&prefix, "mde-static", &sources, program),
        Route::CMake => cmake(&prefix, "shared", &sources, program),
        Route::CMakeStatic => cmake(&prefix, "static", &sources, program),
    }
    let mut readelf = tool("readelf", "binutils");
    let dynamic = run(readelf.arg("-d").arg(program)).expect(0).stdout;
    let shared = matches!(route, Route::PkgConfig | Route::CMake);
    assert_eq!(dynamic.contains("[libmde.so.0]"), shared, "{dynamic}");
}

fn pkg_config(prefix: &Path, package: &str, sources: &[PathBuf], program: &Path) {
    drop(tool("pkg-config", "pkg-config"));
    drop(tool("cc", "gcc libc6-dev"));
    // The shell takes the output apart again as it does in a makefile.
    let script = r#"package=$1 program=$2 rpath=$3; shift 3
        flags=$(pkg-config --cflags --libs "$package") || exit
        eval "set -- \"\$@\" -o \"\$program\" -pthread $flags"
        exec cc "$@" "-Wl,-rpath,$rpath""#;
    let lib = prefix.join("lib");
    let mut sh = Command::new("sh");
    sh.args(["-c", script, "sh", package]).arg(program).arg(&lib);
    sh.args(STRICT).args(sources).env("PKG_CONFIG_PATH", lib.join("pkgconfig"));
    run(&mut sh).expect(0);
}

fn cmake(prefix: &Path, component: &str, sources: &[PathBuf], program: &Path) {
    let quoted: Vec<_> = sources.iter().map(|source| format!("\"{}\"", source.display())).collect();
    let name = program.file_name().unwrap().to_str().unwrap();
    let text = format!(
        "cmake_minimum_required(VERSION 3.16)
project(host C)
find_package(mde {} REQUIRED COMPONENTS {component})
find_package(Threads REQUIRED)
add_executable({name} {})
target_compile_options({name} PRIVATE {})
target_link_libraries({name} PRIVATE mde::{component} Threads::Threads)
set_target_properties({name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY \"{}\")\n",
        crate::VERSION,
        quoted.join(" "),
        STRICT.join(" "),
        program.parent().unwrap().display(),
    );
    let host = program.with_file_name("host");
    std::fs::create_dir_all(&host).unwrap();
    std::fs::write(host.join("CMakeLists.txt"), text).unwrap();
    let mut configure = tool("cmake", "cmake make");
    configure.arg("-S").arg(&host).arg("-B").arg(host.join("build"));
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    run(&mut configure).expect(0);
    run(tool("cmake", "cmake make").arg("--build").arg(host.join("build"))).expect(0);
}
