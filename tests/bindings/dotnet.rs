//! The .NET binding: compiled out of an installation and run against the simulator, on Mono, .NET Core 3.1 and
//! .NET 8. What takes long or needs large components is in `mod full`, which `tests/run.sh core` leaves out.

use std::collections::BTreeSet;

mod building;
mod scenarios;

use building::On::{CoreClr, Mono};
use mde_tests::programs::{ROOT, run, tool};

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap()
}

#[test]
fn on_mono() {
    scenarios::quick(Mono);
}

#[test]
fn on_coreclr() {
    scenarios::quick(CoreClr);
}

#[test]
fn outcomes_are_kept() {
    scenarios::outcomes_are_kept(Mono);
    scenarios::outcomes_are_kept(CoreClr);
}

#[test]
fn any_thread_may_be_first() {
    scenarios::any_thread_may_be_first(Mono);
    scenarios::any_thread_may_be_first(CoreClr);
}

#[test]
fn the_example_on_mono() {
    scenarios::the_example_fetches(Mono);
}

#[test]
fn the_example_on_coreclr() {
    scenarios::the_example_fetches(CoreClr);
}

#[test]
fn a_library_that_does_not_fit_is_refused() {
    scenarios::refuses_what_does_not_fit(Mono);
    scenarios::refuses_what_does_not_fit(CoreClr);
}

#[test]
fn the_pages_are_right() {
    scenarios::the_pages_are_right(Mono);
    scenarios::the_pages_are_right(CoreClr);
}

#[test]
fn net_framework_gets_the_library() {
    scenarios::net_framework_gets_the_library();
}

/// What can be said of the project without an SDK.
#[test]
fn the_project_is_sound() {
    for project in ["bindings/dotnet/Mde/Mde.csproj", "examples/dotnet/Fetch/Fetch.csproj"] {
        let read = "import sys, xml.dom.minidom as x; x.parse(sys.argv[1])";
        let mut python = tool("python3", "python3");
        run(python.args(["-c", read]).arg(format!("{ROOT}/{project}"))).expect(0);
    }
    let project = read("bindings/dotnet/Mde/Mde.csproj");
    for part in [
        "<TargetFrameworks>net8.0;netstandard2.0</TargetFrameworks>",
        &format!("<Version>{}</Version>", mde_tests::VERSION),
        "<PackageLicenseExpression>MIT OR Apache-2.0</PackageLicenseExpression>",
        "<None Include=\"../README.md\" Pack=\"true\" PackagePath=\"/\" />",
    ] {
        assert!(project.contains(part), "the project lacks {part}");
    }
    for (system, file) in scenarios::NATIVE {
        let packed = format!(
            "<None Include=\"$(MdeNativeFolder)/{system}/{file}\" Pack=\"true\" PackagePath=\"runtimes/{system}/native/\""
        );
        assert!(project.contains(&packed), "the project lacks {packed}");
    }
}

/// What is read as JSON is what code is generated for.
#[test]
fn every_document_is_in_the_context() {
    let context = read("bindings/dotnet/Mde/Net8/MdeJsonContext.cs");
    let folder = std::path::Path::new(ROOT).join("bindings/dotnet/Mde");
    let mut results = BTreeSet::from(["ErrorDocument".to_owned()]);
    for file in building::files(&folder, "cs") {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let name = line.trim().strip_prefix("public sealed class ");
            results.extend(name.and_then(|it| it.strip_suffix(" : MdeResult")).map(str::to_owned));
        }
    }
    // A part of its document.
    assert!(results.remove("MdeError"));
    let known: BTreeSet<_> = context
        .lines()
        .filter_map(|line| line.trim().strip_prefix("[JsonSerializable(typeof("))
        .map(|rest| rest.trim_end_matches("))]").to_owned())
        .collect();
    assert_eq!(known, results, "left: MdeJsonContext.cs, right: the classes of results");
}

/// Declared once, and used.
#[test]
fn every_export_is_bound() {
    let native = read("bindings/dotnet/Mde/Native/NativeMethods.cs");
    let bound: BTreeSet<_> = native
        .lines()
        .filter(|line| line.contains(" static extern "))
        .map(|line| line.split('(').next().unwrap().rsplit(' ').next().unwrap().to_owned())
        .collect();
    let exported: BTreeSet<_> = read("tests/abi/exports.txt").lines().map(str::to_owned).collect();
    assert_eq!(bound, exported, "left: NativeMethods.cs, right: tests/abi/exports.txt");
    let mut rest = String::new();
    for folder in ["bindings/dotnet/Mde", "bindings/dotnet/Mde/Native"] {
        for file in building::files(&std::path::Path::new(ROOT).join(folder), "cs") {
            if !file.ends_with("NativeMethods.cs") {
                rest += &std::fs::read_to_string(file).unwrap();
            }
        }
    }
    for name in exported {
        assert!(
            rest.contains(&format!("NativeMethods.{name}(")),
            "{name} is declared but not used"
        );
    }
}

mod full {
    use super::building::On::{CoreClr, Mono, Net8};
    use super::scenarios;

    #[test]
    fn for_net_standard() {
        super::building::Built::binding(Net8).for_net_standard();
    }

    #[test]
    fn on_net8() {
        scenarios::quick(Net8);
    }

    #[test]
    fn outcomes_are_kept() {
        scenarios::outcomes_are_kept(Net8);
    }

    #[test]
    fn any_thread_may_be_first() {
        scenarios::any_thread_may_be_first(Net8);
    }

    #[test]
    fn the_example_on_net8() {
        scenarios::the_example_fetches(Net8);
    }

    #[test]
    fn a_library_that_does_not_fit_is_refused() {
        scenarios::refuses_what_does_not_fit(Net8);
    }

    #[test]
    fn stress_on_mono() {
        scenarios::stress(Mono);
    }

    #[test]
    fn stress_on_coreclr() {
        scenarios::stress(CoreClr);
    }

    #[test]
    fn stress_on_net8() {
        scenarios::stress(Net8);
    }
}
