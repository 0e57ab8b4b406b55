//! `config.default.yml`, the settings and the help text say the same.

use std::time::Duration;

use serde_json::Value;

use super::super::manual::{DEFAULTS, Manual, manual};
use super::super::{bound, span};
use super::*;

/// The value of all defaults, as one tree.
fn defaults() -> Value {
    serde_saphyr::from_str(DEFAULTS).unwrap()
}

fn parent_of<'a>(tree: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.')
        .rev()
        .skip(1)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .fold(tree, |tree, name| tree.get_mut(name).unwrap())
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap()
}

#[test]
fn every_key_has_a_field() {
    // The structs refuse unknown fields, so reading all defaults shows that each has a home.
    let settings: Settings = serde_json::from_value(defaults()).unwrap();
    assert_eq!(settings.data_dir, Path::new("keyward-data"));
    for section in manual().sections.iter().map(String::as_str).chain([""]) {
        let mut tree = defaults();
        let stray = format!("{section}.stray");
        let map = parent_of(&mut tree, stray.trim_start_matches('.')).as_object_mut().unwrap();
        map.insert("stray".to_owned(), Value::Null);
        let error = serde_json::from_value::<Settings>(tree).unwrap_err().to_string();
        assert!(error.contains("unknown field `stray`"), "{section}: {error}");
    }
}

#[test]
fn every_field_has_a_documented_default() {
    // No field may fall back to a default that the file does not show.
    let paths: Vec<&String> = manual().comments.keys().collect();
    for path in &paths {
        let mut tree = defaults();
        parent_of(&mut tree, path).as_object_mut().unwrap().remove(last(path)).unwrap();
        let error = serde_json::from_value::<Settings>(tree).unwrap_err().to_string();
        assert!(error.contains(&format!("missing field `{}`", last(path))), "{path}: {error}");
    }
    assert_eq!(paths.len(), manual().leaves.len() + manual().sections.len());
}

#[test]
fn every_key_has_a_comment() {
    let leaves = manual().leaves.iter().map(|(path, _)| path);
    for path in leaves.chain(&manual().sections) {
        let comment = explain(path).unwrap_or_default();
        assert!(comment.len() > 10, "{path}: {comment:?}");
    }
    assert_eq!(explain("server.lisen"), None);
    assert_eq!(explain("server.drain").unwrap().lines().count(), 1);
    assert!(explain("server.listen").unwrap().starts_with("Address and port. Without"));
    assert!(explain("data_dir").unwrap().starts_with("Directory for everything"));
}

#[test]
fn every_number_and_duration_has_a_range_with_its_default_inside() {
    let outside = [Value::from(-1), Value::from(u64::MAX), Value::from("18446744073709551615ms")];
    for (path, default) in &manual().leaves {
        bound::check(path, default).unwrap();
        let is_span = default.as_str().is_some_and(|text| span::parse(text).is_some());
        if default.is_number() || is_span {
            for value in &outside {
                assert!(bound::check(path, value).is_err(), "{path} has no range");
            }
        }
    }
}

#[test]
fn the_ranges_in_the_comments_are_the_real_ones() {
    let mut seen = 0;
    for (path, default) in &manual().leaves {
        let Some([least, most, above]) = documented_range(path, default) else { continue };
        assert_eq!(bound::check(path, &least), Ok(()), "{path} {least}");
        assert_eq!(bound::check(path, &most), Ok(()), "{path} {most}");
        assert!(bound::check(path, &above).is_err(), "{path} {above}");
        seen += 1;
    }
    assert_eq!(seen, 25, "every number and every duration");
}

/// Least, most and the first value above, as the comment of a number or a duration says.
fn documented_range(path: &str, default: &Value) -> Option<[Value; 3]> {
    let comment = explain(path)?.replace('\n', " ");
    let words: Vec<&str> = comment.split([' ', ',', ';', '.']).collect();
    let is_span = default.as_str().and_then(span::parse).is_some();
    words.windows(3).filter(|words| words[1] == "to").find_map(|words| {
        if default.is_number() {
            let (least, most) = (words[0].parse::<u64>().ok()?, words[2].parse::<u64>().ok()?);
            return Some([least.into(), most.into(), (most + 1).into()]);
        }
        let (least, most) = (span::parse(words[0])?, span::parse(words[2])?);
        let range = [least, most, most + Duration::from_millis(1)];
        is_span.then(|| range.map(|time| span::format(time).into()))
    })
}

#[test]
fn the_defaults_load_and_are_shown_in_the_order_of_the_file() {
    let loaded = Case::new().loaded();
    let rows = rows(&loaded);
    let paths: Vec<&str> = rows.iter().map(|row| row.path.as_str()).collect();
    let documented: Vec<&str> = manual().leaves.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, documented);
    assert!(rows.iter().all(|row| row.origin == Origin::Default));
    let text = |path| rows.iter().find(|row| row.path == path).unwrap().text();
    assert_eq!(text("server.listen"), "127.0.0.1:8700");
    assert_eq!(text("server.trusted_proxies"), r#"["127.0.0.0/8","::1/128"]"#);
    assert_eq!(text("database.url"), r#""""#);
    assert_eq!(text("server.threads"), "0");
}

#[test]
fn the_defaults_have_these_types() {
    let settings = Case::new().loaded().settings;
    assert_eq!(settings.server.listen, "127.0.0.1:8700".parse().unwrap());
    assert_eq!(settings.server.api_key_header, "x-api-key");
    assert_eq!(settings.server.trusted_proxies.len(), 2);
    assert_eq!(settings.server.public_url, None);
    assert_eq!(settings.server.tls.pair(), None);
    assert_eq!(settings.server.timeouts.idle, Duration::from_secs(75));
    assert_eq!(settings.grpc.listen, None);
    assert_eq!(settings.metrics.listen, Some("127.0.0.1:8701".parse().unwrap()));
    assert_eq!(settings.database.url, None);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.verify.max_staleness, Duration::from_secs(1));
    let ten = Duration::from_secs(10);
    assert_eq!(settings.verify.on_database_loss, OnDatabaseLoss::ServeFor(ten));
    assert_eq!(settings.keys.prefixes.ingest, "kwi");
    assert!(settings.keys.accepted_prefixes.is_empty());
}

#[test]
fn a_comment_after_an_empty_line_belongs_to_no_key() {
    let manual = Manual::read("# head\n\n# of a\na:\n  # of b\n  b: 1\nc: 2\n");
    let comments: Vec<(&str, &str)> =
        manual.comments.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(comments, [("a", "of a"), ("a.b", "of b"), ("c", "")]);
}
