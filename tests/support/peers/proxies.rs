//! tinyproxy and squid, as Debian ships them.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A proxy that runs until dropped.
pub struct Proxy {
    process: Child,
    folder: PathBuf,
    pub port: u16,
}

impl Proxy {
    /// With these lines of configuration besides what it needs to run at all.
    pub fn tinyproxy(lines: &str) -> Proxy {
        Proxy::start("tinyproxy", "tinyproxy-bin", &["-d", "-c"], &[], |port, folder| {
            let log = folder.join("log");
            format!(
                "Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 50\nLogFile \"{}\"\n{lines}\n",
                log.display()
            )
        })
    }

    /// The same; `{folder}` in a line is a folder that squid may read, with a file `logins` in it:
    /// user `us.er`, password `pa_ss.1`; and a file `hosts`, by which `service0.simulator.test` is this machine.
    pub fn squid(lines: &str) -> Proxy {
        Proxy::squid_in(lines, &[])
    }

    /// The same in this environment.
    pub fn squid_in(lines: &str, variables: &[(&str, String)]) -> Proxy {
        Proxy::start("squid", "squid openssl", &["-N", "-f"], variables, |port, folder| {
            let hash = Command::new("openssl")
                .args(["passwd", "-apr1", "pa_ss.1"])
                .output()
                .expect("openssl is missing; run: apt-get install -y openssl");
            let hash = String::from_utf8(hash.stdout).unwrap();
            fs::write(folder.join("logins"), format!("us.er:{hash}")).unwrap();
            fs::write(folder.join("hosts"), "127.0.0.1 service0.simulator.test\n").unwrap();
            let lines = lines.replace("{folder}", folder.to_str().unwrap());
            format!(
                "http_port 127.0.0.1:{port}\npid_filename none\npinger_enable off\ncache deny all\n\
                 access_log none\ncache_log /dev/null\ncache_store_log none\ncoredump_dir /\n\
                 shutdown_lifetime 0 seconds\nvisible_hostname squid.test\n{lines}\n"
            )
        })
    }

    fn start(
        name: &str,
        packages: &str,
        arguments: &[&str],
        variables: &[(&str, String)],
        config: impl Fn(u16, &PathBuf) -> String,
    ) -> Proxy {
        let port = super::ports::unused_port();
        // Not below the target directory: squid, started as root, becomes somebody else.
        let folder = std::env::temp_dir().join(format!("mde-{name}-{port}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("config");
        fs::write(&path, config(port, &folder)).unwrap();
        // Debian keeps squid where only root looks.
        let paths = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let process = Command::new(name)
            .env("PATH", paths)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .args(arguments)
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|_| {
                panic!(
                    "{name} is missing; run: apt-get install -y --no-install-recommends {packages}"
                )
            });
        let mut proxy = Proxy { process, folder, port };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = proxy.process.try_wait().unwrap();
            assert!(ended.is_none(), "{name} does not run: {ended:?}");
            assert!(started.elapsed() < Duration::from_secs(30), "{name} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        proxy
    }

    pub fn url(&self) -> String {
        self.url_with("")
    }

    /// With a login such as `user:password@`.
    pub fn url_with(&self, login: &str) -> String {
        format!("http://{login}127.0.0.1:{}", self.port)
    }

    /// What tinyproxy has written down.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
