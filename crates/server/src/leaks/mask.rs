//! Credentials in what is written about a leak (LEAK-3): they may work yet, and what is told goes into a log,
//! mails and webhooks.

use keyward_core::token::Prefixes;
use percent_encoding::percent_decode_str;

use crate::identify::finds::{self, What};

/// What stands in the place of a credential.
const MASK: &str = "***";
/// What a private key begins with; of it only this line is found.
const PRIVATE_KEY: &str = "-----BEGIN";

/// What is to be masked: the credential that was reported, and all that is written like one.
pub(super) struct Mask<'a> {
    pub(super) token: &'a str,
    pub(super) prefixes: &'a Prefixes,
}

impl Mask<'_> {
    /// A text without credentials.
    pub(super) fn text(&self, text: &str) -> String {
        let text = if self.token.is_empty() { text.to_owned() } else { text.replace(self.token, MASK) };
        let (finds, more) = finds::find(&text, self.prefixes);
        if more {
            return MASK.to_owned();
        }
        let secrets = finds.iter().filter(|find| !matches!(find.what, What::AccessKey(_)));
        secrets.fold(text.clone(), |masked, find| match masked.find(PRIVATE_KEY) {
            Some(begin) if find.text.starts_with(PRIVATE_KEY) => format!("{}{MASK}", &masked[..begin]),
            _ => masked.replace(find.text, MASK),
        })
    }

    /// An address without credentials; of one that hides them behind `%`, its host.
    pub(super) fn url(&self, url: &str) -> String {
        let masked = self.text(url);
        if self.is_clean(&masked) {
            return masked;
        }
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let host = if self.is_clean(host) { host } else { MASK };
        format!("{scheme}://{host}/{MASK}")
    }

    fn is_clean(&self, text: &str) -> bool {
        let plain = percent_decode_str(text).decode_utf8_lossy();
        self.text(&plain) == plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(prefix: &str) -> String {
        let access_key = keyward_core::token::AccessKey::from_digits("0123456789abcdef").expect("an id");
        let secret = keyward_core::token::generate(prefix, access_key, &mut |bytes| bytes.fill(7));
        secret.expose().to_owned()
    }

    #[test]
    fn leak_3_nothing_that_may_work_is_told_of_a_find() {
        let (own, foreign) = (secret("kwm"), format!("ghp_{}", "a1B2".repeat(9)));
        let prefixes = Prefixes::default();
        let mask = Mask { token: "old.style+key", prefixes: &prefixes };
        let text = format!("{own} and {foreign}, old.style+key of kwa_0123456789abcdef");
        assert_eq!(mask.text(&text), "*** and ***, *** of kwa_0123456789abcdef");
        assert_eq!(mask.text("x -----BEGIN EC PRIVATE KEY----- MHcCAQEE"), "x ***");
        assert_eq!(mask.text("nothing here"), "nothing here");
        assert_eq!(mask.url(&format!("https://x.example/?k={own}#L3")), "https://x.example/?k=***#L3");
        assert_eq!(mask.url("https://x.example/?k=old.style%2Bkey"), "https://x.example/***");
        let hidden = own.replacen("kwm_", "kwm%5F", 1);
        assert_eq!(mask.url(&format!("https://x.example/{hidden}")), "https://x.example/***");
        assert_eq!(mask.url(&format!("https://u:{hidden}@x.example:8443?a")), "https://x.example:8443/***");
        assert_eq!(mask.url(&format!("https://{hidden}.example/a")), "https://***/***");
    }
}
