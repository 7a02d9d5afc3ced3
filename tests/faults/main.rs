//! The fault matrix: every step of the library's work with every fault, through the C ABI. Each cell has an outcome that
//! the contract describes, and a cell that nobody has described fails.
//!
//! The rules are in `expected.rs`, and `docs/faults.md` shows them. `MDE_UPDATE_DOCS=1` writes that page, and
//! `MDE_FAULTS=download` or `MDE_FAULTS=download/5xx` plays some cells alone.

/// One cell: a fault is played, and the call is observed.
mod cell;
/// The certificates of peers.
mod certificates;
/// What the contract says of each cell.
mod expected;
/// The faults.
mod fault;
/// The same faults in a whole fetch.
mod fetch;
/// What peers answer where nothing is wrong.
mod good;
/// Faults of this host.
mod host;
/// State files of a fetch.
mod journal;
/// A peer that plays a fault.
mod peer;
/// The forms of each fault.
mod play;
/// The steps.
mod step;
/// The page.
mod table;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Instant;

use cell::{Observed, Run};
use certificates::Certificates;
use expected::{Expected, Said, said};
use fault::Fault;
use play::{Extent, Form};
use step::Step;

/// Most cells wait for pauses and timeouts, so many run at once.
const PATIENT: usize = 120;
/// The others work.
const BUSY: usize = 8;

/// The forms of a cell that one thread plays.
struct Work {
    step: Step,
    fault: Fault,
    /// `None`: it is played on this host.
    forms: Option<Vec<Form>>,
}

#[test]
fn every_cell_is_described_once() {
    let mut wrong = Vec::new();
    for step in Step::ALL {
        for fault in Fault::ALL {
            match said(step, fault).len() {
                1 => {}
                0 => wrong.push(format!(
                    "{} / {}: nobody has described it",
                    step.name(),
                    fault.name()
                )),
                count => wrong.push(format!("{} / {}: {count} times", step.name(), fault.name())),
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_page_is_the_generated_one() {
    table::check();
}

#[test]
fn every_cell_has_its_outcome() {
    play_all(Extent::Sample);
}

/// Each fault of a peer in a whole fetch, which ends with one package when the fault is over.
#[test]
fn a_fetch_ends_with_one_package_once_the_fault_is_over() {
    fetch_all(Extent::Sample);
}

mod release_only {
    /// Every byte of the loops, every status, and every shape of an error.
    #[test]
    fn every_form_of_every_cell_has_its_outcome() {
        super::play_all(super::Extent::All);
    }

    #[test]
    fn a_fetch_ends_with_one_package_once_the_fault_of_every_form_is_over() {
        super::fetch_all(super::Extent::All);
    }
}

/// Whether the cells of `MDE_FAULTS` include this one.
fn is_wanted(step: Step, fault: Fault) -> bool {
    let Ok(wanted) = std::env::var("MDE_FAULTS") else { return true };
    match wanted.split_once('/') {
        Some((one, what)) => one == step.name() && what == fault.name(),
        None => wanted == step.name() || wanted == fault.name(),
    }
}

/// Whether a cell is played on this host in a process of its own.
fn is_in_a_process(step: Step, fault: Fault) -> bool {
    step == Step::Lookup || fault.is_of_the_host()
}

/// Whether the forms of a cell mostly wait.
fn is_patient(step: Step, fault: Fault) -> bool {
    use Fault::*;
    let is_slow = matches!(
        fault,
        Stall
            | StallInBody
            | EndlessDrip
            | EndlessInterim
            | Unreachable
            | Http429Once
            | Drip
            | Http401
            | Http403
            | Http404
    );
    let is_repeated = !fault.is_loop() && !is_in_a_process(step, fault);
    is_repeated
        && (is_slow
            || step == Step::Collect
            || expected_of(step, fault).is_some_and(|it| it.retryable))
}

fn expected_of(step: Step, fault: Fault) -> Option<Expected> {
    match said(step, fault).first() {
        Some(Said::Rule(rule)) => Some(rule.expected),
        _ => None,
    }
}

fn play_all(extent: Extent) {
    let began = Instant::now();
    let certificates = Certificates::new();
    let (mut patient, mut busy) = (VecDeque::new(), VecDeque::new());
    let (mut cells, mut forms_played) = (0, 0);
    for step in Step::ALL {
        for fault in Fault::ALL {
            if expected_of(step, fault).is_none() || !is_wanted(step, fault) {
                continue;
            }
            cells += 1;
            if is_in_a_process(step, fault) {
                forms_played += 1;
                busy.push_front(Work { step, fault, forms: None });
                continue;
            }
            let mut forms = cell::forms(step, fault, extent);
            forms_played += forms.len();
            let (queue, most) = match is_patient(step, fault) {
                true => (&mut patient, 1),
                false => (&mut busy, 40),
            };
            while !forms.is_empty() {
                let some = forms.drain(..forms.len().min(most)).collect();
                queue.push_back(Work { step, fault, forms: Some(some) });
            }
        }
    }
    let (patient, busy) = (Mutex::new(patient), Mutex::new(busy));
    let found =
        in_threads(&[(&patient, PATIENT), (&busy, BUSY)], &|work| play(work, &certificates));
    println!("{cells} cells in {forms_played} forms, {:?}", began.elapsed());
    report(found);
    assert!(cells > 0, "no cell has this name");
}

/// Works off the queues, each with so many threads; what is wrong.
fn in_threads(
    queues: &[(&Mutex<VecDeque<Work>>, usize)],
    work_off: &(dyn Fn(&Work) -> Vec<String> + Sync),
) -> Vec<String> {
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (queue, threads) in queues {
            for _ in 0..*threads {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().unwrap().pop_front();
                        let Some(work) = next else { return };
                        let wrong = work_off(&work);
                        found.lock().unwrap().extend(wrong);
                    }
                });
            }
        }
    });
    found.into_inner().unwrap()
}

