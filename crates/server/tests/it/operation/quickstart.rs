//! `keyward quickstart`, whose keys are shown once.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::process::refused;
use crate::support::{Place, free_port};

fn quickstart(place: &Place, port: u16) -> Command {
    let (data, listen) = (place.data(), format!("127.0.0.1:{port}"));
    place.keyward(&["quickstart", "--data-dir", data.to_str().expect("UTF-8"), "--listen", &listen])
}

/// What it says until it serves.
fn said(mut command: Command) -> String {
    let mut child = command.stderr(Stdio::null()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut said = String::new();
    while !said.contains("Console: ") && lines.read_line(&mut said).expect("UTF-8") > 0 {}
    child.kill().and_then(|()| child.wait()).expect("ended");
    said
}

#[test]
fn ops_1_a_busy_port_costs_quickstart_no_keys() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = taken.local_addr().expect("an address").port();
    let run = refused(quickstart(&place, port));
    assert_eq!((run.code, run.out.as_str()), (3, ""), "{}", run.err);
    assert!(run.err.contains(&port.to_string()), "{}", run.err);
    let mut command = quickstart(&place, free_port());
    command.env("KEYWARD_METRICS__LISTEN", format!("127.0.0.1:{port}"));
    let run = refused(command);
    assert_eq!((run.code, run.out.as_str()), (3, ""), "{}", run.err);
    for told in ["metrics.listen", "KEYWARD_METRICS__LISTEN", &port.to_string()] {
        assert!(run.err.contains(told), "{told}: {}", run.err);
    }
    assert!(!place.data().join("setup-token").exists(), "quickstart makes the administrator itself");
    let said = said(quickstart(&place, free_port()));
    for made in
        ["operator key    kwa_", "its secret      kww_", "demo key        kwa_", "its secret      kwm_"]
    {
        assert!(said.contains(made), "{made}: {said}");
    }
}
