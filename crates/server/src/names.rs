//! Names of people and things, brought to one form before anything compares them (DIR-6, AZ-7).

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;

use crate::error::{Error, Result};

/// Bytes in a user name, at most.
const MAX_USERNAME: usize = 128;
/// Names that look like the system speaking.
const RESERVED: [&str; 8] =
    ["administrator", "administrators", "everyone", "keyward", "operator", "root", "system", "workspace"];

/// A user name in the forms that are stored.
pub(crate) struct Username {
    /// As it is shown.
    pub(crate) shown: String,
    /// PRECIS UsernameCaseMapped: what uniqueness and look-ups compare.
    pub(crate) key: String,
    /// UTS 39 skeleton: equal for names that look alike.
    pub(crate) skeleton: String,
}

/// Whether both are the name of one user.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    let key = |text: &str| Username::parse_any(text).ok().map(|name| name.key);
    key(one).is_some_and(|one| key(other) == Some(one))
}

impl Username {
    /// Canonicalises a user name.
    ///
    /// # Errors
    /// `Error::Invalid` for what PRECIS does not allow, for reserved and for overlong names.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let name = Self::parse_any(text)?;
        if RESERVED.iter().any(|reserved| name.key == *reserved || name.skeleton == skeleton(reserved)) {
            return Err(Error::invalid("/username", "reserved_name", "this name is reserved"));
        }
        Ok(name)
    }

    /// The same, reserved names included: for the first administrator, whom nobody can mistake.
    ///
    /// # Errors
    /// `Error::Invalid` for what PRECIS does not allow and for overlong names.
    pub(crate) fn parse_any(text: &str) -> Result<Self> {
        let refuse = |code, detail: &str| Err(Error::invalid("/username", code, detail));
        if text.is_empty() || text.len() > MAX_USERNAME {
            return refuse("bad_length", "a user name has 1 to 128 bytes");
        }
        let Ok(key) = UsernameCaseMapped::enforce(text) else {
            return refuse(
                "bad_username",
                "a user name holds letters, digits and printable ASCII without blanks; no control, \
                 invisible or direction characters (RFC 8265)",
            );
        };
        if key.chars().next().is_some_and(is_combining) {
            return refuse("bad_username", "a user name does not begin with a combining mark");
        }
        let key = key.into_owned();
        let skeleton = skeleton(&key);
        Ok(Self { shown: text.trim().to_owned(), key, skeleton })
    }
}

/// The debug form escapes what would merge with the character before it.
fn is_combining(c: char) -> bool {
    !c.is_ascii() && c.escape_debug().len() > 1
}

fn skeleton(text: &str) -> String {
    unicode_security::skeleton(text).collect()
}

/// The form in which names of roles, groups and slugs are compared.
pub(crate) fn canonical(name: &str) -> String {
    name.trim().to_lowercase()
}

/// A label or name for people: 1 to `most` characters, nothing that could forge a line or a
/// terminal (AUD-3).
pub(crate) fn check_label(pointer: &str, text: &str, most: usize) -> Result<()> {
    let length = text.chars().count();
    if length == 0 || length > most {
        return Err(Error::invalid(pointer, "bad_length", format!("must have 1 to {most} characters")));
    }
    if text.chars().any(is_unprintable) || text.trim() != text {
        return Err(Error::invalid(
            pointer,
            "bad_characters",
            "must not hold control or direction characters, nor begin or end with a blank",
        ));
    }
    Ok(())
}

/// What could forge a line or a terminal.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A name of a role or group: ASCII letters, digits, blanks and `._-`, so that no look-alike of a
/// reserved name exists.
pub(crate) fn check_name(pointer: &str, text: &str) -> Result<()> {
    check_label(pointer, text, 64)?;
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b" ._-".contains(&b)) {
        return Err(Error::invalid(pointer, "bad_characters", "use A-Z a-z 0-9 blank . _ -"));
    }
    if RESERVED.contains(&canonical(text).as_str()) {
        return Err(Error::invalid(pointer, "reserved_name", "this name is reserved"));
    }
    Ok(())
}

/// A tenant's slug: `[a-z0-9-]`, 2 to 40 characters, no dash at either end.
pub(crate) fn check_slug(text: &str) -> Result<()> {
    let fits = (2..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.bytes().all(|b| b.is_ascii_digit());
    if fits && text != "current" {
        return Ok(());
    }
    Err(Error::invalid("/slug", "bad_slug", "a slug has 2 to 40 characters of a-z 0-9 -, not only digits"))
}

/// An e-mail address that can stand in a header: one `@`, no blanks, no control characters.
pub(crate) fn check_email(text: &str) -> Result<()> {
    let good = text.len() <= 254
        && text
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'))
        && !text.chars().any(|c| c.is_whitespace() || is_unprintable(c) || "<>,;:\"".contains(c));
    if good {
        return Ok(());
    }
    Err(Error::invalid("/email", "bad_email", "expected an address such as ada@example.org"))
}

/// A `LIKE` pattern that finds `text` anywhere, with the wildcards in it taken literally.
pub(crate) fn like_pattern(text: &str) -> String {
    // No ESCAPE clause is needed when the wildcards are replaced by what matches them too.
    format!("%{}%", text.to_lowercase().replace(['%', '_'], "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Option<String> {
        Username::parse(text).ok().map(|name| name.key)
    }

    #[test]
    fn dir_6_one_form_for_case_and_width() {
        assert_eq!(key("Ada").as_deref(), Some("ada"));
        assert_eq!(key("ａｄａ").as_deref(), Some("ada"));
        assert_eq!(key("ÅSA"), key("åsa"));
        assert_eq!(key("A\u{30a}sa"), key("\u{c5}sa"), "combining marks compose");
    }

    #[test]
    fn dir_6_refused_names() {
        for bad in ["", " ada", "ada ", "a da", "ada\u{202e}", "a\u{200b}da", "a\nb", "a\u{0}b", "ﬁnn"] {
            assert!(key(bad).is_none(), "{bad:?}");
        }
        assert!(key(&"x".repeat(129)).is_none());
    }

    #[test]
    fn az_7_reserved_names_and_their_look_alikes() {
        for bad in ["root", "Root", "ROOT", "rооt", "ѕystem", "Administrator"] {
            assert!(key(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn dir_6_look_alikes_share_a_skeleton() {
        let latin = Username::parse("paypal").expect("a name").skeleton;
        let cyrillic = Username::parse("pаypаl").expect("a name").skeleton;
        assert_eq!(latin, cyrillic);
    }

    #[test]
    fn labels_cannot_forge_lines() {
        for bad in ["", " x", "a\nb", "a\u{1b}[31m", "a\u{202e}b", &"x".repeat(101)] {
            assert!(check_label("/label", bad, 100).is_err(), "{bad:?}");
        }
        assert!(check_label("/label", "Größe – 東京 \"quoted\" <b>", 100).is_ok());
    }

    #[test]
    fn slugs_and_addresses() {
        for bad in ["", "a", "Upper", "-a", "a-", "a b", "123", "current"] {
            assert!(check_slug(bad).is_err(), "{bad:?}");
        }
        assert!(check_slug("acme-2").is_ok());
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\r\nBcc: x@y", "a,b@c"] {
            assert!(check_email(bad).is_err(), "{bad:?}");
        }
        assert!(check_email("ada@example.org").is_ok());
    }
}
