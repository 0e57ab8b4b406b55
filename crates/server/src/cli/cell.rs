//! One value of an API object as text: for people, for pipes, for spreadsheets.

use jiff::Timestamp;
use serde_json::Value;

use crate::csv;

/// Makes text from elsewhere harmless: control characters, ANSI escapes and invisible direction
/// marks are shown as escapes instead of being obeyed by the terminal (AUD-3).
pub(crate) fn clean(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            _ if is_unsafe(c) => safe.extend(c.escape_unicode()),
            _ => safe.push(c),
        }
    }
    safe
}

/// Characters that a terminal acts upon or hides.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// The member at a dotted path.
pub(crate) fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').try_fold(object, |value, name| value.get(name)).unwrap_or(&Value::Null)
}

/// All leaves of an object with their dotted paths; arrays are leaves.
pub(crate) fn leaves(object: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(members) if !members.is_empty() || path.is_empty() => {
                for (name, member) in members {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    walk(member, &path, found);
                }
            }
            _ => found.push(path.to_owned()),
        }
    }
    let mut found = Vec::new();
    walk(object, "", &mut found);
    found
}

/// The plain text of a value, nothing escaped: RFC 3339 times, JSON for nested things.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(plain).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

/// A cell of a table on a terminal: times relative to now, blanks as a dash.
pub(crate) fn for_people(name: &str, value: &Value, now: Timestamp) -> String {
    if is_time(name)
        && let Some(moment) = value.as_str().and_then(|text| text.parse().ok())
    {
        return relative(moment, now);
    }
    match value {
        Value::Null if name == "expires_at" => "never".to_owned(),
        Value::Null => "-".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) if items.iter().all(Value::is_object) => {
            items.iter().map(|item| in_one_line(item, now)).collect::<Vec<_>>().join("\n")
        }
        other => clean(&plain(other)),
    }
}

/// The members of an object in a row, those without a value left out.
fn in_one_line(object: &Value, now: Timestamp) -> String {
    let told = leaves(object).into_iter().filter(|path| !at(object, path).is_null());
    let told = told.map(|path| format!("{path} {}", for_people(&path, at(object, &path), now)));
    told.collect::<Vec<_>>().join(", ")
}

/// A cell of a CSV file. Text that a spreadsheet would take for a formula gets an apostrophe in
/// front (WEB-6); numbers stay numbers.
pub(crate) fn for_csv(value: &Value) -> String {
    let text = plain(value);
    if value.is_number() { csv::quoted(text) } else { csv::cell(&text) }
}

fn is_time(name: &str) -> bool {
    name == "at" || name.ends_with("_at") || name.ends_with(".at")
}

fn relative(moment: Timestamp, now: Timestamp) -> String {
    let seconds = moment.as_second() - now.as_second();
    let size = seconds.unsigned_abs();
    let (count, unit) = match size {
        0..60 => return if seconds < 0 { "just now" } else { "in moments" }.to_owned(),
        60..3_600 => (size / 60, "minute"),
        3_600..86_400 => (size / 3_600, "hour"),
        86_400..5_184_000 => (size / 86_400, "day"),
        5_184_000..63_072_000 => (size / 2_592_000, "month"),
        _ => (size / 31_536_000, "year"),
    };
    let plural = if count == 1 { "" } else { "s" };
    if seconds < 0 { format!("{count} {unit}{plural} ago") } else { format!("in {count} {unit}{plural}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn escapes_and_direction_marks_become_visible() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\u{202e}d\u{9b}e"), "a\\u{1b}[2Jb\\nc\\u{202e}d\\u{9b}e");
        assert_eq!(clean("Zoë 東京 – ok"), "Zoë 東京 – ok");
    }

    #[test]
    fn web_6_cells_that_look_like_formulas_are_neutralised() {
        for start in ["=1+1", "+1", "-1", "@x", "\tx", "\0x"] {
            assert_eq!(for_csv(&json!(start)), format!("'{start}"));
        }
        assert_eq!(for_csv(&json!("=a,\"b\"")), "\"'=a,\"\"b\"\"\"");
        assert_eq!(for_csv(&json!("\rx")), "\"'\rx\"");
        assert_eq!(for_csv(&json!(-1)), "-1");
        assert_eq!(for_csv(&json!("a=b")), "a=b");
        assert_eq!(for_csv(&json!(["=a", "b"])), "\"'=a,b\"");
    }

    #[test]
    fn times_are_relative_for_people_only() {
        let now: Timestamp = "2026-06-01T12:00:00Z".parse().expect("a time");
        let cell = |name: &str, value: Value| for_people(name, &value, now);
        assert_eq!(cell("created_at", json!("2026-06-01T09:59:00Z")), "2 hours ago");
        assert_eq!(cell("expires_at", json!("2026-06-02T12:00:00Z")), "in 1 day");
        assert_eq!(cell("last_used_at", json!("2026-06-01T11:59:59Z")), "just now");
        assert_eq!(cell("created_at", json!("2022-06-01T12:00:00Z")), "4 years ago");
        assert_eq!(cell("label", json!("2026-06-01T09:59:00Z")), "2026-06-01T09:59:00Z");
        assert_eq!(cell("expires_at", Value::Null), "never");
        assert_eq!(cell("last_used_at", Value::Null), "-");
        assert_eq!(plain(&json!("2026-06-01T09:59:00Z")), "2026-06-01T09:59:00Z");
        let secrets =
            json!([{"generation": 2, "created_at": "2026-06-01T10:59:00Z"}, {"generation": 1, "x": null}]);
        assert_eq!(cell("secrets", secrets), "created_at 1 hour ago, generation 2\ngeneration 1");
    }

    #[test]
    fn paths_reach_into_objects() {
        let event = json!({"actor": {"id": "user_1", "key": {}}, "tags": ["a", "b"]});
        assert_eq!(at(&event, "actor.id"), "user_1");
        assert_eq!(at(&event, "actor.nothing.id"), &Value::Null);
        assert_eq!(leaves(&event), ["actor.id", "actor.key", "tags"]);
        assert_eq!(plain(at(&event, "tags")), "a,b");
    }
}
