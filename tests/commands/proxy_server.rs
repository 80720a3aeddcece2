//! A proxy in memory, for HTTP and SOCKS: whatever is asked for, it leads to one address.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// One that runs until its test ends.
pub struct ProxyServer {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ProxyServer {
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming() {
                let heard = Arc::clone(&heard);
                thread::spawn(move || lead(client.unwrap(), target, &heard));
            }
        });
        Self { address, asked }
    }

    /// For where somebody was led, with what stood beside it.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn lead(mut client: TcpStream, target: SocketAddr, heard: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut first = [0];
    client.read_exact(&mut first)?;
    let asked = if first[0] == 5 { socks(&mut client)? } else { connect(&mut client, first[0])? };
    heard.lock().unwrap().push(asked);
    let (mut server, mut from) = (TcpStream::connect(target)?, client.try_clone()?);
    let mut to = server.try_clone()?;
    thread::spawn(move || io::copy(&mut from, &mut to));
    io::copy(&mut server, &mut client).map(|_| ())
}

fn connect(client: &mut TcpStream, first: u8) -> io::Result<String> {
    let mut request = vec![first];
    while !request.ends_with(b"\r\n\r\n") {
        let mut next = [0];
        client.read_exact(&mut next)?;
        request.push(next[0]);
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    Ok(String::from_utf8(request).unwrap())
}

fn socks(client: &mut TcpStream) -> io::Result<String> {
    let mut methods = [0; 2];
    client.read_exact(&mut methods)?;
    client.write_all(&[5, 0])?;
    let mut request = [0; 5];
    client.read_exact(&mut request)?;
    assert_eq!(request[..4], [5, 1, 0, 3], "a name, which the proxy looks up");
    let mut name = vec![0; usize::from(request[4]) + 2];
    client.read_exact(&mut name)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    name.truncate(name.len() - 2);
    Ok(format!("SOCKS {}", String::from_utf8(name).unwrap()))
}
