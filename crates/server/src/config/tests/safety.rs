//! Unsafe settings stop the start-up, and secrets stay secret.

use super::*;

const TLS: &str = "server:\n  tls: {cert_file: a.pem, key_file: b.pem}\n";

fn listening_on(address: &str, file: &str) -> Case {
    let mut case = Case::with_file(file);
    case.sources.listen = Some(address.to_owned());
    case
}

#[test]
fn ops_9_plain_http_off_loopback_is_refused() {
    for address in ["0.0.0.0:8700", "[::]:8700", "192.0.2.1:1", "[::ffff:192.0.2.1]:1"] {
        let fault = listening_on(address, "").fault();
        assert!(fault.starts_with("server.listen (flag:--listen): "), "{fault}");
        assert!(fault.contains(address) && fault.contains("--insecure-listen"), "{fault}");
    }
}

#[test]
fn ops_9_loopback_tls_or_the_operators_word_make_a_listener_safe() {
    for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        listening_on(address, "").loaded();
    }
    let tls = listening_on("0.0.0.0:1", TLS).loaded();
    let pair = (Path::new("a.pem"), Path::new("b.pem"));
    assert_eq!(tls.settings.server.tls.pair(), Some(pair));
    let mut insecure = listening_on("0.0.0.0:1", "");
    insecure.sources.insecure_listen = true;
    assert_eq!(insecure.loaded().settings.server.listen.port(), 1);
}

#[test]
fn ops_9_plain_grpc_off_loopback_is_refused_too() {
    let fault = Case::with_file("grpc: {listen: '0.0.0.0:8702'}").fault();
    assert!(fault.starts_with("grpc.listen (file:conf/config.yml, line 1): "), "{fault}");
    assert!(fault.contains("--insecure-listen"), "{fault}");
    for file in ["grpc: {listen: '127.0.0.1:8702'}", "grpc: {listen: '[::1]:8702'}", "grpc: {listen: ''}"] {
        Case::with_file(file).loaded();
    }
    let tls = Case::with_file(&format!("{TLS}grpc: {{listen: '0.0.0.0:8702'}}")).loaded();
    assert_eq!(tls.settings.grpc.listen.map(|listen| listen.port()), Some(8702));
}

#[test]
fn ops_9_half_a_tls_pair_is_refused_even_on_loopback() {
    let cases = [("cert_file", "key_file"), ("key_file", "cert_file")];
    for (given, missing) in cases {
        let fault = Case::with_file(&format!("server:\n  tls:\n    {given}: a.pem\n")).fault();
        let expected = format!(
            "server.tls.{given} (file:conf/config.yml, line 3): given without \
             server.tls.{missing}; give both or none"
        );
        assert_eq!(fault, expected);
    }
    let mut insecure = listening_on("0.0.0.0:1", "server: {tls: {cert_file: a.pem}}");
    insecure.sources.insecure_listen = true;
    assert!(insecure.fault().contains("given without server.tls.key_file"));
}

#[test]
fn ops_9_the_root_key_has_one_source() {
    let fault = Case::with_file("root_key:\n  file: a\n  command: b\n").fault();
    assert!(fault.starts_with("root_key.command (file:conf/config.yml, line 3): given besides"));
    Case::with_file("root_key: {command: b}").loaded();
    let fault = Case::with_file("root_key: {command: b, shares: [a, c]}").fault();
    assert!(
        fault.starts_with("root_key.shares (file:conf/config.yml, line 1): given besides root_key.command")
    );
    let fault = Case::with_file("root_key: {file: b, shares: ['-']}").fault();
    assert!(fault.contains("given besides root_key.file"), "{fault}");
    assert_eq!(Case::with_file("root_key: {shares: [a, '-']}").loaded().settings.root_key.shares.len(), 2);
}

