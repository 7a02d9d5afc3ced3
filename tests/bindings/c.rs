//! The library as C programs meet it: the programs of `tests/c` and the examples, against the release
//! library. `c_full.rs` runs them again under valgrind, with sanitizers, and statically linked.

use std::collections::BTreeSet;

use mde_tests::programs::{How, ROOT, compile, release, run, start, tool};
use mde_tests::programs::{checks, fetching, fleets, scenarios, waits};

#[test]
fn null_arguments() {
    scenarios::null_arguments(How::Plain);
}

/// What the library exports, what is documented, and what is tested with NULL are the same.
#[test]
fn no_export_is_forgotten() {
    let set = |text: &str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    let documented =
        set(&std::fs::read_to_string(format!("{ROOT}/tests/abi/exports.txt")).unwrap());
    let mut nm = tool("nm", "binutils");
    let nm = run(nm
        .args(["-D", "--defined-only", "--format=just-symbols"])
        .arg(release().join("libmde.so")));
    assert_eq!(
        set(&nm.expect(0).stdout),
        documented,
        "left: exports of libmde.so, right: tests/abi/exports.txt"
    );
    let sources = ["tests/c/null_arguments.c", "tests/c/support.c"];
    let listed = run(start(&compile(&sources, How::Plain), How::Plain).arg("--list"));
    assert_eq!(
        set(&listed.expect(0).stdout),
        documented,
        "left: the table in tests/c/null_arguments.c, right: tests/abi/exports.txt"
    );
}

#[test]
fn bad_input() {
    scenarios::bad_input(How::Plain);
}

#[test]
fn lifecycle() {
    scenarios::lifecycle(How::Plain);
}

#[test]
fn a_job_over_several_devices() {
    scenarios::fleet(How::Plain);
}

#[test]
fn user_data() {
    scenarios::user_data(How::Plain);
}

#[test]
fn fork() {
    scenarios::fork(How::Plain);
}

#[test]
fn harsh_host() {
    scenarios::harsh_host(How::Plain);
}

#[test]
fn a_cancelled_thread_ends_after_its_call() {
    waits::outlives_cancellation(How::Plain);
}

#[test]
fn threads_may_end_in_callbacks() {
    scenarios::thread_ends(How::Plain);
}

#[test]
fn the_last_moments_of_threads_and_processes() {
    scenarios::last_moments(How::Plain);
}

#[test]
fn panics_are_contained() {
    scenarios::panics();
}

#[test]
fn the_example_collects() {
    scenarios::example_collects(How::Plain);
}

#[test]
fn the_example_collects_over_tls() {
    scenarios::example_collects_over_tls(How::Plain);
}

#[test]
fn the_example_fails_helpfully() {
    scenarios::example_fails_helpfully(How::Plain);
}

#[test]
fn the_example_explains_its_usage() {
    scenarios::example_explains_its_usage(How::Plain);
}

#[test]
fn the_example_can_be_interrupted() {
    scenarios::example_can_be_interrupted(How::Plain);
}

#[test]
fn the_example_checks() {
    checks::succeeds(How::Plain);
}

#[test]
fn the_example_names_the_cause() {
    checks::names_the_cause(How::Plain);
}

#[test]
fn the_example_is_red_on_a_terminal() {
    checks::is_coloured_on_a_terminal(How::Plain);
}

#[test]
fn the_example_fetches() {
    fetching::succeeds(How::Plain);
}

#[test]
fn the_example_fails_helpfully_to_fetch() {
    fetching::fails_helpfully(How::Plain);
}

#[test]
fn the_example_resumes_a_fetch() {
    fetching::resumes_after_ctrl_c(How::Plain);
}

#[test]
fn the_example_explains_how_to_fetch() {
    fetching::explains_its_usage(How::Plain);
}

#[test]
fn the_example_draws_on_a_terminal() {
    fetching::draws_on_a_terminal(How::Plain);
}

#[test]
fn the_example_fetches_a_fleet() {
    fleets::succeeds(How::Plain);
}

#[test]
fn the_example_fails_helpfully_to_fetch_a_fleet() {
    fleets::fails_helpfully(How::Plain);
}

#[test]
fn the_example_resumes_a_fleet() {
    fleets::resumes_after_ctrl_c(How::Plain);
}

#[test]
fn the_example_explains_how_to_fetch_a_fleet() {
    fleets::explains_its_usage(How::Plain);
}

#[test]
fn the_example_draws_a_fleet_on_a_terminal() {
    fleets::draws_on_a_terminal(How::Plain);
}

#[test]
fn the_commands_of_the_page_about_many_devices_run() {
    fleets::as_documented();
}
