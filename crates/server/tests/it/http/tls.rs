//! HTTPS by the server itself, with certificates that are replaced while it runs.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::blocking::Client;

use crate::process::{Process, refused_start};
use crate::support::{Place, text, wait_until};

struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

/// A self-signed certificate for 127.0.0.1 under this name, in the files `cert.pem` and `key.pem`.
fn issue(place: &Place, name: &str) -> Pair {
    let folder = place.folder.path();
    let (fresh_cert, fresh_key) = (folder.join("fresh-cert.pem"), folder.join("fresh-key.pem"));
    let pair = Pair { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&fresh_key)
        .arg("-out")
        .arg(&fresh_cert)
        .output()
        .expect("openssl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(fresh_key, &pair.key).expect("moved");
    fs::rename(fresh_cert, &pair.cert).expect("moved");
    pair
}

fn config(pair: &Pair) -> String {
    format!("server: {{tls: {{cert_file: {}, key_file: {}}}}}", pair.cert.display(), pair.key.display())
}

/// The name in the certificate that the server shows.
fn shown_name(address: &str) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", address, "-brief"])
        .stdin(Stdio::null())
        .output()
        .expect("openssl runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.lines()
        .find_map(|line| line.split_once("CN = "))
        .map_or(String::new(), |(_, name)| name.trim().to_owned())
}

fn trusting(pair: &Pair) -> Client {
    let pem = fs::read(&pair.cert).expect("a certificate");
    let certificate = reqwest::Certificate::from_pem(&pem).expect("PEM");
    Client::builder()
        .tls_certs_only([certificate])
        .timeout(Duration::from_secs(10))
        .pool_max_idle_per_host(0)
        .build()
        .expect("a client")
}

#[test]
fn ops_9_https_is_served_and_plain_http_is_not() {
    let place = Place::new();
    let root = place.bootstrap();
    let pair = issue(&place, "first");
    let server = Process::start(&place, &config(&pair), &[]);
    let url = format!("https://127.0.0.1:{}/v1/me", server.port);
    let answer = trusting(&pair).get(&url).bearer_auth(text(&root["secret"])).send().expect("an answer");
    assert_eq!(answer.status(), 200);
    let other = issue(&place, "nobody-serves-this");
    assert!(trusting(&other).get(&url).send().is_err(), "the client really checks");
    let plain = crate::socket::exchange(&server.address(), b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(plain.statuses(), Vec::<u16>::new());
}

#[test]
fn ops_9_a_replaced_certificate_is_used_without_a_restart() {
    let place = Place::new();
    place.bootstrap();
    let server = Process::start(&place, &config(&issue(&place, "first")), &[]);
    assert_eq!(shown_name(&server.address()), "first");
    let pair = issue(&place, "second");
    wait_until(|| shown_name(&server.address()) == "second");
    let good = fs::read(&pair.key).expect("a key");
    fs::write(&pair.key, "no key at all").expect("written");
    wait_until(|| place.log().contains("the old one stays"));
    assert_eq!(shown_name(&server.address()), "second", "a pair that does not fit is not used");
    fs::write(&pair.key, good).expect("written");
    issue(&place, "third");
    wait_until(|| shown_name(&server.address()) == "third");
    assert!(!place.log().contains("no key at all"));
}

#[test]
fn ops_9_http_3_a_client_that_never_finishes_the_handshake_is_closed() {
    let place = Place::new();
    place.bootstrap();
    let config =
        format!("{}\n", config(&issue(&place, "first")).replace("{tls", "{timeouts: {first_byte: 1s}, tls"));
    let server = Process::start(&place, &config, &[]);
    let mut silent = crate::socket::connect(&server.address());
    assert!(crate::socket::read(&mut silent, Duration::from_secs(5)).closed);
}

#[test]
fn ops_9_a_certificate_that_cannot_be_used_stops_the_start() {
    let place = Place::new();
    place.bootstrap();
    let pair = issue(&place, "first");
    fs::write(&pair.key, "canary-in-the-key-file").expect("written");
    let run = refused_start(&place, &config(&pair), &[]);
    assert_eq!(run.code, 3, "{}", run.err);
    assert!(run.err.contains("key.pem"), "{}", run.err);
    assert!(!run.err.contains("canary"), "{}", run.err);
    fs::remove_file(&pair.cert).expect("removed");
    let run = refused_start(&place, &config(&pair), &[]);
    assert_eq!(run.code, 3, "{}", run.err);
    assert!(run.err.contains("cert.pem"), "{}", run.err);
}
