//! OpenSSL as the peer: certificates made at run time, and servers that show them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CONFIG: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
[ca]
default_ca = own
[own]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
";

fn openssl() -> Command {
    Command::new("openssl")
}

#[track_caller]
fn run(command: &mut Command) {
    let done = command
        .output()
        .expect("openssl is missing; run: apt-get install -y --no-install-recommends openssl");
    assert!(done.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&done.stderr));
}

/// Certificates and keys by name, in a folder that goes with it.
pub struct Pki {
    folder: PathBuf,
}

/// How one certificate differs from an ordinary one.
pub struct Wish<'a> {
    pub issuer: &'a str,
    /// In OpenSSL's words, such as `IP:127.0.0.1`; empty for none.
    pub names: &'a str,
    /// From and until when it is valid.
    pub valid: Option<(&'a str, &'a str)>,
    pub is_ca: bool,
    /// In OpenSSL's words, such as `rsa:2048`.
    pub key: &'a str,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Wish { issuer: "root", names: "IP:127.0.0.1", valid: None, is_ca: false, key: P256 }
    }
}

pub const P256: &str = "ec -pkeyopt ec_paramgen_curve:P-256";

impl Pki {
    /// With an authority called `root`.
    pub fn new() -> Pki {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique =
            format!("pki-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let pki = Pki { folder: crate::scratch().join(unique) };
        fs::create_dir_all(&pki.folder).unwrap();
        fs::write(pki.folder.join("config"), CONFIG).unwrap();
        fs::write(pki.folder.join("index"), "").unwrap();
        pki.self_signed("root", "basicConstraints=critical,CA:TRUE", "keyUsage=keyCertSign");
        pki
    }

    /// A certificate that vouches for itself, with two extensions.
    pub fn self_signed(&self, name: &str, one: &str, two: &str) {
        run(openssl()
            .current_dir(&self.folder)
            .args(["req", "-x509", "-config", "config", "-days", "30", "-nodes"])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
            .args(["-subj", &format!("/CN={name}"), "-addext", one, "-addext", two]));
    }

    /// A certificate from an authority. OpenSSL keeps records, so one at a time.
    pub fn issue(&self, name: &str, wish: &Wish<'_>) {
        let [key, request, extensions, certificate] =
            ["key", "csr", "ext", "pem"].map(|kind| format!("{name}.{kind}"));
        let mut lines = match wish.is_ca {
            true => "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n".to_owned(),
            false => {
                "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n".to_owned()
            }
        };
        if !wish.names.is_empty() {
            lines.push_str(&format!("subjectAltName={}\n", wish.names));
        }
        fs::write(self.folder.join(&extensions), lines).unwrap();
        run(openssl()
            .current_dir(&self.folder)
            .args(["req", "-new", "-config", "config", "-nodes", "-newkey"])
            .args(wish.key.split(' '))
            .args(["-keyout", &key, "-out", &request, "-subj", &format!("/CN={name}")]));
        let issuer = wish.issuer;
        let mut sign = openssl();
        sign.current_dir(&self.folder)
            .args(["ca", "-batch", "-notext", "-config", "config", "-extfile", &extensions])
            .args(["-cert", &format!("{issuer}.pem"), "-keyfile", &format!("{issuer}.key")])
            .args(["-in", &request, "-out", &certificate]);
        match wish.valid {
            Some((from, until)) => sign.args(["-startdate", from, "-enddate", until]),
            None => sign.args(["-days", "30"]),
        };
        run(&mut sign);
    }

    /// A server with an ordinary certificate of this name.
    pub fn issue_for(&self, name: &str, names: &str) {
        self.issue(name, &Wish { names, ..Wish::default() });
    }

    /// The file of a certificate.
    pub fn path(&self, name: &str) -> String {
        self.file(&format!("{name}.pem"))
    }

    /// A file, such as the key of a certificate.
    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// Runs `openssl` in the folder, with words separated by blanks.
    #[track_caller]
    pub fn openssl(&self, words: &str) {
        run(openssl().current_dir(&self.folder).args(words.split(' ')));
    }

    /// Makes a file of others, one after the other.
    pub fn join(&self, name: &str, parts: &[&str]) {
        let all: Vec<u8> =
            parts.iter().flat_map(|part| fs::read(self.file(part)).unwrap()).collect();
        fs::write(self.file(name), all).unwrap();
    }

    /// Puts a file in the place of another one.
    pub fn replace(&self, name: &str, by: &str) {
        fs::copy(self.file(by), self.file("new")).unwrap();
        fs::rename(self.file("new"), self.file(name)).unwrap();
    }

    /// A server with this certificate that shows what it receives, and answers nothing.
    pub fn listener(&self, name: &str, more: &[&str]) -> Server {
        Server::start(&self.folder, name, more)
    }

    /// A server that answers GET requests with these files: path and content, head included.
    pub fn web_server(&self, name: &str, files: &[(&str, &str)], more: &[&str]) -> Server {
        for (path, content) in files {
            let path = self.folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Server::start(&self.folder, name, &[&["-HTTP"], more].concat())
    }
}

impl Drop for Pki {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// `openssl s_server`.
pub struct Server {
    process: Child,
    output: PathBuf,
    pub port: u16,
}

impl Server {
    fn start(folder: &Path, name: &str, more: &[&str]) -> Server {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let output = folder.join(format!("{}.out", COUNT.fetch_add(1, Ordering::Relaxed)));
        let file = fs::File::create(&output).unwrap();
        let process = openssl()
            .current_dir(folder)
            .args(["s_server", "-accept", "127.0.0.1:0"])
            .args(["-cert", &format!("{name}.pem"), "-key", &format!("{name}.key")])
            .args(more)
            // It ends when there is no more to read.
            .stdin(Stdio::piped())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .expect("openssl is missing; run: apt-get install -y --no-install-recommends openssl");
        let mut server = Server { process, output, port: 0 };
        let started = Instant::now();
        server.port = loop {
            let said = server.output();
            let address = said.lines().find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:"));
            // The line may be there in part.
            if let Some(port) = address.filter(|_| said.ends_with('\n')) {
                break port.trim().parse().unwrap();
            }
            assert!(started.elapsed() < Duration::from_secs(20), "no server: {more:?}\n{said}");
            std::thread::sleep(Duration::from_millis(5));
        };
        server
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Everything it has printed, and so everything it has received.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
