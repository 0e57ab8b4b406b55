//! A file of rows, JSON lines or CSV, as imports take them: the command and the console read the same.

use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::csv;

/// Formats of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// A JSON object a line
    Jsonl,
    /// Comma-separated, with the names in the first line
    Csv,
}

/// How the text of a CSV cell is read; JSON has types of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text,
    /// Words between blanks or semicolons.
    List,
    /// Names between semicolons.
    Names,
    Number,
    /// A time, also with a blank for the T, or in Unix milliseconds.
    Time,
    Json,
}

/// Fields of a row of keys, each with how its text is read.
pub(crate) const KEY_FIELDS: &[(&str, Kind)] = &[
    ("external_id", Kind::Text),
    ("hash", Kind::Text),
    ("lookup_prefix", Kind::Text),
    ("hint", Kind::Text),
    ("label", Kind::Text),
    ("class", Kind::Text),
    ("owner", Kind::Text),
    ("scopes", Kind::List),
    ("roles", Kind::Names),
    ("groups", Kind::Names),
    ("not_before", Kind::Time),
    ("expires_at", Kind::Time),
    ("ttl_seconds", Kind::Number),
    ("expires", Kind::Text),
    ("conditions", Kind::Json),
    ("limits", Kind::Json),
    ("credits", Kind::Number),
    ("credit_refill", Kind::Json),
    ("idle_seconds", Kind::Number),
];

/// The words for how credentials were hashed, or whose they are.
pub(crate) const HASHES: [&str; 11] = [
    "plain",
    "sha256",
    "sha512",
    "hmac_sha256",
    "bcrypt",
    "argon2",
    "django",
    "unkey",
    "better_auth",
    "kong",
    "drf_api_key",
];

/// Where the tables of other systems have what we ask for.
pub(crate) fn columns_of(hash: &str) -> &'static [(&'static str, &'static str)] {
    match hash {
        "unkey" => &[("external_id", "id"), ("hint", "start"), ("label", "name"), ("expires_at", "expires")],
        "better_auth" => &[
            ("external_id", "id"),
            ("hash", "key"),
            ("hint", "start"),
            ("label", "name"),
            ("expires_at", "expiresAt"),
        ],
        // Its id holds the hash.
        "drf_api_key" => &[
            ("external_id", "prefix"),
            ("lookup_prefix", "prefix"),
            ("hash", "hashed_key"),
            ("label", "name"),
            ("expires_at", "expiry_date"),
        ],
        "kong" => &[("external_id", "id"), ("hash", "key"), ("owner", "consumer.username")],
        _ => &[],
    }
}

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

/// A line that cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) line: usize,
    pub(crate) why: String,
}

/// How a file is read.
pub(crate) struct Reading<'r> {
    /// The fields that count.
    pub(crate) fields: &'r [(&'r str, Kind)],
    /// Where another system has them.
    pub(crate) columns: &'r [(&'r str, &'r str)],
    /// Where they stand in this file.
    pub(crate) map: &'r [(String, String)],
    /// Values of those that the file does not have.
    pub(crate) set: &'r [(String, String)],
}

impl Reading<'_> {
    /// The rows of a text.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub(crate) fn lines(&self, text: &str, format: FileFormat) -> Result<Lines, Unreadable> {
        let (mut rows, mut left_out) = (Vec::new(), 0);
        for (number, object) in objects(text, format)? {
            if is_over(&object) {
                left_out += 1;
                continue;
            }
            let row = self
                .fields
                .iter()
                .filter_map(|(field, kind)| Some(((*field).to_owned(), self.value(&object, field, *kind)?)));
            rows.push(Line { number, row: row.collect() });
        }
        Ok(Lines { rows, left_out })
    }

    /// One field: from where the map says, else by its own name, else from where the other system has it,
    /// else what is set.
    fn value(&self, object: &Value, field: &str, kind: Kind) -> Option<Value> {
        let mapped = self.map.iter().find(|(name, _)| name == field).map(|(_, column)| column.as_str());
        let elsewhere = self.columns.iter().find(|(name, _)| *name == field).map(|(_, column)| *column);
        let places = match mapped {
            Some(column) => [Some(column), None],
            None => [Some(field), elsewhere],
        };
        let found = places.into_iter().flatten().map(|place| member(object, place)).find(|found| has(found));
        let set = self.set.iter().find(|(name, _)| name == field);
        let set = set.map(|(_, value)| Value::String(value.clone()));
        found.cloned().or(set).map(|found| typed(found, kind))
    }
}

/// The rows as objects; what `keyward export` wraps is unwrapped, what it tells of else is left out.
fn objects(text: &str, format: FileFormat) -> Result<Vec<(usize, Value)>, Unreadable> {
    let unreadable = |line, why: String| Unreadable { line, why };
    let mut objects = Vec::new();
    match format {
        FileFormat::Jsonl => {
            for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
                let object: Value =
                    serde_json::from_str(line).map_err(|why| unreadable(number, why.to_string()))?;
                if !object.is_object() {
                    return Err(unreadable(number, "expected a JSON object".into()));
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
                    return Err(unreadable(number, told));
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
    let says = |name: &str, words: &[&str]| match object.get(name) {
        None => false,
        Some(Value::String(text)) => words.contains(&text.to_ascii_lowercase().as_str()),
        Some(other) => words.contains(&other.to_string().as_str()),
    };
    says("revoked", &["true", "t", "1"]) || says("enabled", &["false", "f", "0"])
}

/// A column of this very name, or the member at a dotted path.
fn member<'o>(object: &'o Value, place: &str) -> &'o Value {
    let at_path = || place.split('.').try_fold(object, |value, name| value.get(name)).unwrap_or(&Value::Null);
    object.get(place).unwrap_or_else(at_path)
}

fn has(value: &Value) -> bool {
    !value.is_null() && value.as_str() != Some("")
}

/// Text as what it means; what cannot be read is left to the operation, which names the field.
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
