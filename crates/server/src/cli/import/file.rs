//! A file of rows, JSON lines or CSV, as the API takes them.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{FileArgs, FileFormat, Kind, unusable};
use crate::cli::{Failure, cell};
use crate::csv;

/// A row, and where it stands.
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) row: Map<String, Value>,
}

/// The rows of a file.
pub(crate) struct Lines {
    pub(crate) rows: Vec<Line>,
    /// Rows of what is over elsewhere.
    pub(crate) left_out: usize,
}

impl Lines {
    /// Reads a file: `fields` are those that count, `columns` where another system has them.
    pub(super) fn read(
        args: &FileArgs,
        fields: &[(&str, Kind)],
        columns: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        for (name, _) in args.map.iter().chain(&args.set) {
            if !fields.iter().any(|(field, _)| field == name) {
                let known: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
                let told = crate::http::json::suggestion(name, &known);
                return Err(Failure::usage(format!("--map and --set: {told}")).into());
            }
        }
        let text = read(&args.file)?;
        let (mut rows, mut left_out) = (Vec::new(), 0);
        for (number, object) in objects(&text, format(args))? {
            if is_over(&object) {
                left_out += 1;
                continue;
            }
            let row = fields.iter().filter_map(|(field, kind)| {
                Some(((*field).to_owned(), value(args, columns, &object, field, *kind)?))
            });
            rows.push(Line { number, row: row.collect() });
        }
        if rows.is_empty() && left_out == 0 {
            return Err(Failure::usage(format!("{}: no rows", args.file.display())).into());
        }
        Ok(Self { rows, left_out })
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("stdin")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn format(args: &FileArgs) -> FileFormat {
    let named_csv = args.file.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    args.format.unwrap_or(if named_csv { FileFormat::Csv } else { FileFormat::Jsonl })
}

/// The rows as objects; what `keyward export` wraps is unwrapped, what it tells of else is left out.
fn objects(text: &str, format: FileFormat) -> anyhow::Result<Vec<(usize, Value)>> {
    let mut objects = Vec::new();
    match format {
        FileFormat::Jsonl => {
            for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
                let object: Value =
                    serde_json::from_str(line).map_err(|why| unusable(number, &why.to_string()))?;
                if !object.is_object() {
                    return Err(unusable(number, "expected a JSON object").into());
                }
                match (object["kind"].as_str(), object.get("data").filter(|data| data.is_object())) {
                    (Some("user"), Some(data)) => objects.push((number, data.clone())),
                    (Some(_), Some(_)) => {}
                    _ => objects.push((number, object)),
                }
            }
        }
        FileFormat::Csv => {
            let mut records = csv::records(text).into_iter();
            let Some((_, names)) = records.next() else { return Ok(objects) };
            for (number, cells) in records {
                if cells.len() != names.len() {
                    let told = format!("{} cells under {} names", cells.len(), names.len());
                    return Err(unusable(number, &told).into());
                }
                let members = names.iter().cloned().zip(cells.into_iter().map(Value::String));
                objects.push((number, Value::Object(members.collect())));
            }
        }
    }
    Ok(objects)
}

/// Whether the other system has ended it.
fn is_over(object: &Value) -> bool {
    let says = |name: &str, words: &[&str]| {
        object
            .get(name)
            .is_some_and(|value| words.contains(&cell::plain(value).to_ascii_lowercase().as_str()))
    };
    says("revoked", &["true", "t", "1"]) || says("enabled", &["false", "f", "0"])
}

/// One field: from where `--map` says, else by its own name, else from where the other system has it, else
/// what `--set` says.
fn value(
    args: &FileArgs,
    columns: &[(&str, &str)],
    object: &Value,
    field: &str,
    kind: Kind,
) -> Option<Value> {
    let mapped = args.map.iter().find(|(name, _)| name == field).map(|(_, column)| column.as_str());
    let elsewhere = columns.iter().find(|(name, _)| *name == field).map(|(_, column)| *column);
    let places = match mapped {
        Some(column) => [Some(column), None],
        None => [Some(field), elsewhere],
    };
    let found = places.into_iter().flatten().map(|place| member(object, place)).find(|found| has(found));
    let set = args.set.iter().find(|(name, _)| name == field).map(|(_, value)| Value::String(value.clone()));
    found.cloned().or(set).map(|found| typed(found, kind))
}

/// A column of this very name, or the member at a dotted path.
fn member<'o>(object: &'o Value, place: &str) -> &'o Value {
    object.get(place).unwrap_or_else(|| cell::at(object, place))
}

