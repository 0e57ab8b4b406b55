//! What stops the start-up, and how it is told.

use proptest::prelude::*;

use super::super::manual::manual;
use super::*;

#[test]
fn ops_9_an_unknown_key_in_a_file_is_named_with_its_line() {
    let fault = |text| Case::with_file(text).fault();
    assert_eq!(
        fault("log: {}\nserver:\n  tls:\n    cert_flie: x\n"),
        "server.tls.cert_flie (file:conf/config.yml, line 4): unknown key; did you mean \
         server.tls.cert_file?"
    );
    assert_eq!(
        fault("\nverifi:\n  max_staleness: 1s\n"),
        "verifi (file:conf/config.yml, line 2): unknown key; did you mean verify?"
    );
    assert_eq!(fault("zebra: 1"), "zebra (file:conf/config.yml, line 1): unknown key");
    assert_eq!(
        fault("server.listen: 127.0.0.1:1"),
        "server.listen (file:conf/config.yml, line 1): unknown key; keys are nested, not joined by \
         dots"
    );
}

#[test]
fn ops_9_an_unknown_variable_is_named() {
    let fault = |name| Case::new().env(name, "x").fault();
    assert_eq!(
        fault("KEYWARD_SERVER_LISTEN"),
        "KEYWARD_SERVER_LISTEN (env:KEYWARD_SERVER_LISTEN): unknown setting; did you mean \
         KEYWARD_SERVER__LISTEN?"
    );
    for name in ["KEYWARD_FOO", "KEYWARD_", "KEYWARD_PORT", "KEYWARD_SERVER__SERVICE_HOST"] {
        assert!(fault(name).starts_with(&format!("{name} (env:{name}): unknown setting")));
    }
    assert_eq!(
        fault("KEYWARD_SERVER__TLS"),
        "server.tls (env:KEYWARD_SERVER__TLS): is a section; set one key of it, \
         KEYWARD_SERVER__TLS__…"
    );
}

#[test]
fn ops_9_a_repeated_key_is_refused_with_both_lines() {
    let text = "server:\n  drain: 1s\n  listen: 127.0.0.1:1\n  drain: 2s\nserver: {}\n";
    let told: Vec<String> = Case::with_file(text).faults().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "server.drain (file:conf/config.yml, line 4): given twice, first on line 2",
            "server (file:conf/config.yml, line 5): given twice, first on line 1",
        ]
    );
}

#[test]
fn ops_9_a_broken_or_missing_file_is_named() {
    let broken = Case::with_file("log: {}\nserver: 'x' y\n").fault();
    let reason = "invalid trailing content after single-quoted scalar";
    assert_eq!(broken, format!("file:conf/config.yml, line 2: {reason}"));
    let list = Case::with_file("- a").fault();
    assert_eq!(list, "file:conf/config.yml: expected keys such as server: or database:");
    let mut missing = Case::new();
    missing.sources.config = Some("nowhere.yml".into());
    assert!(missing.fault().starts_with("file:nowhere.yml: cannot be read: "));
    let mut directory = Case::new().file("conf/config.yml/x", "");
    directory.sources.config = None;
    assert!(directory.fault().starts_with("file:conf/config.yml: cannot be read: "));
    let secret = Case::new().env("KEYWARD_DATABASE__URL_FILE", "nowhere").fault();
    let start = "database.url (env:KEYWARD_DATABASE__URL_FILE): the file \"nowhere\" cannot be read";
    assert!(secret.starts_with(start), "{secret}");
}

