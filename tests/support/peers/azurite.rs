//! Azurite, Microsoft's emulator of its blob storage, with blobs and links made by Microsoft's own client.
//!
//! What is missing fails the test with the command that installs it.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/azurite");

pub struct Azurite {
    pub origin: String,
    process: Child,
    data: PathBuf,
}

impl Azurite {
    pub fn start(data: &Path) -> Azurite {
        let script = Path::new(HERE).join("node_modules/azurite/dist/src/blob/main.js");
        std::fs::create_dir_all(data).unwrap();
        let port = super::ports::unused_port();
        let process = crate::node("azurite")
            .arg(script)
            .args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"])
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .arg("--location")
            .arg(data)
            .stdout(Stdio::null())
            .spawn()
            .expect("node is missing: apt-get install nodejs npm");
        let origin = format!("http://127.0.0.1:{port}");
        let azurite = Azurite { origin, process, data: data.to_owned() };
        let patience = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "Azurite does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        azurite
    }

    fn node(&self, arguments: &[&str]) -> String {
        let script = Path::new(HERE).join("blobs.mjs");
        let output =
            crate::node("azurite").arg(script).arg(&self.origin).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn put(&self, container: &str, blob: &str, content: &[u8]) {
        let file = self.data.join("upload");
        std::fs::write(&file, content).unwrap();
        self.node(&["put", container, blob, file.to_str().unwrap()]);
    }

    /// A link that lives so many seconds; less than none: one that has expired.
    pub fn link(&self, container: &str, blob: &str, seconds: i64) -> String {
        self.node(&["link", container, blob, &seconds.to_string()])
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