fn report(mut found: Vec<String>) {
    found.sort();
    assert!(found.is_empty(), "{} forms are not as described\n{}", found.len(), found.join("\n"));
}

fn fetch_all(extent: Extent) {
    use Fault::*;
    let began = Instant::now();
    let mut queue = VecDeque::new();
    for step in fetch::STEPS {
        for fault in Fault::ALL {
            // Nobody is there who could be healed, nothing is tried again, and files have cells of their own.
            let is_here =
                !matches!(fault, Refused | Unreachable | Http429Once | FileGone | NameTaken);
            let is_played = is_here && !fault.is_of_the_host() && is_wanted(step, fault);
            if !is_played || expected_of(step, fault).is_none() {
                continue;
            }
            let mut forms = cell::forms(step, fault, extent);
            if extent == Extent::Sample {
                forms.truncate(1);
            }
            let work = |form| Work { step, fault, forms: Some(vec![form]) };
            queue.extend(forms.into_iter().map(work));
        }
    }
    let (count, queue) = (queue.len(), Mutex::new(queue));
    let found = in_threads(&[(&queue, PATIENT)], &|work| {
        let Work { step, fault, forms } = work;
        let expected = expected_of(*step, *fault).unwrap();
        let forms = forms.iter().flatten();
        let name = |form: &Form| format!("{}/{} [{}]", step.name(), fault.name(), form.name);
        let run = |form: &Form| {
            let run = AssertUnwindSafe(|| fetch::run(*step, *fault, form, &expected));
            let wrong = catch_unwind(run).unwrap_or_else(|_| vec!["it panics".to_owned()]);
            wrong.into_iter().map(|it| format!("{}: {it}", name(form))).collect::<Vec<_>>()
        };
        forms.flat_map(run).collect()
    });
    println!("{count} fetches, {:?}", began.elapsed());
    report(found);
}

/// Plays forms of a cell; what is not as described.
fn play(work: &Work, certificates: &Certificates) -> Vec<String> {
    let Work { step, fault, forms } = work;
    let expected = expected_of(*step, *fault).unwrap();
    let wrong_in = |name: &str, run: &dyn Fn() -> Run| {
        let began = Instant::now();
        let wrong = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(run) => differences(&expected, &run),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                vec![format!("it panics: {}", text.unwrap_or_default())]
            }
        };
        let cell = format!("{}/{} [{name}] {:?}", step.name(), fault.name(), began.elapsed());
        wrong.into_iter().map(|it| format!("{cell}: {it}")).collect::<Vec<_>>()
    };
    match forms {
        None => wrong_in("", &|| host::run(*step, *fault)),
        Some(forms) => forms
            .iter()
            .flat_map(|form| wrong_in(&form.name, &|| cell::run(*step, *fault, form, certificates)))
            .collect(),
    }
}

fn differences(expected: &Expected, run: &Run) -> Vec<String> {
    let Observed { status, retryable, unknown, requests, files, .. } = &run.observed;
    let Expected { status: s, retryable: r, unknown: u, requests: n, files: f } = expected;
    let is_as_described =
        (status.as_str(), retryable, unknown, requests) == (*s, r, u, n) && files == f;
    let mut wrong: Vec<_> = run.broken.iter().map(|it| format!("{it}: {}", run.text)).collect();
    if !is_as_described {
        wrong.push(format!(
            "{s} retryable {r} unknown {u} requests {n} files {f:?} is described, and it is {status} {retryable} \
             {unknown} {requests} {files:?}: {}",
            run.text
        ));
    }
    wrong
}
