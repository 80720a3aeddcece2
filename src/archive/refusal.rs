//! What it means when a store refuses, by the codes of its answer: one table.
//!
//! Invariant: a status says less than a code. The same wrong key is 401, 403 or 404, as the store has it.

use super::store_error::StoreErrorKind;

/// How stores refuse one thing.
struct Refusal {
    /// Its codes. One that ends with '.' stands for all that begin so.
    codes: &'static [&'static str],
    kind: StoreErrorKind,
    /// What people should know beside the store's own words.
    meaning: &'static str,
}

const REFUSALS: [Refusal; 9] = [
    Refusal { codes: &["NoSuchBucket", "ContainerNotFound"], kind: StoreErrorKind::NoBucket, meaning: "" },
    // versitygw says the first of these with HTTP 404: a wrong key was "no such bucket", for which local logs stay unpurged.
    Refusal {
        codes: &["XAdminUserNotFound", "InvalidAccessKeyId", "InvalidSecurity", "NotSignedUp", "AccountProblem"],
        kind: StoreErrorKind::Denied,
        meaning: "the store does not know this access key",
    },
    Refusal {
        codes: &["ExpiredToken", "InvalidToken", "TokenRefreshRequired"],
        kind: StoreErrorKind::Denied,
        meaning: "the token that came with the access key is over or wrong",
    },
    Refusal {
        codes: &["RequestTimeTooSkewed"],
        kind: StoreErrorKind::Denied,
        meaning: "the clock of this machine or of the store is wrong",
    },
    Refusal {
        codes: &["KMS."],
        kind: StoreErrorKind::Denied,
        meaning: "the key with which the store encrypts cannot be used",
    },
    Refusal {
        codes: &["AccessDenied", "SignatureDoesNotMatch", "AuthenticationFailed", "AuthorizationFailure"],
        kind: StoreErrorKind::Denied,
        meaning: "",
    },
    // Some say it with 403, as if a right were missing.
    Refusal {
        codes: &["QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage"],
        kind: StoreErrorKind::Unavailable,
        meaning: FULL,
    },
    Refusal {
        codes: &[
            "AuthorizationHeaderMalformed",
            "PermanentRedirect",
            "TemporaryRedirect",
            "IllegalLocationConstraintException",
        ],
        kind: StoreErrorKind::NoAddress,
        meaning: "is the region right? It is region, for commands AWS_REGION",
    },
    Refusal {
        codes: &["SecondLevelDomainForbidden"],
        kind: StoreErrorKind::NoAddress,
        meaning: "this store takes the bucket's name only as a part of the host (virtual-hosted style), and Menagerie puts it into the \
                  path: such a store is not supported",
    },
];

/// What a store that is full has to be told of.
const FULL: &str = "the store is full, or its quota is used up";

/// How a store is to be understood that refuses without a code of its own.
const STATUSES: [(&str, StoreErrorKind, &str); 2] = [
    ("507 Insufficient Storage", StoreErrorKind::Unavailable, FULL),
    // The library's words: a store of Amazon's sends whoever asks in the wrong region away, without saying where to.
    (
        "redirect without LOCATION",
        StoreErrorKind::NoAddress,
        "the store sends it elsewhere without saying where to: correct region or endpoint (for commands AWS_REGION or AWS_ENDPOINT_URL)",
    ),
];

/// What it means beside the store's own words.
pub(super) struct Meaning {
    pub(super) kind: StoreErrorKind,
    /// May be empty.
    pub(super) words: String,
}

impl Meaning {
    /// Of a store without room.
    pub(super) fn full() -> Self {
        Self { kind: StoreErrorKind::Unavailable, words: FULL.to_owned() }
    }
}

/// What a code means; `None` for one that is not in the table. `text` is all of the answer.
pub(super) fn of_code(code: &str, text: &str) -> Option<Meaning> {
    let is = |known: &str| if known.ends_with('.') { code.starts_with(known) } else { code == known };
    let Refusal { kind, meaning, .. } = REFUSALS.iter().find(|refusal| refusal.codes.iter().any(|known| is(known)))?;
    let words = match region(text) {
        Some(region) if *kind == StoreErrorKind::NoAddress => {
            format!("the bucket is in the region {region}: set region, for commands AWS_REGION")
        }
        _ => (*meaning).to_owned(),
    };
    Some(Meaning { kind: *kind, words })
}

/// What the answer of a store without a code means.
pub(super) fn of_status(text: &str) -> Option<Meaning> {
    let (_, kind, words) = STATUSES.iter().find(|(status, ..)| text.contains(status))?;
    Some(Meaning { kind: *kind, words: (*words).to_owned() })
}

