//! Connections from other addresses of this machine: Linux takes all of 127.0.0.0/8 for its own.

use crate::peer::Peer;
use crate::server::Server;
use std::net::SocketAddr;
use tokio::net::TcpSocket;

/// A new connection from `address`.
pub(crate) fn connect_from(server: &Server, address: &str) -> Peer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let tcp = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        socket.connect(server.address).await.unwrap().into_std().unwrap()
    });
    tcp.set_nonblocking(false).unwrap();
    Peer::over(tcp, server.client("http/1.1")).unwrap()
}
