//! Lookups that nobody answers.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use mde_tests::peers::server::ID;
use mde_tests::{Cancel, Client};

/// Calls to a name share one thread that looks it up, and end when their time is over. Port 53 has to be free.
pub fn shares_a_thread() {
    // It hears, and says nothing.
    let server = UdpSocket::bind("127.0.0.1:53").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let client = Client::with(&[
        ("access_token", "t"),
        ("api_url", "https://no-such-host.invalid"),
        ("timeout_ms", "1000"),
        ("proxy", "none"),
    ])
    .unwrap();
    let lookups = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
        let names = tasks.filter_map(|t| std::fs::read_to_string(t.path().join("comm")).ok());
        names.filter(|name| name.trim() == "mde-resolve").count()
    };
    std::thread::scope(|scope| {
        let calls: Vec<_> =
            (0..32).map(|_| scope.spawn(|| client.action(ID).error("deadline"))).collect();
        server.recv(&mut [0; 512]).unwrap();
        while calls.iter().any(|call| !call.is_finished()) {
            assert_eq!(lookups(), 1);
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    // The next call waits for the same one, and may be cancelled.
    let started = Instant::now();
    client.action_until(ID, Some(&Cancel::new(50))).error("deadline");
    assert_eq!(lookups(), 1);
    drop(client);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    println!("nobody was held");
}
