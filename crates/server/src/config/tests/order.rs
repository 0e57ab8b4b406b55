//! Which source wins, and how values are written in each.

use std::time::Duration;

use super::*;

const IN_FILE: &str = "server: {listen: '127.0.0.1:1'}";

#[test]
fn a_stronger_source_wins_and_is_named() {
    let path = "server.listen";
    let mut case = Case::new();
    assert_eq!(origin(&case.loaded(), path), "default");
    case = case.file("conf/config.yml", IN_FILE);
    let loaded = case.loaded();
    assert_eq!(origin(&loaded, path), "file:conf/config.yml");
    assert_eq!(loaded.settings.server.listen.port(), 1);
    case = case.env("KEYWARD_SERVER__LISTEN", "127.0.0.1:2");
    let loaded = case.loaded();
    assert_eq!(origin(&loaded, path), "env:KEYWARD_SERVER__LISTEN");
    assert_eq!(loaded.settings.server.listen.port(), 2);
    case.sources.listen = Some("127.0.0.1:3".to_owned());
    let loaded = case.loaded();
    assert_eq!(origin(&loaded, path), "flag:--listen");
    assert_eq!(loaded.settings.server.listen.port(), 3);
    assert_eq!(origin(&loaded, "server.drain"), "default");
}

#[test]
fn one_file_is_read_the_first_there_is() {
    let port = |case: &Case| case.loaded().settings.server.listen.port();
    let mut case = Case::new();
    assert_eq!(port(&case), 8700);
    case = case.file("data/config.yml", "server: {listen: '127.0.0.1:3'}");
    assert_eq!(port(&case), 8700, "another data directory");
    case.sources.data_dir = Some("data".into());
    assert_eq!(port(&case), 3);
    case = case.file("conf/config.yml", "server: {listen: '127.0.0.1:2'}\nlog: {format: text}");
    assert_eq!(port(&case), 2);
    case = case.file("named.yml", "server: {listen: '127.0.0.1:1'}");
    case.sources.config = Some("named.yml".into());
    assert_eq!(port(&case), 1);
    assert_eq!(case.loaded().settings.log.format, LogFormat::Json, "files are not mixed");
}

#[test]
fn the_data_directory_is_found_by_variable_and_by_default() {
    let file = "server: {listen: '127.0.0.1:3'}";
    let by_variable = Case::new().file("data/config.yml", file).env("KEYWARD_DATA_DIR", "data");
    let loaded = by_variable.loaded();
    assert_eq!(origin(&loaded, "server.listen"), "file:data/config.yml");
    assert_eq!(origin(&loaded, "data_dir"), "env:KEYWARD_DATA_DIR");
    assert_eq!(loaded.settings.data_dir, Path::new("data"));
    let by_default = Case::new().file("keyward-data/config.yml", file);
    assert_eq!(by_default.loaded().settings.server.listen.port(), 3);
}

#[test]
fn the_data_directory_is_set_by_flag_and_by_file() {
    let mut case = Case::with_file("data_dir: /srv/a");
    assert_eq!(case.loaded().settings.data_dir, Path::new("/srv/a"));
    case.sources.data_dir = Some("/srv/b".into());
    assert_eq!(case.loaded().settings.data_dir, Path::new("/srv/b"));
    assert_eq!(origin(&case.loaded(), "data_dir"), "flag:--data-dir");
}

#[test]
fn a_file_in_the_data_directory_cannot_move_it() {
    let mut case = Case::new().file("data/config.yml", "log: {}\ndata_dir: other\n");
    case.sources.data_dir = Some("data".into());
    let expected = "data_dir (file:data/config.yml, line 2): cannot be set by the file inside the \
                    data directory";
    assert_eq!(case.fault(), expected);
    case.sources.config = Some("data/config.yml".into());
    assert_eq!(case.loaded().settings.data_dir, Path::new("data"), "named, it may: the flag wins");
}

#[test]
fn an_empty_file_and_an_empty_section_say_nothing() {
    for text in ["", "# only a comment\n", "server:\n  # listen: x\n", "server: {}\n", "---\n"] {
        assert_eq!(Case::with_file(text).loaded().settings.server.listen.port(), 8700, "{text:?}");
    }
}

