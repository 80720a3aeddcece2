//! Four-letter words: `ruok` answers without a quorum, `conf` ends with the membership that the server believes in.
//!
//! Invariant: a server that does not serve, or does not allow the word, gives an error, never an empty answer.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What a server answers to most words as long as it is not part of a quorum; `AdminServer` uses the same text.
pub const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

const NOT_ALLOWED: &str = "is not executed because it is not in the whitelist";

/// 255 servers of 200 characters are 51 KB.
const LIMIT: u64 = 256 << 10;

/// Why a word has no answer.
#[derive(Debug, thiserror::Error)]
pub enum FourLetterError {
    /// Nothing listens there.
    #[error("{word} at {address}: connection refused")]
    Refused {
        /// The word.
        word: String,
        /// Who was asked.
        address: String,
    },
    /// It took too long.
    #[error("{word} at {address}: no answer within {} ms", limit.as_millis())]
    Timeout {
        /// The word.
        word: String,
        /// Who was asked.
        address: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The connection could not be made, or broke off.
    #[error("{word} at {address}: {source}")]
    Broken {
        /// The word.
        word: String,
        /// Who was asked.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// It runs and does not serve.
    #[error("{word} at {address}: the server is not serving")]
    NotServing {
        /// The word.
        word: String,
        /// Who was asked.
        address: String,
    },
    /// The answer is not what this word is answered with.
    #[error("{word} at {address}: unexpected answer {answer:?}")]
    Unexpected {
        /// The word.
        word: String,
        /// Who was asked.
        address: String,
        /// Its first line.
        answer: String,
    },
}

/// Whether the server at `address` answers at all; it does so without a quorum as well.
pub async fn ruok(address: &str, limit: Duration) -> Result<(), FourLetterError> {
    let answer = ask(address, "ruok", limit).await?;
    if answer.trim_end() == "imok" { Ok(()) } else { Err(unexpected("ruok", address, &answer)) }
}

/// Text of the membership that the server at `address` believes in, its version included.
pub async fn membership(address: &str, limit: Duration) -> Result<String, FourLetterError> {
    let answer = ask(address, "conf", limit).await?;
    membership_in(&answer).map(str::to_owned).ok_or_else(|| unexpected("conf", address, &answer))
}

fn membership_in(conf: &str) -> Option<&str> {
    let (_, text) = conf.split_once("\nmembership:")?;
    Some(text.trim()).filter(|text| text.contains("version="))
}

async fn ask(address: &str, word: &str, limit: Duration) -> Result<String, FourLetterError> {
    let named = || (word.to_owned(), address.to_owned());
    let answer = match timeout(limit, exchange(address, word)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(source)) => {
            let (word, address) = named();
            return Err(match source.kind() {
                io::ErrorKind::ConnectionRefused => FourLetterError::Refused { word, address },
                _ => FourLetterError::Broken { word, address, source },
            });
        }
        Err(_) => {
            let (word, address) = named();
            return Err(FourLetterError::Timeout { word, address, limit });
        }
    };
    if answer.starts_with(NOT_SERVING) {
        let (word, address) = named();
        return Err(FourLetterError::NotServing { word, address });
    }
    if answer.is_empty() || answer.contains(NOT_ALLOWED) {
        return Err(unexpected(word, address, &answer));
    }
    Ok(answer)
}

async fn exchange(address: &str, word: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(word.as_bytes()).await?;
    let mut answer = Vec::new();
    socket.take(LIMIT).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn unexpected(word: &str, address: &str, answer: &str) -> FourLetterError {
    let answer = answer.lines().next().unwrap_or_default().chars().take(200).collect();
    FourLetterError::Unexpected { word: word.to_owned(), address: address.to_owned(), answer }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const SHORT: Duration = Duration::from_secs(5);

    async fn server(answer: &'static str, hold: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut word = [0; 4];
                let _ = socket.read_exact(&mut word).await;
                let _ = socket.write_all(answer.as_bytes()).await;
                if hold {
                    std::future::pending::<()>().await;
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn only_imok_is_alive() {
        assert!(ruok(&server("imok", false).await, SHORT).await.is_ok());
        for answer in ["", "imno", "ruok is not executed because it is not in the whitelist.\n"] {
            let address = server(answer, false).await;
            let error = ruok(&address, SHORT).await.unwrap_err();
            assert!(matches!(error, FourLetterError::Unexpected { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn refused_and_silent_are_told_apart() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        assert!(matches!(ruok(&closed, SHORT).await.unwrap_err(), FourLetterError::Refused { .. }));
        let address = server("", true).await;
        let error = ruok(&address, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("ruok at {address}: no answer within 50 ms"));
    }

    #[tokio::test]
    async fn the_membership_is_the_end_of_conf() {
        let conf = include_str!("../../tests/fixtures/admin/3.9.5/joiner-conf.txt");
        let text = membership(&server(conf, false).await, SHORT).await.unwrap();
        assert!(text.starts_with("server.1=127.77.3.1:2888:3888:participant;127.77.3.1:2181\n"), "{text}");
        assert!(text.ends_with("\nversion=100000000"), "{text}");

        let conf = include_str!("../../tests/fixtures/admin/3.8.5/noquorum-conf.txt");
        let error = membership(&server(conf, false).await, SHORT).await.unwrap_err();
        assert!(matches!(error, FourLetterError::NotServing { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_conf_that_broke_off_before_the_version_is_no_membership() {
        for conf in ["clientPort=2181\n", "clientPort=2181\nmembership: \nserver.1=a:1:2;3\n"] {
            let error = membership(&server(conf, false).await, SHORT).await.unwrap_err();
            assert!(matches!(error, FourLetterError::Unexpected { .. }), "{error}");
        }
    }
}
