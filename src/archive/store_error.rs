//! Why a store did not do what it was asked, in its own words, and what that means.

use std::error::Error;

use super::refusal::{self, Meaning};
use crate::model::bounded::words;

/// How the store's own words begin.
const SAYS: &str = "the store says";
/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {target}: {why}")]
pub struct StoreError {
    /// What kind of answer that is.
    pub kind: StoreErrorKind,
    pub(super) doing: String,
    pub(super) target: String,
    pub(super) why: String,
}

/// What a store's refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// There is no such folder or object.
    Missing,
    /// The store has no such bucket.
    NoBucket,
    /// There are no keys, and neither the pod nor the machine has an identity of its own.
    NoCredentials,
    /// A right is missing, or the credentials are wrong.
    Denied,
    /// It does not know what it was asked for.
    NotImplemented,
    /// It has more bytes than any object of ours.
    TooLarge,
    /// The certificates of CAs that are to be trusted are missing, or are none.
    NoCa,
    /// It is encrypted with a key that is not there, or none is there that encrypts.
    NoKey,
    /// It is not encrypted, and has to be.
    NotSealed,
    /// It is not as it was encrypted.
    Changed,
    /// Where it is, is not said as it has to be.
    NoAddress,
    /// Anything else: no answer, an error of the store, a timeout.
    Unavailable,
}

impl StoreError {
    /// Whether an object is there, and is not sealed as it has to be, or by nobody who is known.
    pub fn is_unopened(&self) -> bool {
        matches!(self.kind, StoreErrorKind::NoKey | StoreErrorKind::NotSealed | StoreErrorKind::Changed)
    }

    /// Whether it may be the object's alone that was asked for: one right is missing, or it is frozen, or none of ours.
    pub fn is_of_one_object(&self) -> bool {
        self.is_unopened() || matches!(self.kind, StoreErrorKind::Denied | StoreErrorKind::TooLarge)
    }
}

/// Where the library looks for credentials when there are no others: the metadata address of the machine, which most machines have not.
const METADATA: [&str; 4] =
    ["/latest/api/token", "/latest/meta-data/", "/computeMetadata/v1/", "/metadata/identity/oauth2/token"];
const NO_CREDENTIALS: &str = "there are no credentials";
/// What gives them to a pod.
const FOR_PODS: &str = "there are no credentials: set credentialsSecret, or give the pods' service account an identity that the store knows";
const ASKED: &str = "the metadata address of the machine was asked and gives none";

