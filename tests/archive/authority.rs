//! A CA of our own, and a certificate of it for a store.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// A name that nobody resolves: only a proxy leads there.
pub const HOST: &str = "store.invalid";

pub struct Authority {
    folder: TempDir,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new([]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = ca.self_signed(&key).unwrap().pem();
        let own = KeyPair::generate().unwrap();
        let names = CertificateParams::new([HOST.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = names.signed_by(&own, &Issuer::from_params(&ca, &key)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("ca.crt", &pem), ("tls.crt", &certificate.pem()), ("tls.key", &own.serialize_pem())] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder, pem }
    }

    /// The folder with `ca.crt`.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The files of the store's certificate and its key.
    pub fn tls(&self) -> (PathBuf, PathBuf) {
        let file = |name: &str| self.folder.path().join(name);
        (file("tls.crt"), file("tls.key"))
    }
}