fn has(value: &Value) -> bool {
    !value.is_null() && value.as_str() != Some("")
}

/// Text as what it means; what cannot be read is left to the server, which names the field.
fn typed(value: Value, kind: Kind) -> Value {
    match (kind, &value) {
        (Kind::List, Value::String(text)) => {
            let words = text.split([' ', ';']).filter(|word| !word.is_empty());
            words.map(|word| Value::String(word.to_owned())).collect()
        }
        (Kind::Names, Value::String(text)) => {
            let names = text.split(';').map(str::trim).filter(|name| !name.is_empty());
            names.map(|name| Value::String(name.to_owned())).collect()
        }
        (Kind::Number, Value::String(text)) => text.parse::<i64>().map_or(value.clone(), Value::from),
        (Kind::Json, Value::String(text)) => serde_json::from_str(text).unwrap_or(value),
        (Kind::Time, Value::Number(millis)) => {
            let moment = millis.as_i64().and_then(|millis| Timestamp::from_millisecond(millis).ok());
            moment.map_or(value.clone(), |moment| Value::String(moment.to_string()))
        }
        (Kind::Time, Value::String(text)) => {
            let millis = text.parse().ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
            let moment = millis.or_else(|| text.parse().ok());
            moment.map_or(value.clone(), |moment| Value::String(moment.to_string()))
        }
        (Kind::Text, Value::Number(number)) => Value::String(number.to_string()),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_become_what_they_mean() {
        let text = |text: &str| Value::String(text.to_owned());
        assert_eq!(typed(text("a:read; b:write"), Kind::List), json!(["a:read", "b:write"]));
        assert_eq!(typed(text("role of mia; b"), Kind::Names), json!(["role of mia", "b"]));
        assert_eq!(typed(text("7"), Kind::Number), json!(7));
        assert_eq!(typed(text("seven"), Kind::Number), json!("seven"));
        assert_eq!(typed(json!(1_700_000_000_000_i64), Kind::Time), json!("2023-11-14T22:13:20Z"));
        assert_eq!(typed(text("2027-01-31 12:00:00+00:00"), Kind::Time), json!("2027-01-31T12:00:00Z"));
        assert_eq!(typed(text("soon"), Kind::Time), json!("soon"));
        assert_eq!(typed(text("{\"cidrs\": []}"), Kind::Json), json!({ "cidrs": [] }));
        assert_eq!(typed(json!(42), Kind::Text), json!("42"));
    }

    #[test]
    fn what_is_over_elsewhere_is_left_out() {
        for over in [json!({ "revoked": true }), json!({ "revoked": "t" }), json!({ "enabled": false })] {
            assert!(is_over(&over), "{over}");
        }
        for alive in [json!({}), json!({ "revoked": false, "enabled": "true" }), json!({ "revoked": "" })] {
            assert!(!is_over(&alive), "{alive}");
        }
    }

    #[test]
    fn exported_users_are_unwrapped_and_the_rest_left_out() {
        let text = "{\"kind\":\"role\",\"data\":{}}\n\n{\"kind\":\"user\",\"data\":{\"username\":\"mia\"}}\n{\"username\":\"ada\"}\n";
        let rows = objects(text, FileFormat::Jsonl).expect("read");
        assert_eq!(rows, [(3, json!({ "username": "mia" })), (4, json!({ "username": "ada" }))]);
        assert!(objects("[1]", FileFormat::Jsonl).is_err());
        assert!(objects("a,b\n1\n", FileFormat::Csv).is_err());
        assert_eq!(
            objects("a,b\n1,2\n", FileFormat::Csv).expect("read"),
            [(2, json!({ "a": "1", "b": "2" }))]
        );
    }
}
