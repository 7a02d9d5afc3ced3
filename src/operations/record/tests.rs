use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::files::Files;
use super::{Entry, Record, State, chain, sums};
use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::status::Status;
use crate::text::hex::hex;

const DEVICE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

/// A folder with a record, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("mde-record-{:016x}", fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn record(&self) -> PathBuf {
        self.0.join("packages.jsonl")
    }

    fn open(&self) -> Result<Files> {
        Files::open(&self.record(), &call(None))
    }

    /// The names and contents of all files.
    fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let of = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        };
        let mut all: Vec<_> = fs::read_dir(&self.0).unwrap().map(|it| of(it.unwrap())).collect();
        all.sort();
        all
    }

    /// Makes these the only files.
    fn restore(&self, contents: &[(String, Vec<u8>)]) {
        for entry in fs::read_dir(&self.0).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, content) in contents {
            fs::write(self.0.join(name), content).unwrap();
        }
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn call(timeout: Option<Duration>) -> Arc<Call> {
    Arc::new(Call::begin(&Arc::default(), timeout, None))
}

/// Appends the line of a device, and of its package if it has one.
fn append(files: &mut Files, device: u32, file: Option<&str>) -> Result<()> {
    let (machine, sha256) = (format!("{device:040x}"), format!("{device:064x}"));
    let package = file.map(|file| json!({"file": file, "sha256": sha256}));
    let line = json!({"previous": files.previous(), "state": "done", "machine_id": machine,
        "action_id": ID, "package": package});
    let sum = file.map(|file| sums::line(&sha256, file));
    let end = chain::end("done", &machine, ID);
    files.add(&format!("{line}\n"), end, sum.as_deref())?;
    files.sync()
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// A record of six devices. The package of the third is accepted after it was refused.
fn six(folder: &Folder) {
    let mut files = folder.open().unwrap();
    let names = ["a.zip", "b.zip", "c.zip.unsafe", "", "c.zip", "d.zip"];
    for (device, name) in (1..).zip(names) {
        append(&mut files, device, Some(name).filter(|name| !name.is_empty())).unwrap();
    }
}

#[test]
fn each_line_has_the_hash_of_the_one_before_and_the_other_files_are_those_of_sha256sum() {
    let folder = Folder::new();
    six(&folder);
    let text = folder.file("packages.jsonl");
    let mut previous = "0".repeat(64);
    for line in text.split_inclusive('\n') {
        assert_eq!(serde_json::from_str::<Value>(line).unwrap()["previous"], previous.as_str());
        previous = sha256(line.as_bytes());
    }
    let whole = format!("{}  packages.jsonl\n", sha256(text.as_bytes()));
    assert_eq!(folder.file("packages.jsonl.sha256"), whole);
    let sums = [(1, "a.zip"), (2, "b.zip"), (5, "c.zip"), (6, "d.zip")];
    let sums: String = sums.iter().map(|(n, name)| format!("{n:064x}  {name}\n")).collect();
    assert_eq!(folder.file("SHA256SUMS"), sums);
    assert_eq!(folder.contents().len(), 3, "no lock stays");

    // Another call finds it as it is.
    let before = folder.contents();
    let files = folder.open().unwrap();
    let has = |device: u32| files.has(chain::end("done", &format!("{device:040X}"), ID));
    assert!((1..=6).all(has) && !has(7) && !has(0));
    assert_eq!(files.previous(), previous);
    drop(files);
    assert_eq!(folder.contents(), before);
}

#[test]
fn one_call_at_a_time_has_it_open() {
    let folder = Folder::new();
    let first = folder.open().unwrap();
    let moment = call(Some(Duration::from_millis(200)));
    let error = Files::open(&folder.record(), &moment).err().unwrap();
    assert_eq!(error.status(), Status::Deadline, "{error}");
    std::thread::scope(|scope| {
        let next = scope.spawn(|| folder.open().map(drop));
        std::thread::sleep(Duration::from_millis(100));
        drop(first);
        next.join().unwrap().unwrap();
    });
    assert_eq!(folder.contents().len(), 2, "the record and its hash");
}

/// Whatever of a line a crash leaves, the next open makes it a whole line or none.
#[test]
fn a_crash_at_any_byte_is_completed() {
    let folder = Folder::new();
    six(&folder);
    let six_lines = folder.contents();
    // A package, a failure, and a package that replaces another one in the list.
    for file in [Some("e.zip"), None, Some("d.zip.damaged")] {
        folder.restore(&six_lines);
        append(&mut folder.open().unwrap(), 7, file).unwrap();
        let after = folder.contents();
        let content = |of: &[(String, Vec<u8>)], name: &str| {
            of.iter().find(|(one, _)| one == name).map(|(_, text)| text.clone()).unwrap()
        };
        let [record, sums, whole] = ["packages.jsonl", "SHA256SUMS", "packages.jsonl.sha256"];
        let put = |name: &str, text: &[u8]| fs::write(folder.0.join(name), text).unwrap();
        let (old, new) = (content(&six_lines, record), content(&after, record));
        // Every byte of the shortest line, and some of the others, since each takes a moment.
        let step = if file.is_none() { 1 } else { 23 };
        for length in (old.len()..new.len()).step_by(step).chain([new.len()]) {
            folder.restore(&six_lines);
            put(record, &new[..length]);
            drop(folder.open().unwrap());
            let expected = if length == new.len() { &after } else { &six_lines };
            assert_eq!(&folder.contents(), expected, "{file:?} {length}");
            // The disk had no room for the end, or the system wrote the blocks in another order.
            if length < new.len() && length % 8 == 0 {
                let mut torn = new.clone();
                torn[length..].fill(0);
                put(record, &torn);
                drop(folder.open().unwrap());
                assert_eq!(folder.contents(), six_lines, "{file:?} {length}");
            }
        }
        let (old, new) = (content(&six_lines, sums), content(&after, sums));
        let is_longer = new.starts_with(&old);
        let left = (old.len()..=new.len()).filter(|_| is_longer).map(|length| &new[..length]);
        for left in left.step_by(5).chain([&old[..], &new[..]]) {
            folder.restore(&after);
            put(sums, left);
            put(whole, &content(&six_lines, whole));
            drop(folder.open().unwrap());
            assert_eq!(folder.contents(), after, "{file:?}");
        }
    }
}

#[test]
fn a_crash_at_the_beginning_is_completed() {
    let folder = Folder::new();
    append(&mut folder.open().unwrap(), 1, Some("a.zip")).unwrap();
    let one = folder.contents();
    fs::remove_file(folder.0.join("SHA256SUMS")).unwrap();
    drop(folder.open().unwrap());
    assert_eq!(folder.contents(), one);
    for left in ["", "{\"previous\""] {
        folder.restore(&[("packages.jsonl".to_owned(), left.as_bytes().to_vec())]);
        let mut files = folder.open().unwrap();
        assert_eq!(files.previous(), "0".repeat(64));
        append(&mut files, 1, Some("a.zip")).unwrap();
        drop(files);
        assert_eq!(folder.contents(), one, "{left}");
    }
}

#[test]
fn an_edited_record_is_refused_and_stays_as_it_is() {
    let folder = Folder::new();
    six(&folder);
    let six_lines = folder.contents();
    let text = folder.file("packages.jsonl");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let without = |line: usize| [&lines[..line], &lines[line + 1..]].concat().concat();
    let twice = |line: usize| [&lines[..=line], &lines[line..]].concat().concat();
    let cut = text[..text.len() - 20].to_owned();
    let forged = lines[2].replace("c.zip", "x.zip");
    for (name, content, said) in [
        ("packages.jsonl", text.replacen("b.zip", "x.zip", 1), "line 3 does not follow line 2"),
        ("packages.jsonl", text.replacen("{\"", "{'", 1), "line 1 is not whole"),
        ("packages.jsonl", text.replace("d.zip", "x.zip"), ".sha256` is of other lines"),
        ("packages.jsonl", text.replace(lines[2], &forged), "line 4 does not follow line 3"),
        ("packages.jsonl", without(0), "line 1 is not the first line"),
        ("packages.jsonl", without(3), "line 4 does not follow line 3"),
        ("packages.jsonl", without(5), ".sha256` is of other lines"),
        ("packages.jsonl", twice(1), "line 3 does not follow line 2"),
        ("packages.jsonl", twice(5), "line 7 does not follow line 6"),
        ("packages.jsonl", format!("{text}\n"), "line 7 is not whole"),
        ("packages.jsonl", format!("\n{text}"), "line 1 is not whole"),
        ("packages.jsonl", cut, "line 6 is not whole"),
        ("packages.jsonl", lines[..3].concat(), ".sha256` is of other lines"),
        ("packages.jsonl", String::new(), ".sha256` is of other lines"),
        ("packages.jsonl.sha256", "0".repeat(64), ".sha256` is of other lines"),
        ("packages.jsonl.sha256", String::new(), ".sha256` is of other lines"),
        ("SHA256SUMS", "of somebody else\n".to_owned(), "SHA256SUMS` names other packages"),
        ("SHA256SUMS", format!("{}x", folder.file("SHA256SUMS")), "SHA256SUMS` names other"),
    ] {
        folder.restore(&six_lines);
        fs::write(folder.0.join(name), &content).unwrap();
        // A blank line at the end is what a crash could leave.
        if content == format!("{text}\n") {
            drop(folder.open().unwrap());
            assert_eq!(folder.contents(), six_lines);
            continue;
        }
        let before = folder.contents();
        let error = folder.open().err().unwrap_or_else(|| panic!("{said}: {content}"));
        assert_eq!((error.status(), error.is_retryable()), (Status::File, false), "{error}");
        let message = error.message();
        assert!(message.contains(said), "{said}: {message}");
        assert!(message.contains("move the record, its `.sha256` and `SHA256SUMS` away"));
        assert_eq!(folder.contents(), before, "{said}");
    }
    folder.restore(&six_lines);
    fs::remove_file(folder.0.join("packages.jsonl.sha256")).unwrap();
    let error = folder.open().err().unwrap();
    assert!(error.message().contains(".sha256` is missing"), "{error}");

    // Another record is begun where the files were moved away.
    folder.restore(&[]);
    append(&mut folder.open().unwrap(), 9, None).unwrap();
    assert_eq!(folder.file("packages.jsonl").lines().count(), 1);
}

/// A record of a finished job of 100,000 devices is checked before a call resumes it.
#[test]
fn a_hundred_thousand_lines_are_checked_quickly() {
    const LINES: u32 = 100_000;
    const LONGEST: Duration = Duration::from_secs(20);
    let folder = Folder::new();
    let (mut text, mut sums, mut previous) = (String::new(), String::new(), "0".repeat(64));
    // As long as the service's.
    let rest = "x".repeat(1_000);
    for device in 0..LINES {
        let sha256 = format!("{device:064x}");
        let line = format!(
            "{{\"previous\":\"{previous}\",\"state\":\"done\",\"machine_id\":\"{device:040x}\",\"action_id\":\"{ID}\",\
             \"action\":{{\"n\":{device},\"x\":\"{rest}\"}},\"package\":{{\"file\":\"{device}.zip\",\"bytes\":7,\
             \"sha256\":\"{sha256}\",\"missing\":[]}}}}\n"
        );
        previous = super::tests::sha256(line.as_bytes());
        text.push_str(&line);
        sums.push_str(&sums::line(&sha256, &format!("{device}.zip")));
    }
    fs::write(folder.0.join("packages.jsonl"), &text).unwrap();
    fs::write(folder.0.join("SHA256SUMS"), &sums).unwrap();
    let whole = sums::line(&sha256(text.as_bytes()), "packages.jsonl");
    fs::write(folder.0.join("packages.jsonl.sha256"), whole).unwrap();
    #[cfg(unix)]
    for entry in fs::read_dir(&folder.0).unwrap() {
        let rights = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(entry.unwrap().path(), rights).unwrap();
    }
    let began = std::time::Instant::now();
    let files = folder.open().unwrap();
    let took = began.elapsed();
    println!("{LINES} lines, {} MB, are checked in {took:?}", text.len() / 1_000_000);
    assert_eq!(files.previous(), previous);
    assert!(took < LONGEST, "{took:?}");
}

#[test]
fn an_append_that_fails_is_completed_by_the_next_one() {
    let folder = Folder::new();
    let account = account("opaque");
    let record = |record: &mut Record<'_>, device: &str| {
        record.append(&Entry { action_id: Some(ID), ..Entry::new(State::Done, device) })
    };
    let mut open = Record::open(&account, &call(None), &folder.record()).unwrap();
    record(&mut open, "a").unwrap();
    let in_the_way = folder.0.join("packages.jsonl.sha256.new");
    fs::create_dir(&in_the_way).unwrap();
    let error = record(&mut open, "b").unwrap_err();
    assert_eq!(error.status(), Status::File, "{error}");
    // Not completed yet, so nothing more is added.
    assert!(record(&mut open, "c").is_err());
    fs::remove_dir(in_the_way).unwrap();
    for device in ["b", "c", "a", "B"] {
        record(&mut open, device).unwrap();
    }
    drop(open);
    let text = folder.file("packages.jsonl");
    let devices: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["machine_id"].clone())
        .collect();
    assert_eq!(devices, ["a", "b", "c"]);
    let whole = format!("{}  packages.jsonl\n", sha256(text.as_bytes()));
    assert_eq!(folder.file("packages.jsonl.sha256"), whole);
}

