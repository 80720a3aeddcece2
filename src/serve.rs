//! The HTTP server of an agent and of the operator: a router behind limits, because anybody in the cluster can connect.
//!
//! A few hundred half-sent requests killed an agent at its limit of 96 MiB, and an operator, within seconds: neither axum nor
//! hyper limits the number of connections, and each may hold 400 KB of headers for as long as it likes.
//!
//! Invariants: there are never more than [`MOST`] connections, each with one request, at most [`BUFFER`] bytes of headers,
//! and a time limit. When a new one finds no slot, the address with the most connections gives one up: the oldest that has sent no
//! request, or has its answer and does not take it; if all of them are being answered, the oldest, as long as the new one's address
//! has fewer. So a few pods cannot keep out the kubelet, whatever they ask and however long it takes. Connections over loopback, from
//! the pod itself, have slots of their own.

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
/// Bytes of headers. The kubelet and Prometheus send a few hundred; hyper takes no less than 8 KiB.
const BUFFER: usize = 16 << 10;
/// Time for the headers. Other clients send them with their first packet.
const HEADERS: Duration = Duration::from_secs(3);
/// Time for the whole connection. The longest answer is that of `/hand-over`, after six and a half seconds.
const WHOLE: Duration = Duration::from_secs(15);
/// The pause after a connection could not be accepted: usually for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves these routes for as long as it is polled.
pub async fn serve(listener: TcpListener, router: Router) {
    let (own, others) = (Arc::new(Slots::default()), Arc::new(Slots::default()));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let slots = if from_here(peer.ip()) { &own } else { &others };
                if let Some(slot) = slots.enter(peer.ip()) {
                    tokio::spawn(answer(stream, slot, router.clone()));
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

async fn answer(stream: TcpStream, (slot, closed): (Slot, oneshot::Receiver<()>), router: Router) {
    let answers = TowerToHyperService::new(router);
    let slot = Arc::new(slot);
    let asking = Arc::clone(&slot);
    let service = service_fn(move |request| {
        asking.set_busy(true);
        let (asking, answer) = (Arc::clone(&asking), answers.call(request));
        async move {
            let answer = answer.await;
            asking.set_busy(false);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .keep_alive(false)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // Errors are the client's business.
        _ = timeout(WHOLE, connection) => {}
        Ok(()) = closed => {}
    }
    drop(slot);
}

/// The open connections, of which there are at most [`MOST`].
#[derive(Default)]
struct Slots {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    /// In the order in which they came.
    connections: BTreeMap<u64, Connection>,
}

struct Connection {
    peer: IpAddr,
    /// Whether its request is being answered: then it is not closed.
    busy: bool,
    close: oneshot::Sender<()>,
}

impl Open {
    /// Which connection makes room for a new one.
    fn gives_way(&self, peer: IpAddr) -> Option<u64> {
        let mut of: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for connection in self.connections.values() {
            *of.entry(whose(connection.peer)).or_default() += 1;
        }
        let mine = of.get(&whose(peer)).copied().unwrap_or(0);
        let most = of.values().copied().max()?;
        let greedy = |connection: &Connection| of.get(&whose(connection.peer)) == Some(&most);
        let oldest = |which: &dyn Fn(&Connection) -> bool| {
            self.connections.iter().find(|(_, connection)| which(connection)).map(|(number, _)| *number)
        };
        // Who has more than half of them makes room for himself, too.
        let yields = most > mine + 1 || (most == mine && most > MOST / 2);
        oldest(&|connection| greedy(connection) && !connection.busy)
            .or_else(|| oldest(&|connection| yields && greedy(connection)))
            .or_else(|| oldest(&|connection| !connection.busy))
    }
}

/// Who is counted as one: a pod may have all addresses of a network of 64 bits.
fn whose(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The slot of one connection, free again when this is dropped.
struct Slot {
    slots: Arc<Slots>,
    number: u64,
}

impl Slots {
    /// A free slot, or that of a connection that gives way, which is closed.
    fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<(Slot, oneshot::Receiver<()>)> {
        let mut open = self.open();
        if open.connections.len() >= MOST {
            let oldest = open.gives_way(peer)?;
            if let Some(connection) = open.connections.remove(&oldest) {
                let _ = connection.close.send(());
            }
        }
        let number = open.next;
        open.next += 1;
        let (close, closed) = oneshot::channel();
        open.connections.insert(number, Connection { peer, busy: false, close });
        Some((Slot { slots: Arc::clone(self), number }, closed))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn set_busy(&self, busy: bool) {
        if let Some(connection) = self.slots.open().connections.get_mut(&self.number) {
            connection.busy = busy;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.open().connections.remove(&self.number);
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
        // The oldest was closed for it, and all of them end.
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
    fn a_connection_with_a_request_stays_open_and_a_silent_one_is_closed_for_a_new_one() {
        let slots = Arc::new(Slots::default());
        let peer = |number: usize| IpAddr::from([10, 0, 0, u8::try_from(number % 2).unwrap()]);
        let mut taken: Vec<_> = (0..MOST).map(|number| slots.enter(peer(number)).unwrap()).collect();
        taken[0].0.set_busy(true);
        let late = slots.enter(peer(1)).unwrap();
        assert_eq!((taken[0].1.try_recv(), taken[1].1.try_recv()), (Err(oneshot::error::TryRecvError::Empty), Ok(())));
        for (slot, _) in &taken {
            slot.set_busy(true);
        }
        late.0.set_busy(true);
        assert!(slots.enter(peer(0)).is_none(), "all of them are being answered");
        // One that has its answer and does not take it.
        taken[7].0.set_busy(false);
        let last = slots.enter(peer(1)).unwrap();
        assert_eq!(taken[7].1.try_recv(), Ok(()));
        drop((late, last));
        assert!(slots.enter(peer(0)).is_some());
        drop(taken);
        assert!(slots.open().connections.is_empty());
    }

    #[test]
    fn who_fills_the_slots_with_requests_that_take_long_keeps_nobody_else_out() {
        let slots = Arc::new(Slots::default());
        let (one, kubelet) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut taken: Vec<_> = (0..MOST).map(|_| slots.enter(one).unwrap()).collect();
        for (slot, _) in &taken {
            slot.set_busy(true);
        }
        assert!(slots.enter(kubelet).is_some(), "the oldest of the one that has them all makes room");
        assert_eq!(taken[0].1.try_recv(), Ok(()));
        assert_eq!(taken[1].1.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    }

    #[test]
    fn two_that_fill_the_slots_together_keep_nobody_out_and_close_nobody_elses() {
        let slots = Arc::new(Slots::default());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let busy = |peer: &str| {
            let taken = slots.enter(address(peer)).unwrap();
            taken.0.set_busy(true);
            taken
        };
        let mut kubelet = slots.enter(address("10.0.0.9")).unwrap();
        let pod = ["10.0.0.1", "fd00::1:1", "fd00::1:2"];
        let mut taken: Vec<_> = (1..MOST).map(|number| busy(pod[number % 2 * (1 + number % 4 / 2)])).collect();
        let operator = slots.enter(address("10.0.0.8")).unwrap();
        assert_eq!(kubelet.1.try_recv(), Err(oneshot::error::TryRecvError::Empty), "its request is on its way");
        assert_eq!(taken.iter_mut().filter_map(|(_, closed)| closed.try_recv().ok()).count(), 1);
        drop(operator);
    }

    #[tokio::test]
    async fn slow_requests_by_the_hundred_keep_nobody_out() {
        let address = server().await;
        let mut slow = Vec::new();
        for _ in 0..MOST {
            slow.push(connect(address, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await);
        }
        let answer = http::get(&format!("http://{address}/"), LIMIT).await.unwrap();
        assert_eq!(answer, b"here\n");
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
