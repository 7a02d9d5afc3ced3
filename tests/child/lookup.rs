//! Lookups that nobody answers.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use mde_tests::child::NameServer;
use mde_tests::peers::server::ID;
use mde_tests::{Cancel, Client};

/// Starts a name server, which gives this answer to all. Port 53 has to be free.
pub fn with_name_server(answer: NameServer) {
    if answer == NameServer::Away {
        return;
    }
    let server = UdpSocket::bind("127.0.0.1:53").unwrap();
    std::thread::spawn(move || {
        let mut asked = [0; 512];
        while let Ok((amount, peer)) = server.recv_from(&mut asked) {
            if answer == NameServer::Silent {
                continue;
            }
            let mut reply = asked[..amount].to_vec();
            // It is a response, recursion is available, and there are no records but the question.
            const TRUNCATED: u8 = 0x02;
            let (truncated, code) = match answer {
                NameServer::Truncated => (TRUNCATED, 0),
                NameServer::NoName => (0, 3),
                NameServer::Fails => (0, 2),
                _ => (0, 0),
            };
            (reply[2], reply[3]) = (0x81 | truncated, 0x80 | code);
            if answer == NameServer::Garbage {
                reply = vec![0xff; 40];
            }
            let _ = server.send_to(&reply, peer);
        }
    });
}

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
