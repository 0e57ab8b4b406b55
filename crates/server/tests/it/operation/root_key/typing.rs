//! Somebody at a terminal.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::support::Place;

/// Runs a local command on a terminal of its own, answering each question with a line once it is
/// asked; returns the exit code and everything that the terminal showed.
pub(super) fn run(place: &Place, args: &[&str], dialogue: &[(&str, &str)]) -> (i32, String) {
    let data = place.data();
    let command = place.keyward(&[args, &["--data-dir", data.to_str().expect("UTF-8")]].concat());
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> = words.map(|word| format!("'{}'", word.to_str().expect("UTF-8"))).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &line.join(" "), "/dev/null"]).current_dir(place.folder.path());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script runs");
    let (mut stdin, mut stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let (mut shown, mut answered) = (Vec::new(), 0);
    for (question, answer) in dialogue {
        let mut byte = [0];
        while !String::from_utf8_lossy(&shown[answered..]).contains(question) {
            assert_eq!(stdout.read(&mut byte).expect("read"), 1, "no {question:?}: {}", utf8(&shown));
            shown.push(byte[0]);
        }
        answered = shown.len();
        // The question stands there a moment before the terminal stops to show what is typed.
        std::thread::sleep(std::time::Duration::from_millis(300));
        stdin.write_all(format!("{answer}\n").as_bytes()).expect("typed");
    }
    stdout.read_to_end(&mut shown).expect("read");
    let code = child.wait().expect("ended").code().expect("ended by itself");
    (code, utf8(&shown))
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
