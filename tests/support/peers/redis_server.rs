//! A Redis server of Debian's, on a free port, with its data in a folder of its own and nothing on disk.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub struct RedisServer {
    pub port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    process: Child,
}

impl RedisServer {
    pub fn start() -> RedisServer {
        RedisServer::with(&[])
    }

    /// With further arguments, in which `{port}` stands for its port.
    pub fn with(more: &[&str]) -> RedisServer {
        // Somebody else may take a port that was free a moment ago.
        let started = (0..5).find_map(|_| RedisServer::try_with(more));
        started.expect("redis-server does not start")
    }

    fn try_with(more: &[&str]) -> Option<RedisServer> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique =
            format!("mde-redis-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&folder).unwrap();
        let port = super::ports::unused_port();
        let usual = [
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        let arguments: Vec<String> = usual
            .iter()
            .chain(more)
            .map(|argument| argument.replace("{port}", &port.to_string()))
            .collect();
        let process = spawn(&arguments, &folder);
        let mut server = RedisServer { port, folder, arguments, process };
        server.wait().then_some(server)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, with nothing in it.
    pub fn restart(&mut self) {
        self.process = spawn(&self.arguments, &self.folder);
        assert!(self.wait(), "redis-server does not start again");
    }

    /// Sends a signal to the server, by the name that kill(1) knows.
    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Runs one command and returns the first bytes of the reply as they are.
    pub fn command(&self, words: &[&str]) -> String {
        self.try_command(words).expect("the server does not answer")
    }

    /// Runs several commands on one connection and returns the reply to the last.
    pub fn commands(&self, commands: &[&[&str]]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut last = String::new();
        for words in commands {
            last = ask(&mut stream, words).unwrap();
        }
        last
    }

    fn try_command(&self, words: &[&str]) -> Option<String> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
        ask(&mut stream, words)
    }

    /// `false`: it ended.
    fn wait(&mut self) -> bool {
        let started = Instant::now();
        // One that wants a password says so.
        let tls = self.arguments.iter().any(|argument| argument == "--tls-port");
        loop {
            let address = SocketAddr::from(([127, 0, 0, 1], self.port));
            let up = match tls {
                true => TcpStream::connect(address).is_ok(),
                false => self.try_command(&["PING"]).is_some_and(|reply| {
                    reply.starts_with("+PONG") || reply.starts_with("-NOAUTH")
                }),
            };
            if up {
                return true;
            }
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(started.elapsed() < Duration::from_secs(10), "redis-server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn ask(stream: &mut TcpStream, words: &[&str]) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut packed = format!("*{}\r\n", words.len());
    for word in words {
        packed.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(packed.as_bytes()).ok()?;
    let mut reply = vec![0; 64 * 1024];
    let length = stream.read(&mut reply).ok()?;
    Some(String::from_utf8_lossy(&reply[..length]).into_owned())
}

fn spawn(arguments: &[String], folder: &Path) -> Child {
    Command::new("redis-server")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect(
            "redis-server is missing; run: apt-get install -y --no-install-recommends redis-server",
        )
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
