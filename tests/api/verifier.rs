//! The program that verifies a record, `examples/python/verify_record.py`, and edits that it must refuse.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use mde_simulator::{Outcome, PackageFault};
use mde_tests::packages::{Folder, quick, sha256};
use mde_tests::{ROOT, client};
use serde_json::{Value, json};

use super::fleet::{OPTIONS, devices};

/// The name of a record.
pub const NAME: &str = "packages.jsonl";

fn program() -> PathBuf {
    Path::new(ROOT).join("examples/python/verify_record.py")
}

/// Whether the verifier accepts it, and what it said.
pub fn verified(folder: &Folder) -> (bool, String) {
    let mut command = Command::new("python3");
    let output = command.arg("-B").arg(program()).arg(folder.0.join(NAME)).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Checks that the verifier and `sha256sum` accept the record and all packages.
#[track_caller]
pub fn is_verified(folder: &Folder) {
    let (is_whole, said) = verified(folder);
    assert!(is_whole, "{said}");
    for list in [format!("{NAME}.sha256"), "SHA256SUMS".to_owned()] {
        if !folder.0.join(&list).exists() {
            continue;
        }
        let checked = Command::new("sha256sum")
            .args(["--check", "--strict", &list])
            .current_dir(&folder.0)
            .output()
            .unwrap();
        assert!(checked.status.success(), "{checked:?}");
    }
}

/// Runs the program once for each line of standard input, in the same interpreter, and prints how it ended.
const RUNNER: &str = r#"
import contextlib, io, runpy, sys
program, record = sys.argv[1:]
for _ in sys.stdin:
    sys.argv = [program, record]
    end = None
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(program, run_name="__main__")
    except SystemExit as exit:
        end = exit.code
    except Exception as error:
        end = error
    print(ascii(end) if end else "accepted", flush=True)
"#;

/// The verifier of one record, without the start of an interpreter for each run.
struct Verifier {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Verifier {
    fn of(folder: &Folder) -> Verifier {
        let mut process = Command::new("python3")
            .args(["-B", "-c", RUNNER])
            .args([program(), folder.0.join(NAME)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Verifier { process, input, output: BufReader::new(output) }
    }

    /// Whether it accepts the record as it is now.
    fn accepts(&mut self) -> bool {
        self.input.write_all(b"\n").unwrap();
        let mut end = String::new();
        self.output.read_line(&mut end).unwrap();
        assert!(end.ends_with('\n'), "the interpreter ended");
        end == "accepted\n"
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Removes a member, or changes a value.
fn change(random: &mut fastrand::Rng, value: &mut Value) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let at = random.usize(..members.len());
            let name = members.keys().nth(at).unwrap().clone();
            match random.u8(..5) {
                0 => drop(members.remove(&name)),
                _ => change(random, &mut members[&name]),
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = random.usize(..items.len());
            change(random, &mut items[at]);
        }
        Value::Bool(it) => *it = !*it,
        Value::Number(it) => *value = json!(it.as_f64().unwrap() + 1.0),
        Value::String(it) => it.push('x'),
        _ => *value = json!(1),
    }
}

/// One random edit, of which it says what it did. `None`: it would change nothing.
fn edited(random: &mut fastrand::Rng, content: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let all: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    // The last line as often as all others.
    let line = if random.bool() { all.len() - 1 } else { random.usize(..all.len()) };
    let mut rest = all.clone();
    let (what, edited) = match random.u8(..8) {
        0 => {
            rest.remove(line);
            ("removes a line", rest.concat())
        }
        1 => {
            let mut bytes = content.to_vec();
            let before = all[..line].concat().len();
            bytes[before + random.usize(..all[line].len())] ^= 1 << random.u8(..7);
            ("changes a byte", bytes)
        }
        2 => {
            rest.swap(line, random.usize(..all.len()));
            ("swaps two lines", rest.concat())
        }
        3 => ("cuts the end", content[..random.usize(..content.len())].to_vec()),
        4 => {
            let last = all.last().unwrap().len();
            ("cuts the last line", content[..content.len() - random.usize(1..=last)].to_vec())
        }
        5 => {
            rest.insert(line, all[line]);
            ("repeats a line", rest.concat())
        }
        6 => {
            rest.insert(random.usize(..=all.len()), all[line]);
            ("copies a line", rest.concat())
        }
        _ => {
            let mut entry: Value = serde_json::from_slice(all[line]).ok()?;
            change(random, &mut entry);
            let changed = format!("{entry}\n");
            rest[line] = changed.as_bytes();
            ("changes a member", rest.concat())
        }
    };
    (edited != content).then_some((what, edited))
}

/// Whether a line shows the edit, even if the hash of the whole record is made anew. None does of the last line.
fn is_held_by_the_chain(content: &[u8], edited: &[u8]) -> bool {
    let last = content.split_inclusive(|byte| *byte == b'\n').next_back().unwrap();
    !edited.starts_with(&content[..content.len() - last.len()]) && !content.starts_with(edited)
}

/// Checks that the record is accepted as it is, and refused after each of 200 random edits of its files.
#[track_caller]
pub fn every_edit_is_refused(folder: &Folder) {
    is_verified(folder);
    let in_folder = |name: &str| folder.0.join(name);
    let packages = folder.names().into_iter().filter(|name| name.contains(".zip"));
    let packages: Vec<PathBuf> =
        packages.filter(|name| !name.ends_with(".json")).map(|name| in_folder(&name)).collect();
    let sums = fs::read_to_string(in_folder("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), packages.len());
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut verifier = Verifier::of(folder);
    let mut done = 0;
    while done < 200 {
        let file = match random.u8(..8) {
            0 => in_folder("SHA256SUMS"),
            1 => in_folder("packages.jsonl.sha256"),
            2 => packages[random.usize(..packages.len())].clone(),
            _ => in_folder(NAME),
        };
        let content = fs::read(&file).unwrap();
        let Some((what, edited)) = edited(&mut random, &content) else { continue };
        fs::write(&file, &edited).unwrap();
        let is_accepted = verifier.accepts() || (done < 10 && verified(folder).0);
        assert!(!is_accepted, "seed {seed}: it {what} of {}", file.display());
        if file == in_folder(NAME) && is_held_by_the_chain(&content, &edited) {
            let list = in_folder("packages.jsonl.sha256");
            let whole = fs::read(&list).unwrap();
            fs::write(&list, format!("{}  {NAME}\n", sha256(&edited))).unwrap();
            assert!(!verifier.accepts(), "seed {seed}: it {what}, and makes the hash anew");
            fs::write(&list, whole).unwrap();
        }
        fs::write(&file, content).unwrap();
        done += 1;
    }
    assert!(verifier.accepts());
    is_verified(folder);
}

mod full {
    use super::*;

    #[test]
    fn every_edit_of_the_record_of_a_job_is_refused() {
        const DEVICES: usize = 500;
        let (sim, folder) = (quick(), Folder::new());
        sim.set(|b| {
            for n in (0..DEVICES).filter(|n| n % 50 == 3) {
                b.machine_outcomes.insert(sim.machine_id(n), Outcome::Failed);
            }
        });
        let client = client(&sim, &OPTIONS);
        let fetch = |devices: &str| {
            client.fetch_packages(Some(devices), &folder.0, None, None).error("incomplete");
        };
        sim.set(|b| b.package_fault = PackageFault::Checksum);
        fetch(&devices(&sim, 0, 10));
        sim.set(|b| b.package_fault = PackageFault::None);
        let merged = sim.machine_id(DEVICES - 1);
        let checks = json!([{"id": merged, "problems": ["merged"]}]);
        fetch(&json!({"machines": [{"id": merged}], "checks": checks}).to_string());
        fetch(&devices(&sim, 0, DEVICES - 1));

        let text = fs::read_to_string(folder.0.join(NAME)).unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of: BTreeSet<_> = lines.iter().map(|line| line["machine_id"].to_string()).collect();
        assert_eq!((lines.len(), of.len()), (DEVICES, DEVICES));
        let ended = |state: &str| lines.iter().filter(|line| line["state"] == state).count();
        assert_eq!((ended("done"), ended("failed"), ended("skipped")), (480, 19, 1));
        every_edit_is_refused(&folder);
    }
}
