//! Every noun against a live server.

mod directory;
mod exits;
mod keys;
mod local;
mod outputs;
mod policies;
mod rotation;
mod tenants;

use std::process::Command;

use serde_json::Value;

use super::Run;
use crate::support::{Caller, Server};

/// A server, and the command line of its operator.
struct Shell {
    server: Server,
    token: String,
}

impl Shell {
    fn start() -> Self {
        Self::with_config("")
    }

    fn with_config(config: &str) -> Self {
        let server = Server::with_config(config);
        let token = server.operator();
        Self { server, token }
    }

    /// The operator over HTTP, to see what the command line did.
    fn root(&self) -> Caller {
        self.server.root()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.server.place.keyward(args);
        command.env("KEYWARD_URL", &self.server.url).env("KEYWARD_TOKEN", &self.token);
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        self.command(args).output().expect("the binary runs").into()
    }

    /// A run that must end with this code.
    #[track_caller]
    fn ends(&self, code: i32, args: &[&str]) -> Run {
        let run = self.run(args);
        assert_eq!(run.code, code, "{args:?}: {}{}", run.out, run.err);
        run
    }

    /// A run that must succeed.
    #[track_caller]
    fn ok(&self, args: &[&str]) -> Run {
        self.ends(0, args)
    }

    /// A run that must succeed and print JSON.
    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.extend(["-o", "json"]);
        let run = self.ok(&all);
        serde_json::from_str(&run.out).unwrap_or_else(|why| panic!("{args:?}: {why}: {}", run.out))
    }

    /// Whether a secret is valid, by `keyward verify`: 0 or 10, and the code that it tells.
    #[track_caller]
    fn verify(&self, secret: &str) -> (i32, String) {
        let run = super::run_with_input(&mut self.command(&["verify", "-", "-o", "json"]), secret);
        let told: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{}{}", run.out, run.err));
        assert!(!run.out.contains(secret) && !run.err.contains(secret), "the secret was echoed");
        (run.code, crate::support::text(&told["code"]))
    }
}

/// Both codes of a valid secret.
fn valid() -> (i32, String) {
    (0, "ok".to_owned())
}

/// Exit code 10 with a reason.
fn refused(code: &str) -> (i32, String) {
    (10, code.to_owned())
}
