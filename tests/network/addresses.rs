//! Names with several addresses, most of them dead, in a network of their own.

use std::fmt::Write;

use mde_tests::child::{self, Task};
use mde_tests::peers::server::ID;

/// The live address of each name. It comes last.
const LIVE: &str = "192.0.2.9";

/// The names, with the third group of their eight dead addresses, which come first.
const NAMES: [(&str, Option<u8>); 5] = [
    ("one", None),
    ("nowhere", Some(1)),
    ("silent", Some(2)),
    ("refused", Some(3)),
    ("kinds", None),
];

/// Runs a task in a network of its own with these hosts. What it printed.
fn with_hosts(unique: &str, hosts: &str, network: &str, task: &Task) -> String {
    let folder = mde_tests::scratch().join(format!("{unique}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("hosts"), hosts).unwrap();
    std::fs::write(folder.join("nsswitch.conf"), "hosts: files\n").unwrap();
    let mut set_up = format!("PATH=$PATH:/usr/sbin && ip link set lo up{network}");
    for file in ["hosts", "nsswitch.conf"] {
        write!(set_up, " && mount --bind \"$1/{file}\" /etc/{file}").unwrap();
    }
    let output = child::isolated(true)
        .args(["sh", "-c", &format!("{set_up} && exec \"$2\" \"$3\""), "sh"])
        .arg(&folder)
        .args(task.words())
        .output()
        .expect("unshare is missing; run: apt-get install -y util-linux");
    std::fs::remove_dir_all(folder).unwrap();
    child::finished(output)
}

#[test]
fn the_first_usable_address_wins_and_is_tried_first_from_then_on() {
    let mut hosts = "127.0.0.1 localhost\n".to_owned();
    let mut own = format!(" && ip address add {LIVE}/32 dev lo");
    for (name, group) in NAMES {
        for n in 1..=8 {
            if let Some(group) = group {
                let address = format!("2001:db8:{group}::{n}");
                write!(own, " && ip address add {address}/128 dev lo").unwrap();
                writeln!(hosts, "{address} {name}.simulator.test").unwrap();
            }
        }
        if name == "kinds" {
            // One of each, and a dead address of the other family too.
            own += " && ip address add 192.0.2.8/32 dev lo";
            for address in ["2001:db8:1::1", "192.0.2.8", "2001:db8:2::1", "2001:db8:3::1"] {
                writeln!(hosts, "{address} {name}.simulator.test").unwrap();
            }
        }
        writeln!(hosts, "{LIVE} {name}.simulator.test").unwrap();
    }
    let printed = with_hosts("addresses", &hosts, &own, &Task::ConnectToMany);
    eprintln!("{printed}");
    assert!(printed.contains("all went to the live address"), "{printed}");
}

/// A name that means this machine is believed only as far as it leads there.
#[test]
fn plain_http_goes_to_loopback_addresses_alone() {
    for (number, (name, hosts, status, words)) in [
        (
            "localhost",
            "192.0.2.9 localhost",
            "resolve",
            "`localhost` leads to 192.0.2.9, which is no loopback address",
        ),
        (
            "LOCALHOST",
            "2001:db8::9 localhost",
            "resolve",
            "leads to 2001:db8::9, which is no loopback address",
        ),
        ("a.localhost", "192.0.2.9 a.localhost", "resolve", "`a.localhost` leads to 192.0.2.9"),
        // Nobody listens there, nor does anybody at the other address.
        (
            "localhost",
            "192.0.2.9 localhost\n127.0.0.7 localhost",
            "connect",
            "127.0.0.7:1 did not accept",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let url = format!("http://{name}:1");
        let options = [("access_token", "t"), ("api_url", url.as_str()), ("max_retries", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let task = Task::Read { options: options.into(), action: ID.to_owned() };
        let network = " && ip address add 192.0.2.9/32 dev lo";
        let printed =
            with_hosts(&format!("loopback{number}"), &format!("{hosts}\n"), network, &task);
        let (_, document) = printed.trim_end().split_once(' ').unwrap();
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        let error = &document["error"];
        assert_eq!(error["name"], status, "{error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
        assert_eq!(error["attempts"], if status == "resolve" { 1 } else { 3 }, "{error}");
    }
}
