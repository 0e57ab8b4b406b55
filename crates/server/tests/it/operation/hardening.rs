//! What the process denies to others of its own user (STO-9).

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use crate::process::{Process, serve};
use crate::support::{Place, Server, free_port, text};

#[test]
fn sto_9_core_dumps_are_off() {
    let server = Server::start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    let values: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(values, ["0", "0"], "{core}");
}

fn own_uid() -> u32 {
    fs::metadata("/proc/self").expect("ourselves").uid()
}

/// Gives everything below to a user.
fn hand_over(folder: &Path, uid: u32) {
    std::os::unix::fs::chown(folder, Some(uid), Some(uid)).expect("changed");
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            hand_over(&path, uid);
        } else {
            std::os::unix::fs::chown(&path, Some(uid), Some(uid)).expect("changed");
        }
    }
}

/// Serves the place as somebody who is not root, since nothing is hidden from root.
fn serve_as_nobody(place: &Place, uid: u32) -> Process {
    let folder = place.folder.path();
    let port = free_port();
    let command = serve(place, "", port);
    let binary = folder.join("keyward");
    fs::copy(command.get_program(), &binary).expect("copied");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("changed");
    hand_over(folder, uid);
    let mut unprivileged = Command::new("setpriv");
    unprivileged.args([format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".into()]);
    unprivileged
        .arg(binary)
        .args(command.get_args())
        .current_dir(folder)
        .envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
    Process::spawn(place, unprivileged, port)
}

#[test]
fn sto_9_others_of_the_same_user_cannot_look_into_the_process() {
    let place = Place::new();
    let secret = text(&place.bootstrap()["secret"]);
    let own = own_uid();
    let uid = if own == 0 { 65_534 } else { own };
    let server = if own == 0 { serve_as_nobody(&place, uid) } else { Process::start(&place, "", &[]) };
    server.caller(&secret).get("/v1/me").expect(200);
    let folder = format!("/proc/{}", server.pid());
    let status = fs::read_to_string(format!("{folder}/status")).expect("a status");
    let runs_as = status.lines().find(|line| line.starts_with("Uid:")).expect("a line");
    assert!(runs_as.split_whitespace().nth(1) == Some(uid.to_string().as_str()), "{runs_as}");
    // The files of an undumpable process belong to root.
    assert_eq!(fs::metadata(format!("{folder}/mem")).expect("a file").uid(), 0);
    let look = |file: &str| {
        let mut cat = Command::new("setpriv");
        if own == 0 {
            cat.args([format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".into()]);
        }
        cat.args(["head", "-c", "1", &format!("{folder}/{file}")]).output().expect("it runs").status.success()
    };
    assert!(look("stat"), "what everybody may see can be seen");
    for file in ["mem", "environ", "maps"] {
        assert!(!look(file), "{file} can be read");
    }
}