/// An account whose token has this payload.
fn account(payload: &str) -> Account {
    let token = format!("e30.{}.c2VjcmV0LWNhbmFyeQ", URL_SAFE_NO_PAD.encode(payload));
    let mut options = Options::new();
    for (name, value) in
        [("access_token", token.as_str()), ("api_url", "http://127.0.0.1:1"), ("proxy", "none")]
    {
        options.set(name, value).unwrap();
    }
    Account::new(options.settings()).unwrap()
}

#[test]
fn a_line_has_what_is_known() {
    let folder = Folder::new();
    let payload = json!({"tid": ID, "appid": ID, "oid": ID, "upn": "somebody@contoso.example"});
    let account = account(&payload.to_string());
    let token = account.tokens.current().unwrap();
    let action = format!("{{\n  \"id\": \"{ID}\",\r\n  \"n\": 1.10, \"t\": \"{}\"}}", token.text());
    let package = json!({"path": "elsewhere/p.zip", "bytes": 7, "sha256": "ab", "action_id": ID,
        "existing": true, "entries": 2, "device": "windows", "missing": ["x"], "unsafe_count": 1,
        "unsafe_entries": [{"name": "../x", "reason": "leads out"}]});
    let error = Error::new(Status::Unsafe, format!("it has {}", token.text()));
    let second = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    let mut record = Record::open(&account, &call(None), &folder.record()).unwrap();
    let entry = Entry {
        computer_name: Some("pc"),
        adopted: Some(false),
        comment: Some("line 1\nline 2"),
        asked: Some(second(1)),
        service_date: Some(second(2)),
        action_id: Some(ID),
        action: Some(&action),
        package: Some(&package.to_string()),
        folder: &folder.0,
        error: Some(&error.member()),
        problems: &["offline"],
        ..Entry::new(State::Failed, DEVICE)
    };
    record.append(&entry).unwrap();
    record.append(&Entry::new(State::Skipped, "m")).unwrap();
    drop(record);
    let text = folder.file("packages.jsonl");
    let (first, last) = text.split_once('\n').unwrap();
    assert!(!text.contains(token.text()) && !text.contains("somebody") && !text.contains('\r'));
    assert!(first.contains(r#""n": 1.10"#), "{first}");
    let mut first: Value = serde_json::from_str(first).unwrap();
    let ended = first["ended"].take();
    let ended = humantime::parse_rfc3339(ended.as_str().unwrap()).unwrap();
    assert!(ended.elapsed().unwrap() < Duration::from_secs(60));
    let expected = json!({"previous": "0".repeat(64), "ended": null, "asked": "1970-01-01T00:00:01.000Z",
        "service_date": "1970-01-01T00:00:02Z", "library": "mde 0.1.0", "machine_id": DEVICE,
        "computer_name": "pc", "state": "failed", "adopted": false, "comment": "line 1\nline 2",
        "requested_by": {"tenant": ID, "application": ID, "object": ID}, "action_id": ID,
        "action": {"id": ID, "n": 1.10, "t": "***"},
        "package": {"file": "p.zip", "bytes": 7, "sha256": "ab", "entries": 2, "device": "windows",
            "missing": ["x"], "unsafe_count": 1,
            "unsafe_entries": [{"name": "../x", "reason": "leads out"}]},
        "error": {"status": 103, "name": "unsafe", "message": "it has ***", "retryable": false},
        "problems": ["offline"]});
    assert_eq!(first, expected);
    let last: Value = serde_json::from_str(last).unwrap();
    let mut members: Vec<_> = last.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["ended", "library", "machine_id", "previous", "requested_by", "state"]);
    assert_eq!(folder.file("SHA256SUMS"), "ab  p.zip\n");
}

#[test]
fn a_package_is_named_from_the_folder_of_the_record() {
    let folder = Folder::new();
    let (records, other) = (folder.0.join("records"), folder.0.join("other"));
    fs::create_dir_all(records.join("below")).unwrap();
    fs::create_dir(&other).unwrap();
    let package = json!({"path": "p.zip", "bytes": 7, "sha256": "ab"}).to_string();
    let file_in = |at: &Path| {
        let entry =
            Entry { package: Some(&package), folder: at, ..Entry::new(State::Done, DEVICE) };
        entry.package_in(&records).unwrap().file
    };
    assert_eq!(file_in(&records), "p.zip");
    assert_eq!(file_in(&records.join("below")), "below/p.zip");
    assert_eq!(file_in(&other), other.join("p.zip").to_str().unwrap());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&records, folder.0.join("link")).unwrap();
        assert_eq!(file_in(&folder.0.join("link/below")), "below/p.zip");
    }
}

/// Nobody else may have written the record, and a link at its path is not followed.
#[cfg(unix)]
#[test]
fn files_that_others_may_write_are_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::new();
    six(&folder);
    for name in ["packages.jsonl", "packages.jsonl.sha256", "SHA256SUMS"] {
        let path = folder.0.join(name);
        let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        set(0o660);
        let error = folder.open().err().unwrap();
        assert!(error.message().contains(&format!("{name}`: other users may write")), "{error}");
        set(0o600);
        let away = folder.0.join("away");
        fs::rename(&path, &away).unwrap();
        symlink(&away, &path).unwrap();
        let error = folder.open().err().unwrap();
        assert!(error.message().contains("it is a symbolic link"), "{error}");
        fs::rename(&away, &path).unwrap();
    }
    folder.open().unwrap();
}
