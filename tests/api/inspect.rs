//! `mde_inspect_package`: zips of other programs, the simulator's packages, and files that are no zip.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mde_simulator::{Config, PackageFault, QuotaMode, Simulator};
use mde_tests::child::Task;
use mde_tests::{Cancel, Outcome, inspect_package, inspect_package_until};
use serde_json::Value;

/// A folder of one test.
fn folder(name: &str) -> PathBuf {
    let folder = mde_tests::scratch().join("inspect").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn inspect(path: &Path) -> Outcome {
    inspect_package(path.to_str().unwrap())
}

#[track_caller]
fn package(path: &Path) -> Value {
    inspect(path).ok()["package"].clone()
}

/// The package beside the error.
#[track_caller]
fn unsafe_package(path: &Path) -> Value {
    let outcome = inspect(path);
    let package = outcome.document["package"].clone();
    outcome.error("unsafe");
    package
}

/// Why the first unsafe entry is unsafe.
fn reason(package: &Value) -> &str {
    package["unsafe_entries"][0]["reason"].as_str().unwrap()
}

#[track_caller]
fn run(program: &str, from: &Path, arguments: &[&str]) -> String {
    let out = Command::new(program).current_dir(from).args(arguments).output();
    let out = out.unwrap_or_else(|why| panic!("{program}: {why}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success(), "{program}: {}{}", text(&out.stdout), text(&out.stderr));
    text(&out.stdout)
}

/// Some files to pack: long ones, small ones, empty ones, with names of every kind.
fn files(name: &str) -> PathBuf {
    let folder = folder(name);
    let tree = folder.join("tree");
    std::fs::create_dir_all(tree.join("Temp Directories/größe")).unwrap();
    let lines: String = (0..60_000).map(|n| format!("{n},process{},running\r\n", n % 97)).collect();
    std::fs::write(tree.join("Processes.csv"), lines).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<u8> = (0..700_000).map(|_| random.u8(..)).collect();
    std::fs::write(tree.join("noise.evtx"), noise).unwrap();
    std::fs::write(tree.join("Temp Directories/größe/日本.txt"), "text").unwrap();
    std::fs::write(tree.join("empty"), "").unwrap();
    folder
}

/// Every file of the tree is listed with its length, and its checksum is the tree's.
#[track_caller]
fn is_the_tree(folder: &Path, package: &Value) {
    let find = |name: &str| -> Value {
        let files = package["files"].as_array().unwrap();
        let found = files.iter().find(|file| file["name"].as_str().unwrap().ends_with(name));
        found.unwrap_or_else(|| panic!("{name} is not in {package}")).clone()
    };
    for name in ["Processes.csv", "noise.evtx", "Temp Directories/größe/日本.txt", "empty"] {
        let content = std::fs::read(folder.join("tree").join(name)).unwrap();
        let file = find(name);
        assert_eq!(file["bytes"], content.len(), "{name}");
        assert_eq!(file["crc32"], format!("{:08x}", crc32fast::hash(&content)), "{name}");
    }
    assert_eq!(
        package["files"].as_array().unwrap().len(),
        package["entries"].as_u64().unwrap() as usize
    );
    assert_eq!(package["bytes_unlisted"], 0);
}

#[test]
fn zips_of_info_zip() {
    let folder = files("info-zip");
    for (name, arguments) in [
        ("plain", &["-r"][..]),
        ("stored", &["-r", "-0"]),
        ("best", &["-r", "-9", "-D"]),
        ("streamed", &["-r", "-fd"]),
        ("zip64", &["-r", "-fz"]),
    ] {
        let zip = format!("{name}.zip");
        run("zip", &folder, &[arguments, &["-q", &zip, "tree"]].concat());
        let package = package(&folder.join(&zip));
        is_the_tree(&folder, &package);
        let sum = run("sha256sum", &folder, &[&zip]);
        assert_eq!(package["sha256"], sum.split(' ').next().unwrap(), "{name}");
        let bytes = std::fs::metadata(folder.join(&zip)).unwrap().len();
        assert_eq!(package["bytes"], bytes, "{name}");
        assert!(package["files"][0]["modified"].as_str().unwrap().starts_with("20"), "{name}");
    }
    // Into a pipe, so that it cannot go back and fill in the sizes.
    run("sh", &folder, &["-c", "zip -q -r - tree | cat > piped.zip"]);
    is_the_tree(&folder, &package(&folder.join("piped.zip")));
    run(
        "sh",
        &folder,
        &["-c", "cp plain.zip comment.zip && echo 'case PK 4711' | zip -q -z comment.zip"],
    );
    is_the_tree(&folder, &package(&folder.join("comment.zip")));
    run("zip", &folder, &["-q", "-r", "-P", "secret", "encrypted.zip", "tree"]);
    let encrypted = unsafe_package(&folder.join("encrypted.zip"));
    assert_eq!(encrypted["unsafe_count"], 4, "{encrypted}");
    assert!(reason(&encrypted).contains("is encrypted"), "{encrypted}");
    std::os::unix::fs::symlink("/etc", folder.join("tree/link")).unwrap();
    run("zip", &folder, &["-q", "-r", "-y", "link.zip", "tree"]);
    let link = unsafe_package(&folder.join("link.zip"));
    assert_eq!(
        (&link["unsafe_count"], &link["unsafe_entries"][0]["name"]),
        (&1.into(), &"tree/link".into())
    );
    assert!(reason(&link).contains("is a symbolic link"), "{link}");
    // A program in front of the zip, with and without the positions set right.
    run("sh", &folder, &["-c", "(echo program; cat plain.zip) > shifted.zip"]);
    assert_eq!(inspect(&folder.join("shifted.zip")).error("integrity")["stage"], "verify");
    run("sh", &folder, &["-c", "cp shifted.zip set.zip && zip -q -A set.zip"]);
    assert_eq!(package(&folder.join("set.zip"))["bytes_unlisted"], 8);
    // Another zip in front of it.
    run("sh", &folder, &["-c", "cat stored.zip plain.zip > two.zip && zip -q -A two.zip"]);
    let outcome = inspect(&folder.join("two.zip"));
    let found = &outcome.document["package"]["unsafe_entries"];
    assert_eq!((&found[0]["name"], found.as_array().unwrap().len()), (&"".into(), 1), "{found}");
    let message = outcome.error("unsafe")["message"].as_str().unwrap().to_owned();
    let words = "the file has an entry that its directory does not list; do not unpack";
    assert!(message.starts_with(words), "{message}");
}

#[test]
fn zips_of_python() {
    let folder = files("python");
    let script = r#"
import os, sys, zipfile
class Pipe:
    def __init__(self, path): self.file = open(path, "wb")
    def write(self, data): return self.file.write(data)
    def flush(self): self.file.flush()
def pack(target, method, zip64=False):
    with zipfile.ZipFile(target, "w", method) as out:
        for folder, _, names in os.walk("tree"):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file, out.open(zipfile.ZipInfo.from_file(path) if method == 0 else path, "w", force_zip64=zip64) as entry:
                    entry.write(file.read())
        out.comment = b"made by Python"
pack("stored.zip", zipfile.ZIP_STORED)
pack("deflated.zip", zipfile.ZIP_DEFLATED)
pack("zip64.zip", zipfile.ZIP_DEFLATED, True)
pipe = Pipe("piped.zip"); pack(pipe, zipfile.ZIP_DEFLATED, True); pipe.file.close()
pack("bzip2.zip", zipfile.ZIP_BZIP2)
with zipfile.ZipFile("twice.zip", "w") as out:
    out.writestr("x", "one"); out.writestr("x", "two")
with zipfile.ZipFile("leaves.zip", "w") as out:
    out.writestr("../x", "one")
"#;
    run("python3", &folder, &["-W", "ignore", "-c", script]);
    for name in ["stored", "deflated", "zip64", "piped"] {
        is_the_tree(&folder, &package(&folder.join(format!("{name}.zip"))));
    }
    for (name, words) in [
        ("bzip2", "packed with an unsupported"),
        ("twice", "lands where another entry lands"),
        ("leaves", "has a path that leaves"),
    ] {
        let package = unsafe_package(&folder.join(format!("{name}.zip")));
        assert!(reason(&package).contains(words), "{package}");
    }
}

/// The package of a machine, through a link as clients get it.
fn download(sim: &Simulator, machine: usize, to: &Path) {
    let folder = to.parent().unwrap();
    let curl = |arguments: &[&str]| run("curl", folder, &[&["-s", "-S", "-f"], arguments].concat());
    let token: Value = serde_json::from_str(&curl(&[
        "-d",
        &format!("grant_type=client_credentials&client_id={}", mde_simulator::DEFAULT_CLIENT),
        "--data-urlencode",
        &format!("client_secret={}", mde_simulator::DEFAULT_SECRET),
        "--data-urlencode",
        "scope=https://api.securitycenter.microsoft.com/.default",
        &format!("{}/{}/oauth2/v2.0/token", sim.login_url(), mde_simulator::DEFAULT_TENANT),
    ]))
    .unwrap();
    let token = format!("Authorization: Bearer {}", token["access_token"].as_str().unwrap());
    let api = format!("{}/api", sim.api_url());
    let collect = format!("{api}/machines/{}/collectInvestigationPackage", sim.machine_id(machine));
    let kind = "Content-Type: application/json";
    let action = curl(&["-H", &token, "-H", kind, "-d", r#"{"Comment":"why"}"#, &collect]);
    let action: Value = serde_json::from_str(&action).unwrap();
    let id = action["id"].as_str().unwrap();
    let link = curl(&["-H", &token, &format!("{api}/machineactions/{id}/getPackageUri")]);
    let link: Value = serde_json::from_str(&link).unwrap();
    let link = link["value"].as_str().unwrap().trim_matches('"');
    curl(&["-o", to.to_str().unwrap(), link]);
}

#[test]
fn packages_of_every_system() {
    let folder = folder("simulator");
    let path = folder.join("package.zip");
    let mut config = Config { quota_mode: QuotaMode::Off, ..Config::default() };
    config.behaviour.pending_s = 0.0;
    config.behaviour.in_progress_s = 0.0;
    let sim = Simulator::start(config).unwrap();
    for (machine, device) in [(0, "windows"), (2, "windows"), (3, "macos"), (4, "linux")] {
        for bytes in [0, 3_000_000] {
            sim.set(|b| b.package_bytes = bytes);
            download(&sim, machine, &path);
            let package = package(&path);
            assert_eq!(package["device"], device);
            assert_eq!(package["missing"], serde_json::json!([]), "{device}");
            assert!(package["bytes_uncompressed"].as_u64().unwrap() > bytes);
            assert_eq!(package["path"], path.to_str().unwrap());
        }
    }
    run("zip", &folder, &["-q", "-d", "package.zip", "Users and groups/*"]);
    assert_eq!(package(&path)["missing"], serde_json::json!(["Users and groups"]));
    for (fault, words) in [
        (PackageFault::Checksum, "has content that does not match its checksum"),
        (PackageFault::Truncated, "is cut short"),
        (PackageFault::Html, "is not a zip"),
    ] {
        sim.set(|b| b.package_fault = fault);
        download(&sim, 0, &path);
        let error = inspect(&path).error("integrity");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
        assert_eq!(error["retryable"], false);
    }
}

/// With 64-bit sizes, and with the longest one of 32 bits.
#[test]
fn four_gibibytes() {
    let folder = folder("long");
    // A sparse file of zeros, so that it takes no room on the disk but in the directory's numbers.
    let script = r#"
import struct, sys, zlib
size = int(sys.argv[1])
wide = size > 0xffffffff
block, crc, left = bytes(1 << 20), 0, size
while left:
    n = min(left, len(block)); crc = zlib.crc32(block[:n], crc); left -= n
name, extra = b"Security event log/long.evtx", struct.pack("<HHQQ", 1, 16, size, size) if wide else b""
shared = struct.pack("<HHHHHIIIHH", 45, 0, 0, 0, 33, crc, 0xffffffff, 0xffffffff, len(name), len(extra))
with open("long.zip", "wb") as out:
    out.write(b"PK\3\4" + shared + name + extra)
    out.seek(size, 1)
    at = out.tell()
    out.write(b"PK\1\2" + struct.pack("<H", 45) + shared + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name + extra)
    end = out.tell()
    out.write(b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, end - at, at))
    out.write(b"PK\6\7" + struct.pack("<IQI", 0, end, 1))
    out.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, end - at, 0xffffffff, 0))
"#;
    for bytes in [(4_u64 << 30) + 5, (4 << 30) - 1] {
        run("python3", &folder, &["-c", script, &bytes.to_string()]);
        let package = package(&folder.join("long.zip"));
        assert_eq!(package["bytes_uncompressed"], bytes);
        assert!(package.get("unsafe_count").is_none(), "{package}");
    }
    std::fs::remove_file(folder.join("long.zip")).unwrap();
}

/// A zip of empty files with names of so many bytes.
fn listing(path: &Path, entries: usize, name_bytes: usize, filler: &str) -> u64 {
    let script = format!(
        r#"
import struct
names = [(b"%x/" % n).ljust({name_bytes}, {filler}) for n in range({entries})]
shared = lambda name: struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, 0, 0, 0, len(name), 0)
local = [b"PK\3\4" + shared(name) + name for name in names]
offsets = [0]
for one in local: offsets.append(offsets[-1] + len(one))
central = b"".join(b"PK\1\2" + struct.pack("<H", 20) + shared(name) + struct.pack("<HHHII", 0, 0, 0, 0, at) + name
                   for name, at in zip(names, offsets))
with open({path:?}, "wb") as out:
    out.write(b"".join(local) + central)
    out.write(b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, len(names), len(names), len(central), offsets[-1]))
    out.write(b"PK\6\7" + struct.pack("<IQI", 0, offsets[-1] + len(central), 1))
    out.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 0xffff, 0xffff, 0xffffffff, 0xffffffff, 0))
