//! Keys, certificates and PKCS#12 files that OpenSSL makes at run time, and its verification of signatures.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A folder with an RSA key `key.pem`, its certificate `cert.pem`, and what a test makes of them.
pub struct Keys {
    folder: PathBuf,
}

impl Keys {
    pub fn new() -> Keys {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique =
            format!("keys-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let keys = Keys { folder: crate::scratch().join(unique) };
        fs::create_dir_all(&keys.folder).unwrap();
        keys.openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 30 -subj /CN=agent",
        );
        keys
    }

    /// Runs `openssl` in the folder, with words separated by blanks.
    #[track_caller]
    pub fn openssl(&self, words: &str) -> String {
        let done = Command::new("openssl")
            .current_dir(&self.folder)
            .args(words.split(' '))
            .output()
            .expect("openssl is missing; run: apt-get install -y --no-install-recommends openssl");
        assert!(done.status.success(), "{words:?}\n{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).unwrap()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.folder.join(name), content).unwrap();
    }

    /// Files of one after the other.
    pub fn join(&self, name: &str, parts: &[&str]) {
        let all: Vec<u8> = parts.iter().flat_map(|part| self.bytes(part)).collect();
        self.write(name, all);
    }

    /// The certificate's digest as OpenSSL prints it, in the form that a JWT has.
    pub fn thumbprint(&self, certificate: &str, hash: &str) -> String {
        let printed = self.openssl(&format!("x509 -in {certificate} -noout -fingerprint -{hash}"));
        let hex = printed.trim().rsplit('=').next().unwrap().replace(':', "");
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Makes `cert.pem` anew, with these dates.
    #[track_caller]
    pub fn certify(&self, from: &str, until: &str) {
        self.write("index", "");
        self.write(
            "config",
            "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n\
             policy=any\nunique_subject=no\n[any]\ncommonName=supplied\n",
        );
        self.openssl("req -new -key key.pem -out old.csr -subj /CN=old");
        self.openssl(&format!(
            "ca -batch -notext -selfsign -config config -keyfile key.pem -in old.csr -out cert.pem -startdate {from} \
             -enddate {until}"
        ));
    }

    /// Has OpenSSL sign data, as PS256 or RS256 or with options of its own.
    #[track_caller]
    pub fn sign(&self, key: &str, algorithm: &str, data: &[u8]) -> Vec<u8> {
        self.write("to-sign", data);
        let padding = match algorithm {
            "PS256" => PSS,
            "RS256" => PKCS1,
            options => options,
        };
        self.openssl(&format!("dgst -sha256 -sign {key}{padding} -out made to-sign"));
        self.bytes("made")
    }

    /// Has OpenSSL verify a JWT with the key of `cert.pem`; its header and claims.
    #[track_caller]
    pub fn verify(&self, jwt: &str) -> (Value, Value) {
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let header: Value = serde_json::from_slice(&decode(header)).unwrap();
        let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
        self.write("signed", signed);
        self.write("signature", decode(signature));
        let public = self.openssl("x509 -in cert.pem -noout -pubkey");
        self.write("public.pem", public);
        let padding = match header["alg"].as_str().unwrap() {
            "PS256" => PSS,
            "RS256" => PKCS1,
            other => panic!("{other}"),
        };
        let said = self.openssl(&format!(
            "dgst -sha256 -verify public.pem{padding} -signature signature signed"
        ));
        assert_eq!(said.trim(), "Verified OK");
        (header, claims)
    }
}

const PSS: &str = " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest";
const PKCS1: &str = " -sigopt rsa_padding_mode:pkcs1";

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
