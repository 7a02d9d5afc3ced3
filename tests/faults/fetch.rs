//! The same faults in a whole fetch: what is left on disk, and that the same call ends with the package once the fault is
//! over, after one collection.

use std::fs;

use mde_tests::packages::Folder;
use mde_tests::{Client, Outcome};

use crate::cell::{self, Options};
use crate::expected::Expected;
use crate::fault::Fault;
use crate::good::{CANARY, MACHINE, zip};
use crate::peer::{Layer, Peer};
use crate::play::Form;
use crate::step::Step;

/// The steps of a fetch that a peer can spoil.
pub const STEPS: [Step; 5] = [Step::Token, Step::Collect, Step::Read, Step::Link, Step::Download];

/// What is left in the folder beside what the download itself leaves, by the contract: the state file, from the request
/// for a collection until its end.
fn expected_files(step: Step, expected: &Expected, is_ok: bool) -> Vec<String> {
    if is_ok {
        return vec!["package.zip".to_owned()];
    }
    let has_state = match step {
        Step::Token => false,
        Step::Collect => expected.unknown,
        _ => true,
    };
    let state = has_state.then(|| ".fetch.json".to_owned());
    let download =
        expected.files.iter().filter(|_| step == Step::Download).map(|it| (*it).to_owned());
    let mut all: Vec<_> =
        state.into_iter().chain(download).map(|it| format!("package.zip{it}")).collect();
    all.sort();
    all
}

fn options(step: Step, fault: Fault, url: &str) -> Options {
    let mut options = cell::options(step, fault, url);
    options.retain(|(name, _)| !["max_retries", "wait_timeout_ms"].contains(name));
    options.extend([
        ("max_retries", "0".to_owned()),
        ("on_unknown", "report".to_owned()),
        // A search of the list takes ten seconds.
        ("wait_timeout_ms", if step == Step::Collect { "14000" } else { "2500" }.to_owned()),
    ]);
    options
}

/// Plays a form of a fault in a fetch; what is not as described.
pub fn run(step: Step, fault: Fault, form: &Form, expected: &Expected) -> Vec<String> {
    let api = Peer::start(step, Layer::Plain, form.play.clone());
    let host = Peer::start(step, Layer::Plain, form.play.clone());
    api.lead_to(host.port);
    let folder = Folder::new();
    let fetch = |client: &Client| client.fetch(MACHINE, "case", &folder.path());
    let options = options(step, fault, &api.url());
    let client = cell::client(&options);
    let outcome = fetch(&client);
    let mut wrong = Vec::new();
    let mut check = |what: &str, is_right: bool, outcome: &Outcome| {
        if !is_right {
            wrong.push(format!("{what}; {:?}: {}", folder.names(), outcome.text));
        }
    };
    check("the document shows a secret", !outcome.text.contains(CANARY), &outcome);
    let is_ok = outcome.status == 0;
    check("it should fail", !is_ok || expected.status == "ok" || expected.requests > 1, &outcome);
    let files = expected_files(step, expected, is_ok);
    check(&format!("{files:?} should be left"), folder.names() == files, &outcome);
    if expected.files == [".damaged"] && fault != Fault::Html {
        // It answers every later call, until somebody moves it away.
        return wrong;
    }
    api.heal();
    host.heal();
    // An endpoint that a 429 has closed is so for all of that identity.
    let patient =
        [cell::options(step, Fault::Drip, &api.url()), vec![("on_unknown", "report".to_owned())]];
    let next = fetch(&cell::client(&patient.concat()));
    check("the same call should succeed now", next.status == 0, &next);
    let content = fs::read(folder.file()).ok();
    check("the package is not the host's", content == Some(zip()), &next);
    let mut left = vec!["package.zip"];
    // A web page that came in the place of the package.
    left.extend((expected.files == [".damaged"]).then_some("package.zip.damaged"));
    check(&format!("{left:?} should be left"), folder.names() == left, &next);
    // Once there is an action, no other is asked for.
    let is_one = step == Step::Collect || api.collected() == 1;
    check("there is not one collection", is_one, &next);
    wrong
}
