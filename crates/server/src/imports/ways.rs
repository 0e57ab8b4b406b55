//! How a credential that is not in our form is looked up: by what an import knows of it, under a key that
//! stands sealed in the database like a pepper.

use hmac::{Hmac, KeyInit, Mac};
use keyward_core::secret::{Pepper, SecretHash};
use keyward_core::token::AccessKey;
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::random::{self, to_hex};
use crate::seal::{self, INSTANCE, Place, RootKey};
use crate::store::imports::{self, WayRow};
use crate::store::{Conn, instance};

/// Where the key of all look-ups stands.
const KEY: &str = "import_lookup_key";
/// Lengths of credentials from elsewhere.
pub(crate) const LENGTHS: std::ops::RangeInclusive<usize> = 8..=512;

/// All ways of this instance.
pub(crate) struct Ways {
    key: Pepper,
    ways: Vec<Way>,
}

enum Way {
    /// The text itself: credentials that came in clear, or were proven by a use.
    Text,
    Sha256,
    Sha512,
    Hmac(Hmac<Sha256>),
    /// The first characters, public in a tenant: what is behind them is proven by a slow hash.
    Prefix(String, usize),
}

impl Ways {
    /// Reads the ways of all tenants.
    pub(crate) async fn load(root: &RootKey, conn: &mut Conn) -> Result<Self> {
        let key = lookup_key(root, conn).await?;
        let mut ways = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for row in imports::every_way(conn).await? {
            let (name, of_tenant) = (row.way.clone(), row.way.starts_with("prefix:"));
            if row.sealed.is_none() && !seen.insert((name, of_tenant.then(|| row.tenant_id.clone()))) {
                continue;
            }
            ways.push(Way::of(root, conn, row).await?);
        }
        Ok(Self { key, ways })
    }

    /// Whether this instance has imported nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// What the text may be known by, in the order in which to look.
    pub(crate) fn fingerprints<'w>(&'w self, text: &'w str) -> impl Iterator<Item = SecretHash> + 'w {
        self.ways.iter().filter_map(move |way| match way {
            Way::Text => Some(text_fingerprint(&self.key, text)),
            Way::Sha256 => Some(fingerprint(&self.key, "sha256", &to_hex(&Sha256::digest(text)))),
            Way::Sha512 => Some(fingerprint(&self.key, "sha512", &to_hex(&Sha512::digest(text)))),
            Way::Hmac(keyed) => {
                let mut mac = keyed.clone();
                mac.update(text.as_bytes());
                Some(fingerprint(&self.key, "hmac", &to_hex(&mac.finalize().into_bytes())))
            }
            Way::Prefix(tenant, length) => Some(prefix_fingerprint(&self.key, tenant, text.get(..*length)?)),
        })
    }

    /// The key of all look-ups.
    pub(crate) fn key(&self) -> &Pepper {
        &self.key
    }
}

impl Way {
    async fn of(root: &RootKey, conn: &mut Conn, row: WayRow) -> Result<Self> {
        if let Some(sealed) = &row.sealed {
            let key = seal::open(root, conn, place(&row.tenant_id, &row.source), sealed).await?;
            return Ok(Self::Hmac(Hmac::new_from_slice(&key).expect("HMAC takes keys of any length")));
        }
        match row.way.as_str() {
            "text" => Ok(Self::Text),
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            other => {
                let length = other.strip_prefix("prefix:").and_then(|length| length.parse().ok());
                let length = length.ok_or_else(|| Error::Damaged(format!("{other} is no way to look up")))?;
                Ok(Self::Prefix(row.tenant_id, length))
            }
        }
    }
}

/// Where the HMAC key of an import is sealed.
pub(crate) fn place<'a>(tenant: &'a str, source: &'a str) -> Place<'a> {
    Place { scope: tenant, column: "import_ways.sealed", row: source }
}

/// What is known by a hash: `way` is `sha256`, `sha512` or `hmac`.
pub(crate) fn fingerprint(key: &Pepper, way: &str, digits: &str) -> SecretHash {
    key.hash(&format!("{way} {digits}"))
}

/// What is known by its text.
pub(crate) fn text_fingerprint(key: &Pepper, text: &str) -> SecretHash {
    key.hash(&Zeroizing::new(format!("text {text}")))
}

/// What is known by its first characters.
pub(crate) fn prefix_fingerprint(key: &Pepper, tenant: &str, prefix: &str) -> SecretHash {
    key.hash(&format!("prefix {tenant} {prefix}"))
}

/// What a fingerprint is stored under.
pub(crate) fn handle(fingerprint: &SecretHash) -> AccessKey {
    AccessKey::of_hash(fingerprint)
}

/// Whether a text can be a credential from elsewhere at all.
pub(crate) fn is_credential(text: &str) -> bool {
    LENGTHS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Makes the key of all look-ups, once.
pub(crate) async fn make_key(root: &RootKey, conn: &mut Conn, now: i64) -> Result<()> {
    if instance::value(conn, KEY).await?.is_some() {
        return Ok(());
    }
    let mut bytes = Zeroizing::new([0; 32]);
    random::fill(&mut *bytes);
    let sealed = seal::seal(root, conn, key_place(), &*bytes, now).await?;
    instance::set_once(conn, KEY, &sealed).await.map(drop)
}

async fn lookup_key(root: &RootKey, conn: &mut Conn) -> Result<Pepper> {
    let sealed = instance::value(conn, KEY).await?;
    let sealed = sealed.ok_or_else(|| Error::Damaged("the key of imported keys is missing".into()))?;
    let bytes = seal::open(root, conn, key_place(), &sealed).await?;
    let bytes = <&[u8; 32]>::try_from(bytes.as_slice())
        .map_err(|_| Error::Damaged("the key of imported keys has not 32 bytes".into()))?;
    Ok(Pepper::new(0, bytes))
}

fn key_place() -> Place<'static> {
    Place { scope: INSTANCE, column: "instance.value", row: KEY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_11_lengths_and_characters_of_foreign_credentials() {
        for good in ["abcdefgh", "a.b-c_d~e!", &"x".repeat(512)] {
            assert!(is_credential(good), "{good}");
        }
        for bad in ["", "abcdefg", "with blank", "mit-ümlaut", "tab\tbed-here", &"x".repeat(513)] {
            assert!(!is_credential(bad), "{bad}");
        }
    }

    #[test]
    fn x_11_a_handle_tells_nothing_without_the_key() {
        let digits = to_hex(&Sha256::digest("password"));
        let (one, two) = (Pepper::new(0, &[1; 32]), Pepper::new(0, &[2; 32]));
        let under = |key| handle(&fingerprint(key, "sha256", &digits));
        assert_eq!(under(&one), under(&one));
        assert_ne!(under(&one), under(&two));
        assert_ne!(under(&one), handle(&fingerprint(&one, "hmac", &digits)));
        assert_ne!(
            handle(&prefix_fingerprint(&one, "tenant_1", "abcd")),
            handle(&prefix_fingerprint(&one, "tenant_2", "abcd"))
        );
    }

    #[test]
    fn x_11_every_way_has_its_fingerprint() {
        let hmac = Hmac::new_from_slice(b"k").expect("HMAC takes keys of any length");
        let ways = vec![Way::Text, Way::Sha256, Way::Sha512, Way::Hmac(hmac), Way::Prefix("t".into(), 12)];
        let ways = Ways { key: Pepper::new(0, &[1; 32]), ways };
        assert_eq!(ways.fingerprints("longer than it").count(), 5);
        // Too short for the prefix.
        assert_eq!(ways.fingerprints("abcdefgh").count(), 4);
    }
}