/// What the library says where it asks for a token, and with which answers none is given: the account or its key is gone.
const TOKEN: &str = "token request";
const TOKEN_REFUSED: [&str; 3] = ["400 Bad Request", "401 Unauthorized", "403 Forbidden"];
impl StoreError {
    /// What an error of the library means.
    pub(super) fn of(doing: &str, target: &str, error: &object_store::Error) -> Self {
        use object_store::Error::{NotFound, NotImplemented, PermissionDenied, Unauthenticated};
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            let text = next.to_string();
            if !why.contains(&text) {
                why = format!("{why}: {text}");
            }
            cause = next.source();
        }
        // Of a file: the library has no kind for that.
        let forbidden = target.starts_with("file://") && is_forbidden(error);
        let full = target.starts_with("file://") && is_full(error);
        let meaning = code(&why).and_then(|code| refusal::of_code(code, &why));
        let meaning = meaning.or_else(|| refusal::of_status(&why)).or_else(|| full.then(Meaning::full));
        let (meant, meaning) = meaning.map(|Meaning { kind, words }| (kind, words)).unzip();
        // A refused list is a generic error, with the store's answer in its text.
        let of_library = || match error {
            _ if why.contains(TOKEN) && TOKEN_REFUSED.iter().any(|status| why.contains(status)) => {
                StoreErrorKind::Denied
            }
            NotFound { .. } => StoreErrorKind::Missing,
            NotImplemented { .. } => StoreErrorKind::NotImplemented,
            PermissionDenied { .. } | Unauthenticated { .. } => StoreErrorKind::Denied,
            _ if forbidden => StoreErrorKind::Denied,
            _ if undeleted(&why).is_some_and(|(code, _)| LOCKED.contains(&code)) => StoreErrorKind::Denied,
            _ if why.contains("403 Forbidden") || why.contains("401 Unauthorized") => StoreErrorKind::Denied,
            _ if why.contains("501 Not Implemented") => StoreErrorKind::NotImplemented,
            _ if why.contains("404 Not Found") => StoreErrorKind::Missing,
            _ => StoreErrorKind::Unavailable,
        };
        let kind = if METADATA.iter().any(|path| why.contains(path)) {
            StoreErrorKind::NoCredentials
        } else {
            meant.unwrap_or_else(of_library)
        };
        let in_list = || undeleted(&why).map(|(code, reason)| format!("{SAYS} {code}: {reason}"));
        let connection = refusal::of_connection(&why);
        let why = said(&why).or_else(in_list).or_else(|| asked(error)).unwrap_or(why);
        let why = match (kind, meaning.filter(|words| !words.is_empty()), connection) {
            (StoreErrorKind::NoCredentials, ..) => format!("{NO_CREDENTIALS}; {ASKED}: {why}"),
            (_, Some(words), _) if why.starts_with(SAYS) => format!("{} ({words})", short(&why)),
            (_, Some(words), _) => format!("{words}: {why}"),
            (_, None, Some(words)) => format!("{words}: {why}"),
            (_, None, None) => why,
        };
        Self { kind, doing: format!("cannot {doing}"), target: target.to_owned(), why: words(&why) }
    }

    /// The same, of a put: what is missing where something is to be stored is no object. What it is, only a code tells.
    pub(super) fn of_put(self) -> Self {
        match self.kind {
            StoreErrorKind::Missing if !self.target.starts_with("file://") => {
                let why =
                    words(&format!("nothing is there to store it in: is its address that of a store? {}", self.why));
                Self { why, ..self }
            }
            _ => self,
        }
    }

    /// The same, for those who look after pods.
    pub(super) fn of_pods(self) -> Self {
        match self.kind {
            StoreErrorKind::NoCredentials => {
                Self { why: words(&self.why.replacen(NO_CREDENTIALS, FOR_PODS, 1)), ..self }
            }
            _ => self,
        }
    }

    /// The same, of a put that told the store how to encrypt: whether it is that what it refuses. `plain`: there was nothing else that it
    /// may not know.
    pub(super) fn of_encryption(self, plain: bool) -> Self {
        let why = self.why.to_lowercase();
        let named = why.starts_with(SAYS) && ["kms", "encrypt"].iter().any(|word| why.contains(word));
        if named || (plain && self.kind == StoreErrorKind::NotImplemented) {
            let why = format!("the store does not encrypt as `encryption` says: {}", self.why);
            return Self { kind: StoreErrorKind::Denied, why: words(&why), ..self };
        }
        self
    }

    /// The same with where the store was looked for, if it did not answer.
    pub(super) fn at(self, looked: Option<&str>) -> Self {
        match looked {
            Some(looked) if self.kind == StoreErrorKind::Unavailable && !self.why.starts_with(SAYS) => {
                Self { target: format!("{} {looked}", self.target), ..self }
            }
            _ => self,
        }
    }
}

/// Whether the system denies it.
fn is_forbidden(error: &object_store::Error) -> bool {
    is_of_system(error, &[std::io::ErrorKind::PermissionDenied])
}

/// Whether the system has no room for it.
fn is_full(error: &object_store::Error) -> bool {
    is_of_system(error, &[std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded])
}

