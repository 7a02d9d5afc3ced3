//! The .NET binding: compiled out of an installation and run against the simulator, on Mono, .NET Core 3.1 and
//! .NET 8. What takes long or needs large components is in `mod full`, which `tests/run.sh core` leaves out.

use std::collections::BTreeSet;

pub mod building;
mod package;
pub mod scenarios;

use building::On::{CoreClr, Mono};
use mde_tests::programs::ROOT;

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
fn the_api_is_the_list() {
    scenarios::the_api_is_the_list(CoreClr);
}

#[test]
fn the_calls_for_powershell_compile() {
    scenarios::the_calls_for_powershell_compile(CoreClr);
}

#[test]
fn two_folders_give_one_assembly() {
    scenarios::two_folders_give_one_assembly(CoreClr);
}

#[test]
fn doubts_about_null_do_not_compile() {
    scenarios::doubts_about_null_do_not_compile(CoreClr);
}

/// Declared once, and used.
#[test]
fn every_export_is_bound() {
    let native = read("bindings/dotnet/Mde.Client/Native/NativeMethods.cs");
    let bound: BTreeSet<_> = native
        .lines()
        .filter(|line| line.contains(" static extern "))
        .map(|line| line.split('(').next().unwrap().rsplit(' ').next().unwrap().to_owned())
        .collect();
    let exported: BTreeSet<_> = read("tests/abi/exports.txt").lines().map(str::to_owned).collect();
    assert_eq!(bound, exported, "left: NativeMethods.cs, right: tests/abi/exports.txt");
    let mut rest = String::new();
    for folder in ["bindings/dotnet/Mde.Client", "bindings/dotnet/Mde.Client/Native"] {
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
    fn the_api_is_the_list() {
        scenarios::the_api_is_the_list(Net8);
    }

    #[test]
    fn doubts_about_null_do_not_compile() {
        scenarios::doubts_about_null_do_not_compile(Net8);
    }

    #[test]
    fn the_pages_are_right() {
        scenarios::the_pages_are_right(Net8);
    }

    #[test]
    fn a_module_finds_its_library() {
        scenarios::a_module_finds_its_library();
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
