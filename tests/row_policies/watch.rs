//! A WebSocket to the server.

use crate::server::{PATIENCE, Server};
use rustls::client::ClientConnection;
use rustls::{StreamOwned, pki_types::ServerName};
use serde_json::{Value, json};
use std::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

pub(crate) struct Watch {
    socket: WebSocket<StreamOwned<ClientConnection, TcpStream>>,
}

impl Watch {
    pub(crate) fn open(server: &Server, bearer: &str) -> Self {
        let tcp = TcpStream::connect(server.address).unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(server.client("http/1.1"), name).unwrap();
        let url = format!("wss://localhost:{}/api/v1/ws", server.address.port());
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {bearer}").parse().unwrap());
        headers.insert("sec-websocket-protocol", "emx.v1".parse().unwrap());
        let (socket, _) = tungstenite::client(request, StreamOwned::new(tls, tcp)).unwrap();
        Self { socket }
    }

    /// Subscribes to the rows with that label, and waits until that is so.
    pub(crate) fn subscribe(&mut self, case: u32, from_seq: Option<u64>) {
        let filter = json!([{ "field": "labels.case", "op": "eq", "value": case.to_string() }]);
        let mut wish = json!({
            "type": "subscribe", "id": "a", "topics": ["metrics_update"], "filter": filter,
        });
        if let Some(from_seq) = from_seq {
            wish["from_seq"] = from_seq.into();
        }
        self.socket.send(Message::text(wish.to_string())).unwrap();
        let told = self.hear();
        assert_eq!(told["type"], "subscribed", "{told}");
    }

    fn hear(&mut self) -> Value {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// What is told up to `last_seq`: the ids, how many rows and how many failures.
    pub(crate) fn told(&mut self, last_seq: u64) -> (Vec<String>, u64, u64) {
        let (mut ids, mut count, mut failures) = (Vec::new(), 0, 0);
        loop {
            let told = self.hear();
            let data = &told["data"];
            assert_eq!(told["type"], "metrics_update", "{told}");
            let executions = data["executions"].as_array().unwrap();
            ids.extend(executions.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
            count += data["count"].as_u64().unwrap();
            failures += data["failures"].as_u64().unwrap();
            if data["last_seq"].as_u64().unwrap() >= last_seq {
                return (ids, count, failures);
            }
        }
    }

    /// The code with which the server closes, before it tells of anything.
    pub(crate) fn closed_with(&mut self) -> u16 {
        loop {
            match self.socket.read().unwrap() {
                Message::Close(frame) => return frame.unwrap().code.into(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
