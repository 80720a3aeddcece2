//! Certificates of CAs that are trusted beside the public ones.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use object_store::Certificate;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// No `ConfigMap` or Secret holds more.
const LARGEST: u64 = 1 << 20;

/// Certificates of CAs, at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct Ca(Vec<CertificateDer<'static>>);

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ca({} certificates)", self.0.len())
    }
}

impl Ca {
    /// Reads them from a file of PEM. What is wrong begins as a sentence about the file goes on.
    pub fn read(path: &Path) -> Result<Self, String> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        read.map_err(|error| format!("cannot be read: {error}"))?;
        if bytes.len() as u64 > LARGEST {
            return Err(format!("has more than {LARGEST} bytes"));
        }
        Self::of(&bytes)
    }

    /// Those of a text of PEM. Other things in it, such as a key, are passed over.
    pub fn of(pem: &[u8]) -> Result<Self, String> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        // What the text is may be a secret by mistake: it is not repeated.
        let found = found.map_err(|_| "is no PEM (-----BEGIN CERTIFICATE-----)".to_owned())?;
        if found.is_empty() {
            return Err("has no certificate as PEM (-----BEGIN CERTIFICATE-----)".to_owned());
        }
        let mut roots = RootCertStore::empty();
        for (number, certificate) in found.iter().enumerate() {
            let wrong = |error| format!("has as certificate {} one that cannot be trusted: {error}", number + 1);
            roots.add(certificate.clone()).map_err(wrong)?;
        }
        Ok(Self(found))
    }

    /// As the library takes them.
    pub(super) fn certificates(&self) -> impl Iterator<Item = object_store::Result<Certificate>> {
        self.0.iter().map(|certificate| Certificate::from_der(certificate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_in_words_that_repeat_nothing_of_it() {
        for (text, words) in [
            ("", "has no certificate"),
            ("hunter2", "has no certificate"),
            ("-----BEGIN PRIVATE KEY-----\nMQ==\n-----END PRIVATE KEY-----\n", "has no certificate"),
            ("-----BEGIN CERTIFICATE-----\nhunter2!\n-----END CERTIFICATE-----\n", "is no PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nMQ==\n-----END CERTIFICATE-----\n",
                "certificate 1 one that cannot be trusted",
            ),
        ] {
            let error = Ca::of(text.as_bytes()).unwrap_err();
            assert!(error.contains(words) && !error.contains("hunter2"), "{text}: {error}");
        }
        assert!(Ca::read(Path::new("/nowhere/ca.crt")).unwrap_err().starts_with("cannot be read: "));
    }
}