/// A value in a file and what the refusal must say after the key.
const BAD_VALUES: [(&str, &str, &str); 58] = [
    ("data_dir", "''", "expected the path of a directory"),
    ("data_dir", "1", "invalid type: integer `1`, expected the path of a directory"),
    ("server", "1", "expected a section with the keys listen, threads, public_url"),
    ("server.tls", "[]", "expected a section with the keys cert_file, key_file"),
    ("server.listen", "8700", "invalid type: integer `8700`, expected an IP address and a port"),
    ("server.listen", "localhost:1", "invalid value \"localhost:1\", expected an IP address"),
    ("server.listen", "{a: 1}", "invalid type: map, expected an IP address and a port"),
    ("server.listen", "", "invalid type: null, expected an IP address and a port"),
    ("server.threads", "many", "invalid value \"many\", expected a whole number from 0 to 1024"),
    ("server.threads", "1025", "expected a whole number from 0 to 1024"),
    ("server.threads", "-1", "invalid value -1, expected a whole number from 0 to 1024"),
    ("server.threads", "1.5", "invalid value 1.5, expected a whole number"),
    ("server.threads", "'1'", "invalid value \"1\", expected a whole number"),
    ("server.threads", "true", "invalid value true, expected a whole number"),
    ("server.public_url", "keys.example.org", "expected an address such as https://"),
    ("server.public_url", "ftp://a.b", "expected an address such as https://"),
    ("server.public_url", "https://a.b?c", "without user, query or fragment"),
    ("server.public_url", "https://", "expected an address such as https://"),
    ("server.trusted_proxies", "10.0.0.0/8", "expected a list such as"),
    ("server.trusted_proxies[1]", "['::1/128', 10.1.2.3/8]", "its network is 10.0.0.0/8"),
    ("server.trusted_proxies[0]", "['fd00::1/8']", "its network is fd00::/8"),
    ("server.trusted_proxies[0]", "[10.0.0.1]", "expected a network such as 10.0.0.0/8"),
    ("server.trusted_proxies[0]", "[{a: 1}]", "invalid type: map, expected a network"),
    ("server.max_connections", "0", "expected a whole number from 1 to 1000000"),
    ("server.timeouts.idle", "75", "invalid value 75, expected a duration such as 250ms, 10s"),
    ("server.timeouts.idle", "2h", "invalid value \"2h\", expected a duration from 1s to 1h"),
    ("server.cors.allowed_origins", "https://a.b", "expected a list such as"),
    ("server.cors.allowed_origins[0]", "['*']", "expected an origin as browsers write it"),
    ("server.cors.allowed_origins[1]", "['https://a.b', 'null']", "expected an origin"),
    ("server.cors.allowed_origins[0]", "['https://*.a.b']", "expected an origin"),
    ("server.cors.allowed_origins[0]", "['https://a.b/']", "expected an origin"),
    ("server.cors.allowed_origins[0]", "['https://a.b/c']", "expected an origin"),
    ("server.cors.allowed_origins[0]", "['https://A.b']", "expected an origin"),
    ("server.cors.allowed_origins[0]", "['https://a.b:443']", "no default port"),
    ("server.cors.allowed_origins[0]", "['https://u@a.b']", "expected an origin"),
    ("server.cors.allowed_origins[0]", "['a.b']", "expected an origin"),
    ("server.cors.allowed_origins[0]", "['ftp://a.b']", "expected an origin"),
    ("server.api_key_header", "X API", "expected the name of a header that has no other use"),
    ("server.api_key_header", "Authorization", "expected the name of a header"),
    ("database.max_connections", "0", "expected a whole number from 1 to 1000"),
    ("log.filter", "''", "expected levels such as info,keyward::verify=debug"),
    ("log.filter", "a=b=c", "expected levels such as info,keyward::verify=debug"),
    ("log.format", "xml", "invalid value \"xml\", expected json or text"),
    ("verify.max_staleness", "99ms", "expected a duration from 100ms to 1m"),
    ("verify.max_staleness", "61s", "expected a duration from 100ms to 1m"),
    ("tokens.algorithm", "RS256", "expected EdDSA or ES256"),
    ("tokens.rotate_every", "59m", "expected a duration from 1h to 365d"),
    ("tokens.jwks_cache", "2d", "expected a duration from 1s to 1d"),
    ("verify.on_database_loss", "serve", "expected deny, or serve_for and a duration"),
    ("verify.on_database_loss", "serve_for 301s", "a duration from 0s to 5m"),
    ("verify.on_database_loss", "serve_for ever", "expected deny, or serve_for"),
    ("verify.unknown_key_ttl", "1001ms", "expected a duration from 0s to 1s"),
    ("keys.prefixes.member", "k", "expected 2 to 8 characters a-z and 0-9"),
    ("keys.prefixes.member", "ninechars", "expected 2 to 8 characters"),
    ("keys.prefixes.member", "Kwm", "expected 2 to 8 characters"),
    ("keys.prefixes.member", "k_m", "expected 2 to 8 characters"),
    ("keys.prefixes.member", "kwa", "kwa is reserved for another kind of credential"),
    ("keys.accepted_prefixes[1]", "[old, kws]", "kws is reserved for another kind"),
];

#[test]
fn ops_9_a_bad_value_names_key_source_line_and_what_is_expected() {
    for (key, value, expected) in BAD_VALUES {
        let fault = Case::with_file(&nested(key, value)).fault();
        let depth = key.split('.').count();
        let start = format!("{key} (file:conf/config.yml, line {depth}): ");
        assert!(fault.starts_with(&start) && fault.contains(expected), "{key}: {fault}");
    }
}

