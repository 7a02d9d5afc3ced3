//! MIT Kerberos' key distribution centre (KDC), as Debian ships it, with a realm of its own.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The account that logs in, and its password.
pub const USER: &str = "agent";
pub const PASSWORD: &str = "pa_ss.1";

/// A realm `MDE.TEST`, where proxies on this machine are `HTTP/localhost`. It exists until dropped.
pub struct Realm {
    kdc: Option<Child>,
    folder: PathBuf,
}

impl Realm {
    pub fn start() -> Realm {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mde-kerberos-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let mut realm = Realm { kdc: None, folder };
        let port = super::ports::unused_port();
        realm.configure(port);
        realm.run("kdb5_util", &["create", "-s", "-P", "master"]);
        realm.administer(&format!("addprinc +requires_preauth -pw {PASSWORD} {USER}"));
        realm.administer("addprinc -randkey HTTP/localhost");
        realm.administer(&format!("ktadd -k {} HTTP/localhost", realm.path("proxy.keytab")));
        realm.administer(&format!("ktadd -norandkey -k {} {USER}", realm.path("agent.keytab")));
        // squid, started as root, becomes somebody else.
        for file in ["proxy.keytab", "krb5.conf"] {
            let all = fs::Permissions::from_mode(0o644);
            fs::set_permissions(realm.path(file), all).unwrap();
        }
        let mut kdc = realm.command("krb5kdc", &["-n"]);
        realm.kdc = Some(kdc.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "krb5kdc does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        realm
    }

    /// Names this port of the KDC, in the file that the documentation shows.
    pub fn configure(&self, port: u16) {
        let folder = self.folder.display();
        let page = include_str!("../../../docs/deployment.md");
        let (_, block) = page.split_once("```ini\n[libdefaults]\n").unwrap();
        let documented = block.split_once("```").unwrap().0;
        let documented = documented
            .replace("dc1.contoso.example", &format!("127.0.0.1:{port}"))
            .replace(".contoso.example", "localhost")
            .replace("CONTOSO.EXAMPLE", "MDE.TEST");
        let client = format!(
            "[libdefaults]\n udp_preference_limit = 1\n dns_lookup_realm = false\n dns_lookup_kdc = false\n{documented}[logging]\n kdc = FILE:{folder}/kdc.log\n"
        );
        fs::write(self.path("krb5.conf"), client).unwrap();
        let server = format!(
            "[realms]\n MDE.TEST = {{\n  database_name = {folder}/principal\n  key_stash_file = {folder}/stash\n  \
             kdc_listen = 127.0.0.1:{port}\n  kdc_tcp_listen = 127.0.0.1:{port}\n  max_life = 1h\n }}\n"
        );
        fs::write(self.path("kdc.conf"), server).unwrap();
    }

    /// The file of the proxy's key, and the variables of the proxy.
    pub fn of_the_proxy(&self) -> (String, Vec<(&'static str, String)>) {
        (self.path("proxy.keytab"), vec![("KRB5_CONFIG", self.path("krb5.conf"))])
    }

    /// The variables of a process that may log in.
    pub fn of_the_client(&self) -> Vec<(&'static str, String)> {
        let cache = format!("FILE:{}", self.path("tickets"));
        vec![("KRB5_CONFIG", self.path("krb5.conf")), ("KRB5CCNAME", cache)]
    }

    /// Gets a ticket for so long, such as `5m`.
    pub fn log_in(&self, long: &str) {
        self.run("kinit", &["-k", "-t", &self.path("agent.keytab"), "-l", long, USER]);
    }

    /// Destroys the ticket.
    pub fn log_out(&self) {
        self.run("kdestroy", &[]);
    }

    /// Gives a principal a key that nobody has.
    pub fn change_key(&self, principal: &str) {
        self.administer(&format!("cpw -randkey {principal}"));
    }

    /// How many wrong passwords the KDC has counted.
    pub fn wrong_passwords(&self) -> usize {
        let log = fs::read_to_string(self.path("kdc.log")).unwrap();
        log.lines().filter(|line| line.contains("verify failure")).count()
    }

    /// Stops answering.
    pub fn stop(&mut self) {
        if let Some(mut kdc) = self.kdc.take() {
            kdc.kill().unwrap();
            kdc.wait().unwrap();
        }
    }

    fn path(&self, file: &str) -> String {
        self.folder.join(file).to_str().unwrap().to_owned()
    }

    fn administer(&self, query: &str) {
        self.run("kadmin.local", &["-q", query]);
    }

    fn run(&self, program: &str, words: &[&str]) {
        let output = self.command(program, words).output();
        let output = output.unwrap_or_else(|_| missing(program));
        assert!(output.status.success(), "{program} {words:?}: {output:?}");
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        let paths = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        command.env("PATH", paths).envs(self.of_the_client()).args(words).stdin(Stdio::null());
        command.env("KRB5_KDC_PROFILE", self.path("kdc.conf"));
        command
    }
}

fn missing(program: &str) -> ! {
    panic!(
        "{program} is missing; run: apt-get install -y --no-install-recommends krb5-kdc krb5-admin-server krb5-user"
    )
}

impl Drop for Realm {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