fn is_of_system(error: &object_store::Error, kinds: &[std::io::ErrorKind]) -> bool {
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(cause) = next {
        let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if kind.is_some_and(|kind| kinds.contains(&kind)) {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Why a request failed, the innermost cause first: its address and its retries come before the cause in the library's words, and
/// [`words`] would cut the cause off. `None` where no address is in them.
fn asked(error: &object_store::Error) -> Option<String> {
    let mut texts = Vec::new();
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    if !texts.iter().any(|text| text.contains("://")) {
        return None;
    }
    let mut causes: Vec<&str> = Vec::new();
    for text in texts.iter().rev().filter(|text| !text.contains("://")) {
        if !text.trim().is_empty() && !causes.iter().any(|inner| text.contains(inner)) {
            causes.push(text);
        }
    }
    if !causes.is_empty() {
        return Some(causes.join(", "));
    }
    let innermost = texts.last()?.split_whitespace().filter(|word| !word.contains("://"));
    Some(innermost.collect::<Vec<_>>().join(" "))
}

/// With which codes an object is not deleted that is locked, or for which the right is missing.
const LOCKED: [&str; 3] = ["401", "403", "409"];

/// The code and the reason of a delete that Azure refuses: its answer to one is a list.
fn undeleted(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once("Bulk delete request failed for key ")?;
    let (reason, code) = rest.split_once(": ")?.1.rsplit_once(" (code: ")?;
    Some((code.split_once(')')?.0, reason))
}

/// The code of a store's answer, which all of them write as S3 does.
fn code(text: &str) -> Option<&str> {
    Some(text.split_once("<Code>")?.1.split_once("</Code>")?.0)
}

/// What the store itself says in its answer: its code and message.
fn said(text: &str) -> Option<String> {
    let message = || Some(text.split_once("<Message>")?.1.split_once("</Message>")?.0);
    // Azure goes on with the number and the time of the request: a condition would be another one each time.
    let message = message().and_then(|message| message.lines().next()).unwrap_or_default();
    Some(format!("{SAYS} {}: {}", unescaped(code(text)?), unescaped(message)))
}

/// A store's words, so short that what they mean is not cut off.
fn short(words: &str) -> String {
    const MOST: usize = 150;
    if words.len() <= MOST {
        return words.to_owned();
    }
    let end = (0..=MOST).rev().find(|&end| words.is_char_boundary(end)).unwrap_or_default();
    format!("{}…", &words[..end])
}

/// Text of XML as it is meant.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        // No entity of one character is longer than `#1114111`.
        let entity = after.find(';').filter(|&end| end <= 8).map(|end| (&after[..end], &after[end + 1..]));
        let known = entity.and_then(|(name, after)| Some((character(name)?, after)));
        let (character, after) = known.unwrap_or(('&', after));
        plain.push(character);
        rest = after;
    }
    plain.push_str(rest);
    plain
}

fn character(entity: &str) -> Option<char> {
    let number = match entity {
        "amp" => return Some('&'),
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        other => other.strip_prefix('#')?,
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    char::from_u32(code.ok()?)
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[test]
    fn the_words_of_a_store_are_its_own_code_and_message() {
        let text = "Generic S3 error: GET http://h/b?x - Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?><Error><Code>RequestTimeTooSkewed</Code><Message>too far</Message></Error>";
        let source = text.to_owned().into();
        let error = StoreError::of("list", "s3://b", &object_store::Error::Generic { store: "S3", source });
        assert_eq!(error.kind, StoreErrorKind::Denied);
        let want = "cannot list s3://b: the store says RequestTimeTooSkewed: too far (the clock of this machine or of the store is wrong)";
        assert_eq!(error.to_string(), want);
        assert_eq!(said("connection refused"), None);
    }

    #[test]
    fn what_a_store_escapes_is_said_as_it_is_meant() {
        let text = "<Code>InvalidArgument</Code><Message>&#34;a&#x26;&#38;b&quot; &lt;&gt;&apos;&amp;lt; &nbsp; & &#xD800; &#99999999999; &;</Message>";
        let want = "the store says InvalidArgument: \"a&&b\" <>'&lt; &nbsp; & &#xD800; &#99999999999; &;";
        assert_eq!(said(text).unwrap(), want);
    }

    #[test]
    fn a_delete_that_azure_refuses_in_a_list_is_a_missing_right_or_a_lock() {
        let error = |code: u16| {
            let text =
                format!("Bulk delete request failed for key zk/a: This request is not authorized. (code: {code})");
            StoreError::of(
                "delete",
                "az://a/b",
                &object_store::Error::Generic { store: "MicrosoftAzure", source: text.into() },
            )
        };
        for (code, kind) in
            [(403, StoreErrorKind::Denied), (409, StoreErrorKind::Denied), (503, StoreErrorKind::Unavailable)]
        {
            let error = error(code);
            let want = format!("cannot delete az://a/b: the store says {code}: This request is not authorized.");
            assert_eq!((error.kind, error.to_string()), (kind, want));
        }
    }

    #[test]
    fn whoever_gets_no_token_for_its_key_is_refused_and_a_token_server_that_fails_is_none() {
        let kind = |status: &str| {
            let text =
                format!("Error performing token request: Server returned non-2xx status code: {status}: invalid_grant");
            StoreError::of("list", "gs://b", &object_store::Error::Generic { store: "GCS", source: text.into() }).kind
        };
        assert_eq!(kind("400 Bad Request"), StoreErrorKind::Denied);
        assert_eq!(kind("503 Service Unavailable"), StoreErrorKind::Unavailable);
    }

    #[test]
    fn a_store_that_does_not_answer_is_named_by_its_address() {
        let error = |text: &str| {
            let source = text.to_owned().into();
            let error = object_store::Error::Generic { store: "S3", source };
            StoreError::of("list", "s3://b", &error).at(Some("at minio:9000")).to_string()
        };
        assert_eq!(
            error("connection refused"),
            "cannot list s3://b at minio:9000: Generic S3 error: connection refused"
        );
        assert!(error("500: <Code>InternalError</Code>").starts_with("cannot list s3://b: the store says"));
    }

    #[test]
    fn a_file_that_may_not_be_read_is_refused_and_a_connection_that_the_system_forbids_is_not() {
        let kind = |target: &str| {
            let source = Box::new(std::io::Error::from(std::io::ErrorKind::PermissionDenied));
            StoreError::of("read", target, &object_store::Error::Generic { store: "any", source }).kind
        };
        assert_eq!(kind("file:///archive/a"), StoreErrorKind::Denied);
        assert_eq!(kind("s3://archive/a"), StoreErrorKind::Unavailable);
    }

    /// One error around another.
    #[derive(Debug)]
    struct Around(String, Option<Box<Around>>);

    impl fmt::Display for Around {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }
    }

    impl Error for Around {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|inner| inner as &dyn Error)
        }
    }

    /// Both agent and founder said that the store does not answer.
    #[test]
    fn who_has_no_credentials_is_told_so_and_not_of_an_address_that_nobody_has_set() {
        let url = "http://169.254.169.254/latest/api/token";
        let text = format!(
            "Error performing PUT {url} in 30s, after 3 retries, max_retries: 3, retry_timeout: 30s  - HTTP error: error sending request"
        );
        let error =
            StoreError::of("store", "s3://b/x", &object_store::Error::Generic { store: "S3", source: text.into() });
        assert_eq!(error.kind, StoreErrorKind::NoCredentials);
        assert!(error.to_string().starts_with("cannot store s3://b/x: there are no credentials"), "{error}");
        assert!(!error.to_string().contains("169.254") && !error.to_string().contains("credentialsSecret"), "{error}");
        assert!(error.of_pods().to_string().contains("set credentialsSecret"), "the words of pods are not for a shell");
    }

    #[test]
    fn a_bucket_that_is_not_there_is_told_from_a_store_that_does_not_answer() {
        let text = "Client error with status 404 Not Found: <?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";
        let not_found = object_store::Error::NotFound { path: "x".to_owned(), source: text.into() };
        let listed = object_store::Error::Generic { store: "S3", source: text.into() };
        for error in [not_found, listed] {
            let error = StoreError::of("store", "s3://b/x", &error);
            assert_eq!(error.kind, StoreErrorKind::NoBucket);
            assert_eq!(
                error.to_string(),
                "cannot store s3://b/x: the store says NoSuchBucket: The specified bucket does not exist"
            );
        }
    }

    /// It was cut within the address of the request: nobody saw whether it was the name, the port or the certificate.
    #[test]
    fn the_innermost_cause_of_a_failed_request_comes_before_what_is_cut() {
        let url = format!("http://minio.storage.svc:9000/backups?delimiter=%2F&prefix={}", "4c52".repeat(100));
        let texts = [
            "Error performing list request".to_owned(),
            format!(
                "Error performing GET {url} in 45s, after 3 retries, max_retries: 3, retry_timeout: 30s  - HTTP error"
            ),
            "HTTP error: error sending request".to_owned(),
            "error sending request".to_owned(),
            format!("error sending request for url ({url})"),
            "client error (Connect)".to_owned(),
            "dns error".to_owned(),
            "failed to lookup address information: Name or service not known".to_owned(),
        ];
        let chain = texts.into_iter().rev().fold(None, |inner, text| Some(Box::new(Around(text, inner))));
        let error = object_store::Error::Generic { store: "S3", source: chain.unwrap() };
        let error = StoreError::of("list", "s3://backups/4c52", &error).to_string();
        let want = "cannot list s3://backups/4c52: failed to lookup address information: Name or service not known, dns error, ";
        assert!(error.starts_with(want), "{error}");
        assert!(!error.contains("://minio") && !error.contains("retries"), "{error}");
    }

    #[test]
    fn a_cause_with_an_address_in_it_is_said_without_the_address() {
        let source = "GET http://h/b?x - Server returned status 500".to_owned().into();
        let error = StoreError::of("list", "s3://b", &object_store::Error::Generic { store: "S3", source });
        assert!(!error.to_string().contains("http://h"), "{error}");
        assert!(error.to_string().contains("Server returned status 500"), "{error}");
    }
}
