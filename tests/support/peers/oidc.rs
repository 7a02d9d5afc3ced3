//! An independent authority: `oidc-provider`, a certified OpenID provider. Its API answers with the application that it knows
//! a token to be of.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const SCOPE: &str = "https://api.securitycenter.microsoft.com/.default";

/// `tests/oidc/server.mjs`.
pub struct Provider {
    process: Child,
    pub url: String,
}

impl Provider {
    pub fn start(clients: &Value) -> Provider {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc");
        let config = json!({"tenant": TENANT, "scope": SCOPE, "clients": clients});
        let mut process = crate::node("oidc")
            .arg(folder.join("server.mjs"))
            .arg(config.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("the provider did not start; see above");
        Provider { process, url: format!("http://127.0.0.1:{port}") }
    }

    /// Starts it with a client for each algorithm, whose name it has, with this certificate.
    pub fn with_certificate(certificate: &str) -> Provider {
        let client = |algorithm: &str| json!({"id": algorithm, "certificate": certificate, "algorithm": algorithm});
        Provider::start(&json!([client("PS256"), client("RS256")]))
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
