//! The generated part of `docs/faults.md`: the matrix, and the rule behind each cell.

use std::fmt::Write;
use std::path::Path;

use mde_tests::ROOT;

use crate::expected::{ABSENT, Expected, Said, rules, said};
use crate::fault::Fault;
use crate::step::Step;

const BEGIN: &str = "<!-- generated: cargo test -p mde-tests --test faults -->\n";
const END: &str = "<!-- end of what is generated -->";

/// Compares the page with the rules, or writes it with `MDE_UPDATE_DOCS=1`.
pub fn check() {
    let path = Path::new(ROOT).join("docs/faults.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("docs/faults.md lacks its first mark");
    let (committed, after) = rest.split_once(END).expect("docs/faults.md lacks its last mark");
    let text = text();
    if std::env::var_os("MDE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, [before, BEGIN, &text, END, after].concat()).unwrap();
        return;
    }
    assert!(
        committed == text,
        "docs/faults.md is out of date. Refresh it: MDE_UPDATE_DOCS=1 cargo test -p mde-tests --test faults page"
    );
}

fn text() -> String {
    let mut text = String::new();
    steps(&mut text);
    matrix(&mut text);
    why(&mut text);
    reasons(&mut text);
    text
}

fn steps(text: &mut String) {
    text.push_str("\n## The steps\n\n| step | what is done | called |\n|---|---|---|\n");
    for step in Step::ALL {
        let (what, function) = step.about();
        writeln!(text, "| {} | {what} | `{function}` |", step.name()).unwrap();
    }
}

fn matrix(text: &mut String) {
    text.push_str("\n## The matrix\n\n| fault |");
    for step in Step::ALL {
        write!(text, " {} |", step.name()).unwrap();
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(Step::ALL.len()));
    text.push('\n');
    for fault in Fault::ALL {
        write!(text, "| {} |", fault.name()).unwrap();
        for step in Step::ALL {
            let cell = match said(step, fault).as_slice() {
                [Said::Rule(rule)] => short(&rule.expected),
                [Said::Absent] => "—".to_owned(),
                _ => "?".to_owned(),
            };
            write!(text, " {cell} |").unwrap();
        }
        text.push('\n');
    }
}

/// `broken r 2`
fn short(expected: &Expected) -> String {
    let Expected { status, retryable, unknown, requests, .. } = expected;
    let retryable = if *retryable { " r" } else { "" };
    let unknown = if *unknown { " u" } else { "" };
    format!("{status}{retryable}{unknown} {requests}")
}

fn why(text: &mut String) {
    text.push_str(
        "\n## Why\n\n| steps | faults | status | `retryable` | `outcome` | requests | files | because |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for rule in rules() {
        let Expected { status, retryable, unknown, requests, files } = rule.expected;
        let files: Vec<_> = files.iter().map(|ending| format!("`<path>{ending}`")).collect();
        writeln!(
            text,
            "| {} | {} | `{status}` | {retryable} | {} | {requests} | {} | {} |",
            names(rule.steps, Step::name),
            names(rule.faults, Fault::name),
            if unknown { "unknown" } else { "" },
            files.join(", "),
            rule.because
        )
        .unwrap();
    }
}

fn reasons(text: &mut String) {
    text.push_str("\n## Cells that do not apply\n\n| steps | faults | because |\n|---|---|---|\n");
    for absent in ABSENT {
        let (steps, faults) = (names(absent.steps, Step::name), names(absent.faults, Fault::name));
        writeln!(text, "| {steps} | {faults} | {} |", absent.because).unwrap();
    }
    text.push('\n');
}

fn names<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> String {
    all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", ")
}
