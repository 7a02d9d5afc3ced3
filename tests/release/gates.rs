//! The instructions and allocations of a call do not grow unnoticed. `benches/run.sh gates` measures them.

use std::fs;
use std::process::Command;

use mde_tests::programs::{Finished, ROOT, Scratch, run, tool};

/// Compares figures with gates, both with a name and a figure in a line.
fn compare(words: &[&str], gates: &str, measured: &str) -> (Finished, String) {
    let folder = Scratch::new("gates");
    let paths = ["gates", "measured"].map(|name| folder.0.join(name));
    fs::write(&paths[0], gates).unwrap();
    fs::write(&paths[1], measured).unwrap();
    let mut python = tool("python3", "python3");
    python.arg(format!("{ROOT}/benches/gates/compare.py")).args(words).args(&paths);
    let finished = run(&mut python);
    (finished, fs::read_to_string(&paths[0]).unwrap())
}

const GATES: &str = "# What it is.\nallocations.get 20\ninstructions.get 10000\n";

#[test]
fn there_is_room_for_three_percent() {
    for (figure, code) in [(10_000, 0), (10_300, 0), (9_700, 0), (10_301, 1), (20_000, 1)] {
        let measured = format!("instructions.get {figure}\nallocations.get 20\n");
        let (finished, _) = compare(&[], GATES, &measured);
        let finished = finished.expect(code);
        let names = finished.stderr.contains("instructions.get (exceeded)");
        assert_eq!(names, code == 1, "{}", finished.stderr);
        assert!(!finished.stdout.contains("better"), "{}", finished.stdout);
    }
    // One allocation more is more than that.
    let (finished, _) = compare(&[], GATES, "instructions.get 10000\nallocations.get 21\n");
    assert!(finished.expect(1).stderr.contains("allocations.get (exceeded)"));
}

#[test]
fn what_has_become_better_is_pointed_out() {
    let (finished, _) = compare(&[], GATES, "instructions.get 9699\nallocations.get 20\n");
    let printed = finished.expect(0).stdout;
    assert!(
        printed.contains("Better than their gates by more than 3 %: instructions.get."),
        "{printed}"
    );
}

#[test]
fn every_figure_has_a_gate_and_every_gate_a_figure() {
    let (finished, _) = compare(&[], GATES, "instructions.get 10000\n");
    assert!(finished.expect(1).stderr.contains("allocations.get (missing)"));
    let all = "instructions.get 10000\nallocations.get 20\ninstructions.new 1\n";
    let (finished, _) = compare(&[], GATES, all);
    assert!(finished.expect(1).stderr.contains("instructions.new (no gate)"));
    let without = ["--without", "allocations.get"];
    let (finished, _) = compare(&without, GATES, "instructions.get 10000\n");
    assert!(finished.expect(0).stdout.contains("not measured"));
}

#[test]
fn one_command_updates_them() {
    let measured = "instructions.get 12000\ninstructions.new 1\n";
    let (finished, gates) = compare(&["--update"], GATES, measured);
    finished.expect(0);
    assert_eq!(gates, "# What it is.\ninstructions.get 12000\ninstructions.new 1\n");
    let (finished, gates) = compare(&["--update", "--without", "allocations.get"], GATES, measured);
    finished.expect(0);
    assert!(gates.contains("allocations.get 20\n"), "{gates}");
}

/// Measures the library of the archive, whatever other tests use.
fn hold(prepare: impl FnOnce(&mut Command)) -> String {
    let installed = mde_tests::programs::installing::installed();
    let mut bench = Command::new(format!("{ROOT}/benches/run.sh"));
    bench.arg("gates").env("MDE_LIB_DIR", installed.0.join("lib")).env_remove("MDE_UPDATE_GATES");
    prepare(&mut bench);
    mde_tests::programs::run_with(&mut bench, std::time::Duration::from_secs(1200), |_| {})
        .expect(0)
        .stdout
}

mod full {
    #[test]
    fn the_gates_hold() {
        // The limiter alone needs a build of its own.
        let printed = super::hold(|bench| {
            bench.env("MDE_LIMITER_BENCH", "none");
        });
        assert!(
            printed.matches("| holds |").count() + printed.matches("| better |").count() > 10,
            "{printed}"
        );
        println!("{printed}");
    }
}

mod release_only {
    #[test]
    fn the_gate_of_a_decision_holds() {
        let printed = super::hold(|bench| {
            bench.env_remove("MDE_LIMITER_BENCH");
        });
        let line = printed.lines().find(|line| line.contains("instructions.decision")).unwrap();
        assert!(!line.contains("not measured"), "{printed}");
    }
}