print(len(central))
"#
    );
    let printed = run("python3", path.parent().unwrap(), &["-c", &script]);
    printed.trim().parse().unwrap()
}

/// Memory is at most eight times the directory. More than the check takes is not even read.
#[test]
fn names_take_little_memory() {
    let folder = folder("names");
    let path = folder.join("names.zip");
    for (entries, name_bytes, filler) in [
        (100_000, 9, "b'x'"),
        (60_000, 90, "b'x'"),
        (200, 40_000, "b'x'"),
        // What JSON escapes, what is not UTF-8, and paths of many folders.
        (200, 40_000, "b'\"'"),
        (200, 40_000, "b'\\x81'"),
        (200, 40_000, "b'/'"),
        // Unsafe for its control characters.
        (200, 40_000, "b'\\x1f'"),
    ] {
        let directory = listing(&path, entries, name_bytes, filler);
        assert!(directory > 5_000_000 && directory < 8 << 20, "{directory}");
        let numbers = Task::MeasureInspection { path: path.clone() }.finish();
        let numbers: Vec<u64> = numbers.split_whitespace().map(|n| n.parse().unwrap()).collect();
        let [listed, document, peak] = numbers[..] else { panic!("{numbers:?}") };
        println!(
            "{entries} names of {name_bytes} {filler}: directory {directory}, document {document}, memory {peak}"
        );
        assert_eq!(listed, entries as u64);
        assert!(peak < 8 * directory && peak < 64 << 20, "{peak} for {directory}");
    }
    let directory = listing(&path, 33_000, 1_000, "b'x'");
    assert!(directory > 32 << 20);
    let numbers = Task::MeasureInspection { path: path.clone() }.finish();
    let peak: u64 = numbers.split_whitespace().last().unwrap().parse().unwrap();
    assert!(numbers.starts_with("0 ") && peak < 4 << 20, "{numbers}");
    let package = unsafe_package(&path);
    assert_eq!(
        (&package["unsafe_count"], &package["unsafe_entries"][0]["name"]),
        (&1.into(), &"".into())
    );
    assert!(reason(&package).contains("a directory of more than 8 MiB"), "{package}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_path_that_is_no_file_is_refused_at_once() {
    let folder = folder("no file");
    run("mkfifo", &folder, &["pipe"]);
    for (path, words) in [
        (folder.clone(), "is a folder"),
        (folder.join("pipe"), "is a device, pipe or socket"),
        ("/dev/zero".into(), "is a device, pipe or socket"),
        (folder.join("nothing"), "cannot be opened: No such file"),
    ] {
        let error = inspect(&path).error("file");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
        assert_eq!(error["stage"], "verify");
    }
    let error = inspect(Path::new("")).error("invalid_argument");
    assert!(error["message"].as_str().unwrap().contains("`path` is empty"), "{error}");
    std::fs::write(folder.join("größe"), "").unwrap();
    let error = inspect(&folder.join("größe")).error("integrity");
    assert!(error["message"].as_str().unwrap().contains("is not a zip"), "{error}");
    assert!(mde::inspect_package(folder.join("nothing"), None, None).is_err());
}

#[test]
fn the_check_reports_its_progress() {
    let folder = files("progress");
    run("zip", &folder, &["-q", "-r", "package.zip", "tree"]);
    let path = folder.join("package.zip");
    let bytes = std::fs::metadata(&path).unwrap().len();
    let mut events = Vec::new();
    let mut keep = |event: Value| {
        events.push(event);
        true
    };
    let package = inspect_package_until(path.to_str().unwrap(), Some(&mut keep), None).ok();
    assert_eq!(package, inspect(&path).ok());
    assert!(events.len() > 1, "{events:?}");
    assert_eq!(events[0]["bytes"], 0, "{events:?}");
    for event in &events {
        assert_eq!(
            (&event["stage"], &event["total"]),
            (&"verify".into(), &bytes.into()),
            "{event}"
        );
        assert!(event["bytes"].as_u64().unwrap() <= bytes, "{event}");
        assert!(event.get("action_id").is_none(), "{event}");
    }
    assert_eq!(events.last().unwrap()["bytes"], bytes);
}

#[test]
fn the_callback_can_stop_the_check() {
    let folder = files("stopped by progress");
    run("zip", &folder, &["-q", "-r", "package.zip", "tree"]);
    let path = folder.join("package.zip");
    let mut told = 0;
    let mut stop = |_: Value| {
        told += 1;
        false
    };
    let outcome = inspect_package_until(path.to_str().unwrap(), Some(&mut stop), None);
    let error = outcome.error("cancelled");
    assert_eq!((&error["stage"], told), (&"verify".into(), 1), "{error}");
}

/// 64 MiB of noise in one entry: some hundred ms of work, which a handle cuts short from outside.
#[test]
fn a_cancel_handle_ends_the_check() {
    let folder = folder("stopped by a handle");
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<u8> = (0..64 << 20).map(|_| random.u8(..)).collect();
    std::fs::write(folder.join("noise"), noise).unwrap();
    run("zip", &folder, &["-q", "-1", "package.zip", "noise"]);
    let path = folder.join("package.zip");
    let path = path.to_str().unwrap();

    let over = Cancel::new(1);
    std::thread::sleep(Duration::from_millis(2));
    let error = inspect_package_until(path, None, Some(&over)).error("deadline");
    assert_eq!(error["stage"], "verify");
    assert!(error["message"].as_str().unwrap().contains("cancel handle"), "{error}");

    let cancel = Cancel::new(0);
    let mut events = 0;
    let mut trigger = |_: Value| {
        events += 1;
        cancel.trigger();
        true
    };
    let error = inspect_package_until(path, Some(&mut trigger), Some(&cancel)).error("cancelled");
    assert_eq!((&error["stage"], events), (&"verify".into(), 1), "{error}");
    std::fs::remove_file(path).unwrap();
}
