//! The HTTP server of an agent and of the operator: a router behind limits, because anybody in the cluster may knock.
//!
//! A few hundred requests of which only half was sent ended an agent at its 96 MiB, and an operator, within seconds: neither
//! axum nor hyper bounds how many connections there are, and each may hold 400 KB of headers for as long as it likes.
//!
//! Invariants: there are never more than [`MOST`] connections, each with one request, at most [`BUFFER`] bytes of headers,
//! and an end; when a new one finds no place, the oldest that has asked nothing makes room: who knocks and says nothing
//! cannot keep the kubelet out, which asks at once. Who knocks on loopback, the pod's own, takes no place of the others',
//! and they none of theirs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::warn;

/// Connections at a time: probes, the operator, Prometheus and a few founders are ten.
const MOST: usize = 128;
/// Of headers. The kubelet's and Prometheus' have some hundred bytes; hyper takes no less than 8 KiB.
const BUFFER: usize = 16 << 10;
/// For the headers. Every other asker sends them with its first packet.
const HEADERS: Duration = Duration::from_secs(3);
/// For all of it. The longest answer is that of `/hand-over`, after six and a half seconds.
const WHOLE: Duration = Duration::from_secs(15);
/// Until the next one is taken in when none can be: out of file descriptors, as a rule.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves these routes for as long as it is polled.
pub async fn serve(listener: TcpListener, router: Router) {
    let (own, others) = (Arc::new(Room::default()), Arc::new(Room::default()));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let room = if from_here(peer.ip()) { &own } else { &others };
                if let Some(seat) = room.enter() {
                    tokio::spawn(answer(stream, seat, router.clone()));
                }
            }
            Err(error) => {
                warn!(%error, "cannot take in a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

fn from_here(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

async fn answer(stream: TcpStream, (seat, shown_out): (Seat, oneshot::Receiver<()>), router: Router) {
    let answers = TowerToHyperService::new(router);
    let seat = Arc::new(seat);
    let asking = Arc::clone(&seat);
    let service = service_fn(move |request| {
        asking.asked();
        answers.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .keep_alive(false)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // Whatever went wrong is the asker's business.
        _ = timeout(WHOLE, connection) => {}
        Ok(()) = shown_out => {}
    }
    drop(seat);
}

/// Who is connected.
#[derive(Default)]
struct Room {
    guests: Mutex<Guests>,
}

#[derive(Default)]
struct Guests {
    next: u64,
    /// In the order in which they came. Those who have asked cannot be shown out any more.
    seats: BTreeMap<u64, Option<oneshot::Sender<()>>>,
}

/// A place in a room, free again when this is dropped.
struct Seat {
    room: Arc<Room>,
    number: u64,
}

impl Room {
    /// A place, when there is one or can be made one.
    fn enter(self: &Arc<Self>) -> Option<(Seat, oneshot::Receiver<()>)> {
        let mut guests = self.guests();
        if guests.seats.len() >= MOST {
            let silent = guests.seats.iter().find(|(_, way_out)| way_out.is_some()).map(|(number, _)| *number)?;
            if let Some(Some(way_out)) = guests.seats.remove(&silent) {
                let _ = way_out.send(());
            }
        }
        let number = guests.next;
        guests.next += 1;
        let (way_out, shown_out) = oneshot::channel();
        guests.seats.insert(number, Some(way_out));
        Some((Seat { room: Arc::clone(self), number }, shown_out))
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    fn asked(&self) {
        if let Some(way_out) = self.room.guests().seats.get_mut(&self.number) {
            *way_out = None;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.guests().seats.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::http;

    const LIMIT: Duration = Duration::from_secs(5);

    async fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(async || "here\n"))
            .route("/slow", get(async || std::future::pending::<&str>().await));
        tokio::spawn(serve(listener, router));
        address
    }

    async fn connect(address: SocketAddr, sent: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        stream
    }

    /// Whether the other side has ended it.
    async fn ended(stream: &mut TcpStream) -> bool {
        let mut some = [0; 256];
        loop {
            match timeout(LIMIT, stream.read(&mut some)).await {
                Ok(Ok(0) | Err(_)) => return true,
                Ok(Ok(_)) => {}
                Err(_) => return false,
            }
        }
    }

    #[tokio::test]
    async fn half_requests_by_the_hundred_keep_nobody_out() {
        let address = server().await;
        let mut halves = Vec::new();
        for _ in 0..3 * MOST {
            halves.push(connect(address, b"GET / HTTP/1.1\r\nhost: x\r\nx-half: ").await);
        }
        let answer = http::get(&format!("http://{address}/"), LIMIT).await.unwrap();
        assert_eq!(answer, b"here\n");
        // The oldest made room for it, and all of them end.
        for half in &mut halves {
            assert!(ended(half).await);
        }
    }

    #[tokio::test]
    async fn headers_without_an_end_are_cut_short() {
        let address = server().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let line = format!("x-long: {}\r\n", "x".repeat(1000));
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut sent = 0;
        // The kernel's buffers take some as well, before the other side has ended it.
        while sent < 64 << 20 && stream.write_all(line.as_bytes()).await.is_ok() {
            sent += line.len();
        }
        assert!(sent < 64 << 20, "{sent} bytes of headers were taken");
    }

    #[test]
    fn who_has_asked_is_not_shown_out_and_who_has_not_makes_room() {
        let room = Arc::new(Room::default());
        let mut seats: Vec<_> = (0..MOST).map(|_| room.enter().unwrap()).collect();
        seats[0].0.asked();
        let late = room.enter().unwrap();
        assert_eq!((seats[0].1.try_recv(), seats[1].1.try_recv()), (Err(oneshot::error::TryRecvError::Closed), Ok(())));
        for (seat, _) in &seats {
            seat.asked();
        }
        late.0.asked();
        assert!(room.enter().is_none(), "all of them are being answered");
        drop(late);
        assert!(room.enter().is_some());
        drop(seats);
        assert!(room.guests().seats.is_empty());
    }

    #[test]
    fn the_pods_own_are_told_by_their_address() {
        for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(from_here(here.parse().unwrap()), "{here}");
        }
        for there in ["10.0.0.1", "fd00::1", "::ffff:10.0.0.1"] {
            assert!(!from_here(there.parse().unwrap()), "{there}");
        }
    }
}