/// The region that the store names in its answer.
fn region(text: &str) -> Option<&str> {
    let told = || Some(text.split_once("<Region>")?.1.split_once("</Region>")?.0);
    let expected = || Some(text.split_once("expecting '")?.1.split_once('\'')?.0);
    let is_region = |region: &&str| {
        !region.is_empty()
            && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    told().filter(is_region).or_else(|| expected().filter(is_region))
}

/// Whether a put is refused because it has no checksum: a bucket whose objects are locked wants one.
pub(super) fn wants_checksum(text: &str) -> bool {
    let code = |code: &str| text.contains(&format!("<Code>{code}</Code>"));
    let named = || ["x-amz-checksum", "Content-MD5", "Content-Md5"].iter().any(|header| text.contains(header));
    code("MissingContentMD5") || (code("InvalidRequest") && named())
}

/// What the library says of a connection, and what that means.
const CONNECTIONS: [(&str, &str); 4] = [
    ("invalid peer certificate: UnknownIssuer", NOT_TRUSTED),
    // A CA whose name is known, with another key.
    ("invalid peer certificate: BadSignature", NOT_TRUSTED),
    (
        "CaUsedAsEndEntity",
        "its certificate is that of a CA (self-signed): give the store a certificate for a server, signed by that CA",
    ),
    ("InvalidContentType", "what it answers is no TLS: does it speak http://?"),
];
const NOT_TRUSTED: &str =
    "its certificate is of no CA that is trusted here: name that CA (ca; for commands AWS_CA_BUNDLE or SSL_CERT_FILE)";

/// Why no connection was made; `None` where the library's own words say it.
pub(super) fn of_connection(text: &str) -> Option<&'static str> {
    let plain = text.contains("http://") && text.contains("connection closed before message completed");
    let known = CONNECTIONS.iter().find(|(words, _)| text.contains(words)).map(|(_, meaning)| *meaning);
    known.or_else(|| plain.then_some("it ends the connection without an answer: does it speak https://?"))
}

#[cfg(test)]
mod tests {
    use crate::archive::store_error::{StoreError, StoreErrorKind};

    fn told(status: &str, code: &str, message: &str) -> StoreError {
        let text = format!(
            "Server returned non-2xx status code: {status}: <?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        );
        let error = if status.starts_with("404") {
            object_store::Error::NotFound { path: "x".to_owned(), source: text.into() }
        } else if status.starts_with("403") {
            object_store::Error::PermissionDenied { path: "x".to_owned(), source: text.into() }
        } else {
            object_store::Error::Generic { store: "S3", source: text.into() }
        };
        StoreError::of("store", "s3://b/x", &error).of_put()
    }

    /// At versitygw it was `NoSuchBucket`.
    #[test]
    fn a_key_or_token_that_the_store_does_not_take_is_denied_whatever_the_status() {
        for (status, code, words) in [
            ("404 Not Found", "XAdminUserNotFound", "does not know this access key"),
            ("403 Forbidden", "InvalidAccessKeyId", "does not know this access key"),
            ("400 Bad Request", "InvalidToken", "token"),
            ("400 Bad Request", "ExpiredToken", "token"),
            ("400 Bad Request", "KMS.DisabledException", "encrypts"),
            ("400 Bad Request", "KMS.NotFoundException", "encrypts"),
            ("403 Forbidden", "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
        ] {
            let error = told(status, code, "m");
            assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
            assert!(error.to_string().contains(words) && !error.to_string().contains("bucket"), "{error}");
        }
    }

    #[test]
    fn a_404_is_a_missing_bucket_only_where_the_store_says_bucket() {
        assert_eq!(told("404 Not Found", "NoSuchBucket", "m").kind, StoreErrorKind::NoBucket);
        assert_eq!(told("404 Not Found", "ContainerNotFound", "m").kind, StoreErrorKind::NoBucket);
        let error = told("404 Not Found", "NoSuchThing", "m");
        assert_eq!(error.kind, StoreErrorKind::Missing, "{error}");
        assert!(error.to_string().contains("is its address that of a store?"), "{error}");
    }

    #[test]
    fn a_store_that_is_full_misses_no_right() {
        for (status, code) in [
            ("403 Forbidden", "QuotaExceeded"),
            ("507 Insufficient Storage", "XMinioStorageFull"),
            ("507 Insufficient Storage", "Other"),
            ("400 Bad Request", "XMinioAdminBucketQuotaExceeded"),
        ] {
            let error = told(status, code, "m");
            assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains("the store is full, or its quota is used up"), "{error}");
        }
    }

    #[test]
    fn a_wrong_region_is_named_with_the_one_that_the_store_tells() {
        let message =
            "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'";
        let error = told("400 Bad Request", "AuthorizationHeaderMalformed", message);
        assert_eq!(error.kind, StoreErrorKind::NoAddress);
        let words = "the bucket is in the region eu-central-1: set region, for commands AWS_REGION";
        assert!(error.to_string().contains(words), "{error}");
        let error = told("400 Bad Request", "AuthorizationHeaderMalformed", "expecting 'a b'");
        assert!(error.to_string().contains("is the region right?"), "{error}");
        let text = "Received redirect without LOCATION, this normally indicates an incorrectly configured region";
        let error =
            StoreError::of("list", "s3://b", &object_store::Error::Generic { store: "S3", source: text.into() });
        assert_eq!(error.kind, StoreErrorKind::NoAddress);
        assert!(error.to_string().contains("correct region or endpoint"), "{error}");
    }

    #[test]
    fn a_style_of_addresses_that_is_not_ours_is_named() {
        let error = told("403 Forbidden", "SecondLevelDomainForbidden", "m");
        assert_eq!(error.kind, StoreErrorKind::NoAddress);
        assert!(error.to_string().contains("virtual-hosted style"), "{error}");
    }

    #[test]
    fn what_a_connection_fails_by_is_a_sentence() {
        for (text, words) in [
            ("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", "its certificate is that of a CA"),
            ("received corrupt message of type InvalidContentType", "does it speak http://?"),
            (
                "error sending request for url (http://h/): connection closed before message completed",
                "does it speak https://?",
            ),
        ] {
            let error =
                StoreError::of("list", "s3://b", &object_store::Error::Generic { store: "S3", source: text.into() });
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
