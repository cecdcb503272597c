//! Certificates for servers that speak TLS.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::paths::temporary_folder;

/// A certificate authority of one test.
#[derive(Debug)]
pub struct Authority {
    files: TempDir,
}

/// A server's certificate.
#[derive(Debug)]
pub struct Leaf {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A new key without a password.
const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

impl Authority {
    /// Makes one.
    ///
    /// # Panics
    /// When `openssl` cannot.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let files = temporary_folder();
        let subject = format!("/CN={name}");
        let mut arguments = vec!["req", "-x509", "-days", "2", "-subj", &subject];
        arguments.extend(NEW_KEY);
        arguments.extend(["-keyout", "ca.key", "-out", "ca.pem"]);
        openssl(files.path(), &arguments);
        Self { files }
    }

    /// Its own certificate, for whoever is to trust it.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.files.path().join("ca.pem")
    }

    /// Issues a certificate for 127.0.0.1. It is no authority itself, which clients insist on.
    ///
    /// # Panics
    /// When `openssl` cannot.
    #[must_use]
    pub fn issue(&self) -> Leaf {
        self.issue_for(Ipv4Addr::LOCALHOST.into())
    }

    /// Issues a certificate for an address.
    ///
    /// # Panics
    /// When `openssl` cannot.
    #[must_use]
    pub fn issue_for(&self, address: IpAddr) -> Leaf {
        let folder = self.files.path();
        let mut arguments = vec!["req", "-new", "-subj", "/CN=backend"];
        arguments.extend(NEW_KEY);
        arguments.extend(["-keyout", "leaf.key", "-out", "leaf.csr"]);
        openssl(folder, &arguments);
        let extensions = format!("subjectAltName=IP:{address}\nbasicConstraints=CA:FALSE\n");
        fs::write(folder.join("leaf.ext"), extensions).expect("the folder is writable");
        let of_authority = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        let mut arguments = vec!["x509", "-req", "-days", "2", "-in", "leaf.csr"];
        arguments.extend(of_authority);
        arguments.extend(["-extfile", "leaf.ext", "-out", "leaf.pem"]);
        openssl(folder, &arguments);
        Leaf { certificate: folder.join("leaf.pem"), key: folder.join("leaf.key") }
    }
}

/// Runs `openssl` in a folder and gives what it prints.
///
/// # Panics
/// When it cannot do it.
#[expect(clippy::must_use_candidate, reason = "most of what it does is files")]
pub fn openssl(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let made = Command::new("openssl").current_dir(folder).args(arguments).output();
    let made = made.expect("openssl is there: run `make setup-test`");
    assert!(made.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}
