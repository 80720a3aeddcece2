//! A link that lets so many bytes a second through, and keeps few on their way.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;

const BUFFER: u32 = 16 << 10;

/// Passes connections to `at` on to `to`; what comes back is as slow as that.
pub async fn slow(at: SocketAddr, to: SocketAddr, bytes_a_second: usize) {
    let listener = TcpListener::bind(at).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_recv_buffer_size(BUFFER).unwrap();
                if let Ok(far) = socket.connect(to).await {
                    pass(near, far, bytes_a_second).await;
                }
            });
        }
    });
}

async fn pass(near: TcpStream, far: TcpStream, bytes_a_second: usize) {
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
    let up = async move { tokio::io::copy(&mut near_in, &mut far_out).await };
    let down = async move {
        // Twenty portions a second.
        let mut portion = vec![0; (bytes_a_second / 20).max(1)];
        while let Ok(some @ 1..) = far_in.read(&mut portion).await {
            if near_out.write_all(&portion[..some]).await.is_err() {
                return;
            }
            sleep(Duration::from_secs_f64(
                f64::from(u32::try_from(some).unwrap()) / f64::from(u32::try_from(bytes_a_second).unwrap()),
            ))
            .await;
        }
    };
    // When either side ends, both do.
    tokio::select! { _ = up => {}, () = down => {} }
}
