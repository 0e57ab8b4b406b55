//! A server that a test starts by its own rules: not set up, with another environment, with
//! another scheme, or one that must not start at all.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cli::Run;
use crate::support::{Caller, Place, free_port, wait_until};

/// A running server that need not be ready.
pub(crate) struct Process {
    pub(crate) port: u16,
    child: Child,
}

impl Process {
    /// Serves the place; returns when something listens.
    pub(crate) fn start(place: &Place, config: &str, environment: &[(&str, &str)]) -> Self {
        let port = free_port();
        let mut command = serve(place, config, port);
        command.envs(environment.iter().copied());
        Self::spawn(place, command, port)
    }

    /// The same with a command that was made by [`serve`].
    pub(crate) fn spawn(place: &Place, mut command: Command, port: u16) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(log_file(place)).expect("a log");
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("the binary runs");
        let process = Self { port, child };
        wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        process
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn caller(&self, secret: &str) -> Caller {
        Caller { url: self.url(), secret: secret.into() }
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(mut self) {
        let status =
            Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().expect("kill runs");
        assert!(status.success());
        self.child.wait().expect("ended");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log_file(place: &Place) -> PathBuf {
    place.folder.path().join("log")
}

/// `keyward serve` of the place on a port, with this configuration.
pub(crate) fn serve(place: &Place, config: &str, port: u16) -> Command {
    let file = place.folder.path().join(format!("config-{port}.yml"));
    fs::write(&file, config).expect("written");
    let (data, listen) = (place.data(), format!("127.0.0.1:{port}"));
    let mut args = vec!["serve", "--data-dir", data.to_str().expect("UTF-8"), "--listen", &listen];
    if !config.is_empty() {
        args.extend(["--config", file.to_str().expect("UTF-8")]);
    }
    place.keyward(&args)
}

/// A start that must fail: its exit code and what it said.
pub(crate) fn refused_start(place: &Place, config: &str, environment: &[(&str, &str)]) -> Run {
    let mut command = serve(place, config, free_port());
    command.envs(environment.iter().copied());
    refused(command)
}

/// Runs a command that must end by itself.
pub(crate) fn refused(mut command: Command) -> Run {
    let mut child = command.spawn().expect("the binary runs");
    for _ in 0..400 {
        if child.try_wait().expect("its state").is_some() {
            return child.wait_with_output().expect("its output").into();
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    child.kill().expect("killed");
    let output = child.wait_with_output().expect("its output");
    panic!("the server started: {}", String::from_utf8_lossy(&output.stderr));
}
