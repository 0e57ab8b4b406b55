//! Raw connections, for what an HTTP client would never send.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a server may be silent before it has said everything.
const SILENCE: Duration = Duration::from_millis(500);

/// What came back on a connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) text: String,
    /// The server closed the connection.
    pub(crate) closed: bool,
}

impl Exchange {
    /// The status of each answer, in order.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        let lines = self.text.split("HTTP/1.").skip(1);
        lines.filter_map(|rest| rest.get(2..5)?.parse().ok()).collect()
    }

    /// A header of the first answer, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let found =
            head.lines().filter_map(|line| line.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The code in the problem document of the first answer.
    pub(crate) fn code(&self) -> String {
        let body = self.text.split("\r\n\r\n").nth(1).unwrap_or_default();
        let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Opens a connection.
pub(crate) fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address).expect("connects")
}

/// Sends bytes on a fresh connection and reads until the server closes or is silent.
pub(crate) fn exchange(address: &str, bytes: &[u8]) -> Exchange {
    let mut stream = connect(address);
    // A server that refuses early may close while we still write.
    let _ = stream.write_all(bytes);
    read(&mut stream, SILENCE)
}

/// Reads until the server closes or is silent for so long.
pub(crate) fn read(stream: &mut TcpStream, silence: Duration) -> Exchange {
    stream.set_read_timeout(Some(silence)).expect("sets");
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    let closed = loop {
        match stream.read(&mut part) {
            Ok(0) => break true,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) => break error.kind() == ErrorKind::ConnectionReset,
        }
    };
    Exchange { text: String::from_utf8_lossy(&bytes).into_owned(), closed }
}

/// Sends `piece` again and again until the server closes or answers; how long that took, and what
/// came.
pub(crate) fn drip(stream: &mut TcpStream, piece: &[u8], most: Duration) -> (Duration, Exchange) {
    let started = now();
    while started.elapsed() < most {
        let written = stream.write_all(piece);
        let exchange = read(stream, Duration::from_millis(150));
        if exchange.closed || !exchange.text.is_empty() || written.is_err() {
            return (started.elapsed(), exchange);
        }
    }
    (started.elapsed(), Exchange { text: String::new(), closed: false })
}

/// Whether the server has closed the connection by now.
pub(crate) fn is_closed(stream: &mut TcpStream) -> bool {
    read(stream, Duration::from_millis(1)).closed
}

/// The moment, for measuring.
pub(crate) fn now() -> Instant {
    Instant::now()
}
