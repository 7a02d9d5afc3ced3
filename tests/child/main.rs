//! The processes that tests start, kill and trace: `mde-test-child TASK`, with a task as `mde_tests::child` has it.

mod addresses;
mod forks;
mod lookup;
mod memory;
mod small_disk;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mde_tests::Client;
use mde_tests::child::{Options, Task};
use mde_tests::peers::server;
use serde_json::Value;

fn main() {
    // No child outlives the test that started it, not even where that is killed.
    let end = Some(rustix::process::Signal::KILL);
    rustix::process::set_parent_process_death_signal(end).unwrap();
    let task = std::env::args().nth(1).expect("a task as JSON");
    match serde_json::from_str(&task).expect("a task as JSON") {
        Task::Fetch { options, machine, path } => {
            println!("{}", client(&options).fetch(&machine, "killed now and then", &path).text);
        }
        Task::FetchPackages { options, devices, folder } => {
            let outcome = client(&options).fetch_packages(Some(&devices), &folder, None, None);
            println!("{}", outcome.text);
        }
        Task::Download { options, action, path } => {
            println!("{}", client(&options).download(&action, &path).text);
        }
        Task::DownloadToSmallDisk { at } => small_disk::fills_up(&at),
        Task::Read { options, action } => {
            let outcome = match Client::with(&borrowed(&options)) {
                Ok(client) => client.action(&action),
                Err(outcome) => outcome,
            };
            println!("{} {}", outcome.status, outcome.text);
        }
        Task::Check { options } => println!("{}", client(&options).check_access().text),
        Task::ReadForEver { options, action, threads } => {
            let client = client(&options);
            in_threads(threads, || {
                loop {
                    client.action(&action);
                }
            });
        }
        Task::ReadUntil { options, action, threads, until_ms } => {
            let client = client(&options);
            let until = UNIX_EPOCH + Duration::from_millis(until_ms);
            in_threads(threads, || read_until(&client, &action, until));
        }
        Task::ForkAndLookAtQuota { options, action } => {
            let client = client(&options);
            client.action(&action).ok();
            forks::leave_a_child_behind();
            println!("forked");
            // Nothing but transactions, each of them short.
            loop {
                client.quota().ok();
            }
        }
        Task::ReadInForkedChild { options, action } => {
            forks::reads_in_a_child(&|| client(&options), &action);
        }
        Task::Calls { url, collect, count } => {
            let client = server::client_of(&url, &[]);
            for n in 0..count {
                match collect {
                    false => client.action(server::ID).ok(),
                    true => client.collect(&server::machine(n), "x").ok(),
                };
            }
        }
        Task::TracedFork { url, ca_file } => forks::leaves_marks(&url, ca_file.as_deref()),
        Task::ReplaceQuotaFile { options, machine, file } => {
            replace_quota_file(&client(&options), &machine, &file);
        }
        Task::MeasureInspection { path } => memory::of_an_inspection(&path),
        Task::LookUp { options, action, answer } => {
            lookup::with_name_server(answer);
            let outcome = client(&options).action(&action);
            println!("{} {}", outcome.status, outcome.text);
        }
        Task::LookUpInVain => lookup::shares_a_thread(),
        Task::ConnectToMany => addresses::race(),
    }
}

fn borrowed(options: &Options) -> Vec<(&str, &str)> {
    options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn client(options: &Options) -> Client {
    Client::with(&borrowed(options)).unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

fn in_threads(count: usize, work: impl Fn() + Sync) {
    std::thread::scope(|scope| (0..count).for_each(|_| drop(scope.spawn(&work))));
}

fn read_until(client: &Client, action: &str, until: SystemTime) {
    while SystemTime::now() < until {
        let outcome = client.action(action);
        if outcome.status != mde_tests::OK {
            // The server of the log is away, or the last calls ran out of time.
            outcome.error_in(&["rate_limited", "deadline"]);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn replace_quota_file(client: &Client, machine: &str, file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    client.collect(machine, "x").ok();
    let trouble = || client.quota().ok()["log"]["trouble"].clone();
    let before = trouble();
    println!("trouble: {before}");
    if before != Value::Null {
        // Until somebody has seen to it, and given it other rights.
        for mode in [0o640, 0o660] {
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
            client.list("").ok();
            assert_eq!(trouble(), Value::Null);
        }
    }
}
