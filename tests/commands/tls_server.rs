//! An API server that is reached by TLS, and has one empty list for whatever is asked.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A name that nobody resolves: only a proxy leads there.
pub const HOST: &str = "api.invalid";

/// One that runs until its test ends.
pub struct TlsServer {
    pub address: SocketAddr,
    /// Its CA.
    pub pem: String,
}

impl TlsServer {
    pub fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new([]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = ca.self_signed(&key).unwrap().pem();
        let own = KeyPair::generate().unwrap();
        let names = CertificateParams::new([HOST.to_owned()]).unwrap();
        let certificate = names.signed_by(&own, &Issuer::from_params(&ca, &key)).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let secret = PrivateKeyDer::try_from(own.serialize_der()).unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], secret).unwrap();
        let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for client in listener.incoming() {
                let config = Arc::clone(&config);
                thread::spawn(move || answer(client.unwrap(), config));
            }
        });
        Self { address, pem }
    }
}

fn answer(client: TcpStream, config: Arc<ServerConfig>) -> std::io::Result<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), client);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut next = [0];
        stream.read_exact(&mut next)?;
        request.push(next[0]);
    }
    let list = r#"{"apiVersion":"v1","kind":"List","metadata":{},"items":[]}"#;
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json";
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{list}", list.len())?;
    stream.conn.send_close_notify();
    stream.flush()
}
