//! A TCP proxy between server and database that can be cut, hung and restored.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::free_port;

const PASS: u8 = 0;
const CUT: u8 = 1;
const HANG: u8 = 2;
const END: u8 = 3;

/// The proxy; it ends with the test.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    line: Arc<Line>,
}

struct Line {
    target: String,
    port: u16,
    mode: AtomicU8,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Listens on a free port and passes everything on to `target`.
    pub(crate) fn start(target: &str) -> Self {
        let port = free_port();
        let line =
            Arc::new(Line { target: target.into(), port, mode: AtomicU8::new(PASS), open: Mutex::default() });
        let listener = line.listen();
        let accepting = line.clone();
        std::thread::spawn(move || accepting.accept(listener));
        Self { port, line }
    }

    /// Ends every connection; new ones are refused.
    pub(crate) fn cut(&self) {
        self.line.switch(CUT);
        self.line.close_all();
    }

    /// Nothing gets through any more, in either direction; new connections are accepted all the same.
    pub(crate) fn hang(&self) {
        self.line.switch(HANG);
    }

    /// Passes everything on again, also what was held back.
    pub(crate) fn restore(&self) {
        self.line.switch(PASS);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.line.switch(END);
        self.line.close_all();
    }
}

impl Line {
    fn mode(&self) -> u8 {
        self.mode.load(Ordering::SeqCst)
    }

    fn switch(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    fn close_all(&self) {
        for stream in self.open.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn listen(&self) -> TcpListener {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).expect("the port is ours");
        listener.set_nonblocking(true).expect("sets");
        listener
    }

    fn accept(self: Arc<Self>, first: TcpListener) {
        let mut listener = Some(first);
        loop {
            match self.mode() {
                END => return,
                CUT => listener = None,
                _ => match listener.get_or_insert_with(|| self.listen()).accept() {
                    Ok((client, _)) => self.clone().connect(client),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => panic!("accept: {error}"),
                },
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn connect(self: Arc<Self>, client: TcpStream) {
        client.set_nonblocking(false).expect("sets");
        let Ok(server) = TcpStream::connect(&self.target) else { return };
        let both = || (client.try_clone().expect("clones"), server.try_clone().expect("clones"));
        let (one, two) = both();
        self.open.lock().expect("no panic").extend([one, two]);
        if matches!(self.mode(), CUT | END) {
            self.close_all();
        }
        let (line, (from, to)) = (self.clone(), both());
        std::thread::spawn(move || line.pump(from, to));
        std::thread::spawn(move || self.pump(server, client));
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut part = [0; 16 * 1024];
        while let Ok(count) = from.read(&mut part) {
            while self.mode() == HANG {
                std::thread::sleep(Duration::from_millis(2));
            }
            if count == 0 || to.write_all(&part[..count]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
