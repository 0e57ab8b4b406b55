//! `--print-curl`: the request as a shell command. Secrets are shell variables in it, never text.

use reqwest::Url;
use serde_json::Value;

use super::Global;
use super::client::{Request, parameters, plain_headers};

/// Stands in a body where the credential goes; printed as `$KEYWARD_CREDENTIAL`.
pub(crate) const CREDENTIAL: &str = "\u{0}credential\u{0}";

/// The command that sends the same request.
pub(crate) fn command(global: &Global, address: &Url, request: &Request) -> String {
    let mut words = vec![format!("curl -sS -X {} {}", request.method, quoted(address.as_str()))];
    words.push(match request.form {
        true => "-u \"$KEYWARD_ACCESS_KEY:$KEYWARD_TOKEN\"".to_owned(),
        false => "-H \"Authorization: Bearer $KEYWARD_TOKEN\"".to_owned(),
    });
    for (name, value) in plain_headers(global, request) {
        words.push(format!("-H {}", quoted(&format!("{name}: {value}"))));
    }
    if let Some(path) = &global.cacert {
        words.push(format!("--cacert {}", quoted(&path.to_string_lossy())));
    }
    if let Some(body) = request.body.as_ref().filter(|_| request.form) {
        let word = |(name, value): (&str, String)| match &*value {
            CREDENTIAL => format!("--data-urlencode \"{name}=$KEYWARD_CREDENTIAL\""),
            value => format!("--data-urlencode {}", quoted(&format!("{name}={value}"))),
        };
        words.extend(parameters(body).into_iter().map(word));
    } else if let Some(body) = &request.body {
        words.push("-H 'content-type: application/json'".to_owned());
        words.push(format!("--data-binary {}", quoted_body(body)));
    }
    words.join(" \\\n  ")
}

fn quoted_body(body: &Value) -> String {
    let placeholder = Value::from(CREDENTIAL).to_string();
    quoted(&body.to_string()).replace(&placeholder, "\"'\"$KEYWARD_CREDENTIAL\"'\"")
}

/// Single quotes hold everything but themselves.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quotes_and_the_credential_survive_the_shell() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
        let body = json!({"credential": CREDENTIAL, "rights": ["a:b"]});
        let expected = r#"'{"credential":"'"$KEYWARD_CREDENTIAL"'","rights":["a:b"]}'"#;
        assert_eq!(quoted_body(&body), expected);
    }
}