/// The YAML of one key, each level on its own line.
fn nested(key: &str, value: &str) -> String {
    let leaf = key.split('[').next().unwrap_or_default();
    let mut text = String::new();
    for (depth, name) in leaf.split('.').enumerate() {
        let line_end = if depth == 0 { "" } else { "\n" };
        text.push_str(&format!("{line_end}{}{name}:", "  ".repeat(depth)));
    }
    format!("{text} {value}\n")
}

#[test]
fn ops_9_a_bad_variable_or_flag_names_itself() {
    let fault = Case::new().env("KEYWARD_SERVER__THREADS", "").fault();
    assert_eq!(
        fault,
        "server.threads (env:KEYWARD_SERVER__THREADS): invalid value null, expected a whole number \
         from 0 to 1024"
    );
    let unquoted = Case::new().env("KEYWARD_SERVER__TRUSTED_PROXIES", "10.0.0.0/8,::1/128").fault();
    assert!(unquoted.contains("expected a list such as"), "{unquoted}");
    let broken = Case::new().env("KEYWARD_SERVER__TRUSTED_PROXIES", "[a").fault();
    let start = "server.trusted_proxies (env:KEYWARD_SERVER__TRUSTED_PROXIES): is no YAML value: ";
    assert!(broken.starts_with(start), "{broken}");
    let number = Case::new().file("n", "4").env("KEYWARD_SERVER__THREADS_FILE", "n").fault();
    assert!(number.ends_with("is no text, so it cannot be read from a file"), "{number}");
    let mut flag = Case::new();
    flag.sources.listen = Some("8700".to_owned());
    let start = "server.listen (flag:--listen): invalid value \"8700\", expected an IP address";
    assert!(flag.fault().starts_with(start));
}

#[test]
fn ops_9_all_errors_are_listed_together() {
    let mut case = Case::with_file("server: {drian: 1s, threads: x}\nlog: {format: xml}\n")
        .env("KEYWARD_DATABASE__MAX_CONNECTIONS", "0")
        .env("KEYWARD_NONSENSE", "1");
    case.sources.listen = Some("here".to_owned());
    let told = case.load().unwrap_err().to_string();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "the configuration has 6 errors:");
    assert_eq!(
        lines[1],
        "  server.drian (file:conf/config.yml, line 1): unknown key; did you mean server.drain?"
    );
    for key in ["KEYWARD_NONSENSE", "server.threads", "server.listen", "log.format", "database.max"] {
        let named = lines.iter().filter(|line| line.trim_start().starts_with(key)).count();
        assert_eq!(named, 1, "{key} in {told}");
    }
}

#[test]
fn aud_3_what_is_told_holds_no_control_characters() {
    let case = Case::with_file("\"a\\x1b[2J\\nb\": 1\nserver: {listen: \"x\\x1b\\n\"}\n")
        .env("KEYWARD_\u{1b}[2J", "x");
    for fault in case.faults() {
        let told = fault.to_string();
        assert!(!told.contains(char::is_control), "{told:?}");
    }
}

fn any_value() -> impl Strategy<Value = String> {
    let scalars = ["null", "true", "-1", "0", "1.5e9", ".nan", "''", "x", "1s", "serve_for 1s"];
    let others = ["[]", "[x]", "[[]]", "[1, {a: b}]", "{}", "{a: {b: c}}", "!!str 1", "&a [*a]"];
    prop_oneof![
        proptest::sample::select([scalars.as_slice(), others.as_slice()].concat()).prop_map(str::to_owned),
        "\\PC{0,16}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn sup_3_no_value_of_any_key_makes_it_panic(index in 0_usize..64, value in any_value()) {
        let (path, _) = &manual().leaves[index % manual().leaves.len()];
        let case = Case::with_file(&nested(path, &value));
        if let Err(error) = case.load() {
            prop_assert!(!error.faults.is_empty());
            let told = error.to_string();
            let escaped = told.lines().all(|line| !line.contains(char::is_control));
            prop_assert!(escaped, "{told:?}");
        }
        let name = format!("KEYWARD_{}", path.to_uppercase().replace('.', "__"));
        let _ = Case::new().env(&name, &value).load();
    }

    #[test]
    fn sup_3_no_text_as_a_file_makes_it_panic(text in "[ \\PC\\n:{}\\[\\]]{0,80}") {
        let _ = Case::with_file(&text).load();
    }
}
