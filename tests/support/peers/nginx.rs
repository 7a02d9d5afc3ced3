//! nginx, as a host of files.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Nginx {
    pub port: u16,
    folder: PathBuf,
    process: Child,
}

impl Nginx {
    /// Serves `folder/www`; `locations` is put into the one server there is.
    pub fn start(folder: &Path, locations: &str) -> Nginx {
        let port = super::ports::unused_port();
        fs::create_dir_all(folder.join("www")).unwrap();
        // One process, so that it ends as a whole.
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let configuration = format!(
            "{user} daemon off; master_process off; pid nginx.pid; error_log error.log;
             events {{ worker_connections 64; }}
             http {{
                 access_log off; default_type application/zip; root www;
                 client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
                 uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                 server {{ listen 127.0.0.1:{port}; {locations} }}
             }}"
        );
        fs::write(folder.join("nginx.conf"), configuration).unwrap();
        let known = ["/usr/sbin/nginx", "/usr/bin/nginx"];
        let program = known.into_iter().find(|path| Path::new(path).exists());
        let process = Command::new(program.expect("nginx is missing: apt-get install nginx-light"))
            .arg("-p")
            .arg(folder)
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Nginx { port, folder: folder.to_owned(), process };
        let patience = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            assert!(Instant::now() < patience, "nginx does not listen: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        nginx
    }

    /// As another file under the name: what is being served stays as it is.
    pub fn put(&self, name: &str, content: &[u8]) {
        let new = self.folder.join("new");
        fs::write(&new, content).unwrap();
        fs::rename(new, self.folder.join("www").join(name)).unwrap();
    }

    pub fn link(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