#[test]
fn only_true_and_false_are_boolean() {
    let settings = Case::with_file("keys: {prefixes: {member: no, workspace: on}}").loaded().settings;
    let prefixes = settings.keys.prefixes;
    assert_eq!((prefixes.member.as_str(), prefixes.workspace.as_str()), ("no", "on"));
}

#[test]
fn a_variable_is_read_by_the_type_of_its_key() {
    let settings = Case::new()
        .env("KEYWARD_SERVER__THREADS", "4")
        .env("KEYWARD_SERVER__TRUSTED_PROXIES", r#"["10.0.0.0/8", 'fd00::/8']"#)
        .env("KEYWARD_SERVER__TIMEOUTS__IDLE", "2m")
        .env("KEYWARD_SERVER__TLS__CERT_FILE", "123")
        .env("KEYWARD_SERVER__TLS__KEY_FILE", "null")
        .env("KEYWARD_METRICS__LISTEN", "")
        .env("KEYWARD_ROOT_KEY__COMMAND", "read: it #now")
        .env("KEYWARD_LOG__FORMAT", "\"text\"")
        .env("KEYWARD_VERIFY__ON_DATABASE_LOSS", "'deny'")
        .loaded()
        .settings;
    assert_eq!(settings.server.threads, 4);
    assert_eq!(settings.server.trusted_proxies.len(), 2);
    assert_eq!(settings.server.timeouts.idle, Duration::from_secs(120));
    assert_eq!(settings.server.tls.pair(), Some((Path::new("123"), Path::new("null"))));
    assert_eq!(settings.metrics.listen, None);
    assert_eq!(settings.root_key.command.as_deref(), Some("read: it #now"));
    assert_eq!(settings.log.format, LogFormat::Text);
    assert_eq!(settings.verify.on_database_loss, OnDatabaseLoss::Deny);
}

#[test]
fn a_secret_is_read_from_a_file_and_trimmed() {
    let case = Case::new()
        .file("secret", "\n postgres://u:p%20w@h/db \n")
        .env("KEYWARD_DATABASE__URL_FILE", "secret");
    let loaded = case.loaded();
    let url = loaded.settings.database.url.clone().unwrap();
    assert_eq!(url.expose(), "postgres://u:p%20w@h/db");
    assert_eq!(origin(&loaded, "database.url"), "env:KEYWARD_DATABASE__URL_FILE");
    let twice = case.env("KEYWARD_DATABASE__URL", "sqlite:x");
    let expected = "database.url (env:KEYWARD_DATABASE__URL_FILE): also set by KEYWARD_DATABASE__URL";
    assert_eq!(twice.fault(), expected);
}

#[test]
fn a_key_whose_own_name_ends_in_file_is_that_key() {
    let case = Case::new().file("name", "/etc/root.key\n").env("KEYWARD_ROOT_KEY__FILE", "a.key");
    assert_eq!(case.loaded().settings.root_key.file.as_deref(), Some(Path::new("a.key")));
    let case = Case::new().file("name", "/etc/root.key\n").env("KEYWARD_ROOT_KEY__FILE_FILE", "name");
    assert_eq!(case.loaded().settings.root_key.file.as_deref(), Some(Path::new("/etc/root.key")));
}

#[test]
fn variables_of_others_are_left_alone() {
    let mut case = Case::new();
    let client = "URL TOKEN TOKEN_FILE PROFILE TENANT OUTPUT NO_INPUT CONFIG LOG CACERT DATA_DIR \
                  ROOT_KEY ROOT_KEY_FILE TEST_POSTGRES_URL TEST_X__Y";
    for name in client.split(' ') {
        case = case.env(&format!("KEYWARD_{name}"), "x");
    }
    let kubernetes = "SERVICE_HOST SERVICE_PORT SERVICE_PORT_HTTP PORT_8700_TCP PORT_8700_TCP_ADDR \
                      METRICS_SERVICE_HOST METRICS_PORT_8701_TCP_PROTO";
    for name in kubernetes.split(' ') {
        case = case.env(&format!("KEYWARD_{name}"), "10.0.0.1");
    }
    case = case.env("KEYWARD_PORT", "tcp://10.0.0.1:8700").env("PATH", "/bin").env("KEYWARDEN", "x");
    let loaded = case.loaded();
    let set: Vec<&String> =
        loaded.origins.iter().filter(|(_, o)| **o != Origin::Default).map(|(path, _)| path).collect();
    assert_eq!(set, ["data_dir"], "the one that is a setting, too");
}
