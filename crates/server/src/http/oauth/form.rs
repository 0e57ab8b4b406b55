//! Forms as OAuth sends them: strict about what is there, deaf to what it does not know (RFC 6749 §3.2).

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;

use super::error::{Refusal, Told};

/// Parameters in one form, at most.
const MOST: usize = 50;
/// The only parameters that may stand several times (RFC 8693 §2.1).
const REPEATED: [&str; 2] = ["audience", "resource"];

/// The parameters of a request that have a value.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Told<Self> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Refusal::request("send Content-Type: application/x-www-form-urlencoded"));
        }
        let text = std::str::from_utf8(body).map_err(|_| garbled())?;
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if !REPEATED.contains(&&*name) && pairs.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::request("a parameter may stand once only"));
            }
            if pairs.len() == MOST {
                return Err(Refusal::request("too many parameters"));
            }
            pairs.push((name, value));
        }
        // Without a value it counts as left out.
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self(pairs))
    }

    /// The value of a parameter.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All its values.
    pub(super) fn many(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value, or a refusal that names it.
    pub(super) fn required(&self, name: &str) -> Told<&str> {
        self.one(name).ok_or_else(|| Refusal::request(&format!("{name} is missing")))
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        // Secrets come this way.
        for (_, value) in &mut self.0 {
            zeroize::Zeroize::zeroize(value);
        }
    }
}

/// One name or value, decoded; also the halves of Basic (RFC 6749 §2.3.1).
pub(super) fn decode(text: &str) -> Told<String> {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let whole = (0..bytes.len()).all(|at| bytes[at] != b'%' || (hex(at + 1) && hex(at + 2)));
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| garbled())?;
    if !whole || decoded.contains('\0') {
        return Err(garbled());
    }
    Ok(decoded.into_owned())
}

fn garbled() -> Refusal {
    Refusal::request("the form cannot be read")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(body: &str) -> Option<Form> {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("Application/X-WWW-Form-Urlencoded; charset=utf-8");
        headers.insert(CONTENT_TYPE, kind);
        Form::read(&headers, body.as_bytes()).ok()
    }

    #[test]
    fn x_13_a_form_is_read_strictly() {
        let form = read("scope=a%3Ab+c%3Ad&empty=&audience=x&audience=y&&new=1").expect("a form");
        assert_eq!(
            (form.one("scope"), form.one("empty"), form.one("new")),
            (Some("a:b c:d"), None, Some("1"))
        );
        assert_eq!(form.many("audience").collect::<Vec<_>>(), ["x", "y"]);
        assert!(form.required("token").is_err());
        for bad in ["a=1&a=1", "a=1&a=", "unknown=1&unknown=2", "a=%zz", "a=%4", "a=%", "a=%ff", "a=%00"] {
            assert!(read(bad).is_none(), "{bad}");
        }
        let most = |count: usize| (0..count).map(|n| format!("p{n}=1&")).collect::<String>();
        assert!(read(&most(MOST)).is_some() && read(&most(MOST + 1)).is_none());
        assert!(Form::read(&HeaderMap::new(), b"a=1").is_err(), "without its content type");
    }
}