#[test]
fn ops_9_each_listener_needs_an_address_of_its_own() {
    for (file, other) in [
        ("metrics: {listen: '127.0.0.1:8700'}", "server.listen"),
        ("grpc: {listen: '127.0.0.1:8700'}", "server.listen"),
        ("grpc: {listen: '127.0.0.1:8702'}\nmetrics: {listen: '127.0.0.1:8702'}", "grpc.listen"),
    ] {
        let fault = Case::with_file(file).fault();
        assert!(fault.ends_with(&format!("expected another address than {other}")), "{fault}");
    }
    listening_on("127.0.0.1:0", "metrics: {listen: '127.0.0.1:0'}\ngrpc: {listen: '127.0.0.1:0'}").loaded();
}

#[test]
fn key_1_prefixes_are_distinct() {
    let told = |text| Case::with_file(text).fault();
    let same = told("keys: {prefixes: {member: abc, ingest: abc}}");
    assert!(same.starts_with("keys.prefixes.ingest (file:conf/config.yml, line 1): "), "{same}");
    assert!(same.ends_with("abc is already used by keys.prefixes.member"), "{same}");
    let current = told("keys: {accepted_prefixes: [kwm]}");
    assert!(current.ends_with("kwm is already used by keys.prefixes.member"), "{current}");
    let twice = told("keys: {accepted_prefixes: [old, old]}");
    assert!(twice.ends_with("old is already used by keys.accepted_prefixes"), "{twice}");
    let good = Case::with_file("keys: {prefixes: {member: k2}, accepted_prefixes: [kwm, a1b2c3d4]}");
    assert_eq!(good.loaded().settings.keys.accepted_prefixes, ["kwm", "a1b2c3d4"]);
}

#[test]
fn the_database_address_has_a_known_scheme() {
    for url in ["postgres://h/d", "postgresql://h/d", "sqlite:a.db", "sqlite://a.db"] {
        let loaded = Case::new().env("KEYWARD_DATABASE__URL", url).loaded();
        assert_eq!(loaded.settings.database.url.unwrap().expose(), url);
    }
}

#[test]
fn aud_2_a_refused_database_address_is_not_repeated() {
    let values = ["mysql://u:hunter2@h/d", "u:hunter2@h", "\"hunter2", "'hunter2' x", "'a': *hunter2"];
    for value in values {
        let case = Case::new().env("KEYWARD_DATABASE__URL", value);
        assert_not_told(&case, "hunter2");
        let from_file = Case::new().file("s", value).env("KEYWARD_DATABASE__URL_FILE", "s");
        assert_not_told(&from_file, "hunter2");
    }
    let in_file = "[hunter2]|{hunter2: 1}|mysql://hunter2|\"hunter2|a: hunter2|*hunter2|!hunter2|!<hunter2|\
                   %hunter2|@hunter2|`hunter2|&hunter2|>hunter2|\"\\xhunter2\"|!!int hunter2|!!binary hunter2|\
                   'x' hunter2|[hunter2|{hunter2";
    for text in in_file.split('|') {
        assert_not_told(&Case::with_file(&format!("database:\n  url: {text}\n")), "hunter2");
    }
    assert_not_told(&Case::with_file("database: {url: 8675309}"), "8675309");
}

fn assert_not_told(case: &Case, secret: &str) {
    let error = case.load().unwrap_err();
    assert!(!format!("{error} {error:?}").contains(secret), "{error}");
}

#[test]
fn aud_2_a_loaded_password_is_shown_nowhere() {
    let case = Case::new().env("KEYWARD_DATABASE__URL", "postgres://u:hunter2@h/d?sslpassword=hunter2");
    let loaded = case.loaded();
    let rows = rows(&loaded);
    let row = rows.iter().find(|row| row.path == "database.url").unwrap();
    assert_eq!(row.text(), "postgres://u:***@h/d?sslpassword=***");
    let printed = format!("{loaded:?} {rows:?}");
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(loaded.settings.database.url.unwrap().expose().contains("hunter2"));
}

#[test]
fn a_public_address_has_no_slash_at_its_end() {
    let loaded = Case::with_file("server: {public_url: 'https://a.b/keys/'}").loaded();
    assert_eq!(loaded.settings.server.public_url.as_deref(), Some("https://a.b/keys"));
    let secret = Case::with_file("server: {public_url: 'https://u:hunter2@a.b'}");
    assert_not_told(&secret, "hunter2");
}
