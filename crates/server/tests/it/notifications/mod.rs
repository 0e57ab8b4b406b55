//! What people are told: by mail, over a real mail server, and in the list behind the bell.

mod accounts;
mod bells;
mod delivery;
mod expiry;
mod trusted;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Caller, Place, Server, free_port, text, wait_until};

/// A mail server, and where it keeps what it was given.
pub(crate) struct Postbox {
    child: Option<Child>,
    port: u16,
    file: PathBuf,
    args: Vec<String>,
}

impl Postbox {
    /// A mail server of this place; `args` are those of `smtp.py`.
    pub(crate) fn open(place: &Place, args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let file = place.folder.path().join("mails.jsonl");
        let mut postbox = Self { child: None, port: free_port(), file, args };
        postbox.start();
        postbox
    }

    pub(crate) fn start(&mut self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/notifications/smtp.py");
        // Debian's own Python has Debian's packages.
        let python =
            if std::path::Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
        let child = Command::new(python)
            .arg(script)
            .arg(&self.file)
            .arg(self.port.to_string())
            .args(&self.args)
            .stdout(Stdio::null())
            .spawn()
            .expect("python3 runs");
        self.child = Some(child);
        wait_until(|| std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The section of the configuration that leads here.
    pub(crate) fn config(&self, more: &str) -> String {
        format!(
            "mail: {{host: 127.0.0.1, port: {}, from: 'Keyward <keyward@example.org>', {more}}}\n",
            self.port
        )
    }

    /// All mails so far.
    pub(crate) fn mails(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a mail is a line of JSON")).collect()
    }

    /// Receivers and subjects of all mails so far, sorted.
    pub(crate) fn subjects(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> =
            self.mails().iter().map(|mail| (text(&mail["to"][0]), text(&mail["subject"]))).collect();
        all.sort();
        all
    }

    /// Waits until there are so many mails.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Value> {
        wait_until(|| self.mails().len() >= count);
        self.mails()
    }
}

impl Drop for Postbox {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A server that sends its mail to a postbox, unprotected, on loopback.
pub(crate) fn with_mail() -> (Server, Postbox) {
    let place = Place::new();
    let postbox = Postbox::open(&place, &[]);
    let root = place.bootstrap();
    let server = Server::serve(place, root, &postbox.config("tls: none"));
    (server, postbox)
}

/// Gives a user an address.
pub(crate) fn address(admin: &Caller, user: &str, address: &str) {
    admin.patch(&format!("/v1/users/{user}"), json!({ "email": address })).expect(200);
}

/// What a caller was told, the newest first, as kinds.
pub(crate) fn kinds(caller: &Caller) -> Vec<String> {
    let told = caller.get("/v1/notifications?limit=200").ok();
    let kinds = told["data"].as_array().expect("a list").iter().map(|told| text(&told["kind"]));
    // What comes of use comes at a time of its own.
    kinds.filter(|kind| !["key_used", "new_network"].contains(&kind.as_str())).collect()
}

/// Nothing waits to be sent, and no event waits to be told.
pub(crate) fn wait_until_told(admin: &Caller) {
    // A look each second, and what comes together is gathered: twice that is enough to have begun.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    wait_until(|| {
        let waiting = admin.get("/v1/jobs?state=waiting").ok();
        waiting["data"].as_array().is_some_and(Vec::is_empty)
    });
}
