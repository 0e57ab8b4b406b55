//! How a credential that is not in our form is looked up: by what an import knows of it, under a key that
//! stands sealed in the database like a pepper.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use hmac::{Hmac, KeyInit, Mac};
use keyward_core::id::TenantId;
use keyward_core::secret::{Pepper, SecretHash};
use keyward_core::token::{AccessKey, BODY_LEN, Prefixes, kinds};
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

/// All ways of this instance, in the order in which to look: what a text leads to is the same whatever is
/// in memory, and slow hashes come last.
pub(crate) struct Ways {
    key: Pepper,
    ways: Vec<Way>,
}

/// A way, and the tenants that imported by it.
struct Way {
    kind: Kind,
    tenants: HashSet<TenantId>,
}

enum Kind {
    /// The text itself: credentials that came in clear, or were proven by a use.
    Text,
    Sha512,
    Sha256,
    Hmac(Hmac<Sha256>),
    /// The first characters, public in a tenant: what is behind them is proven by a slow hash.
    Prefix(String, usize),
}

impl Ways {
    /// Reads the ways of all tenants.
    pub(crate) async fn load(root: &RootKey, conn: &mut Conn) -> Result<Self> {
        let key = lookup_key(root, conn).await?;
        let mut known: BTreeMap<String, Way> = BTreeMap::new();
        for row in imports::every_way(conn).await? {
            let (name, tenant) = (shared_name(&row), row.tenant_id.parse().map_err(Error::internal)?);
            let way = match known.remove(&name) {
                Some(way) => way,
                None => Way { kind: Kind::of(root, conn, row).await?, tenants: HashSet::new() },
            };
            known.entry(name).or_insert(way).tenants.insert(tenant);
        }
        let mut ways: Vec<Way> = known.into_values().collect();
        ways.sort_by_key(|way| way.kind.rank());
        Ok(Self { key, ways })
    }

    /// Whether this instance has imported nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// What the text may be known by, in the order in which to look; of one tenant alone, if one is named.
    pub(crate) fn fingerprints<'w>(
        &'w self,
        text: &'w str,
        tenant: Option<TenantId>,
    ) -> impl Iterator<Item = SecretHash> + 'w {
        let is_of = move |way: &&Way| tenant.is_none_or(|id| way.tenants.contains(&id));
        self.ways.iter().filter(is_of).filter_map(|way| way.kind.fingerprint(&self.key, text))
    }

    /// Those that prove the text by themselves.
    pub(crate) fn fast_fingerprints<'w>(&'w self, text: &'w str) -> impl Iterator<Item = SecretHash> + 'w {
        let fast = self.ways.iter().filter(|way| !matches!(way.kind, Kind::Prefix(..)));
        fast.filter_map(|way| way.kind.fingerprint(&self.key, text))
    }

    /// The key of all look-ups.
    pub(crate) fn key(&self) -> &Pepper {
        &self.key
    }
}

impl Kind {
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

    /// The longest prefix first: it is the least likely to be that of another's key too.
    fn rank(&self) -> (u8, Reverse<usize>) {
        match self {
            Self::Text => (0, Reverse(0)),
            Self::Sha512 => (1, Reverse(0)),
            Self::Sha256 => (2, Reverse(0)),
            Self::Hmac(_) => (3, Reverse(0)),
            Self::Prefix(_, length) => (4, Reverse(*length)),
        }
    }

    fn fingerprint(&self, key: &Pepper, text: &str) -> Option<SecretHash> {
        Some(match self {
            Self::Text => text_fingerprint(key, text),
            Self::Sha512 => fingerprint(key, "sha512", &to_hex(&Sha512::digest(text))),
            Self::Sha256 => fingerprint(key, "sha256", &to_hex(&Sha256::digest(text))),
            Self::Hmac(keyed) => {
                let mut mac = keyed.clone();
                mac.update(text.as_bytes());
                fingerprint(key, "hmac", &to_hex(&mac.finalize().into_bytes()))
            }
            Self::Prefix(tenant, length) => prefix_fingerprint(key, tenant, text.get(..*length)?),
        })
    }
}

/// What is the same for imports that lead to the same: prefixes are of a tenant, keys of HMAC of an import.
fn shared_name(row: &WayRow) -> String {
    let WayRow { way, tenant_id, source, sealed } = row;
    match sealed {
        Some(_) => format!("{way} {tenant_id} {source}"),
        None if way.starts_with("prefix:") => format!("{way} {tenant_id}"),
        None => way.clone(),
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

/// Whether it is written as one of ours, be its checksum right or wrong: then it is nobody else's.
pub(crate) fn is_own_form(text: &str, prefixes: &Prefixes) -> bool {
    let Some((prefix, body)) = text.split_once('_') else { return false };
    body.len() == BODY_LEN
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && (prefixes.class_of(prefix).is_some() || kinds::Kind::of(prefix).is_some())
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

    fn tenant(number: u128) -> TenantId {
        TenantId::from_u128(number)
    }

    fn ways(kinds: Vec<(Kind, u128)>) -> Ways {
        let way = |(kind, number)| Way { kind, tenants: HashSet::from([tenant(number)]) };
        Ways { key: Pepper::new(0, &[1; 32]), ways: kinds.into_iter().map(way).collect() }
    }

    #[test]
    fn x_11_every_way_has_its_fingerprint() {
        let hmac = Hmac::new_from_slice(b"k").expect("HMAC takes keys of any length");
        let kinds = [Kind::Text, Kind::Sha256, Kind::Sha512, Kind::Hmac(hmac), Kind::Prefix("t".into(), 12)];
        let ways = ways(kinds.into_iter().map(|kind| (kind, 1)).collect());
        assert_eq!(ways.fingerprints("longer than it", None).count(), 5);
        assert_eq!(ways.fast_fingerprints("longer than it").count(), 4);
        // Too short for the prefix.
        assert_eq!(ways.fingerprints("abcdefgh", None).count(), 4);
    }

    #[test]
    fn x_11_a_tenant_pays_for_its_own_ways_alone() {
        let prefixes = (4..34).map(|length| (Kind::Prefix("t".into(), length), 2));
        let ways = ways([(Kind::Text, 1), (Kind::Sha256, 2)].into_iter().chain(prefixes).collect());
        let count = |number| ways.fingerprints(&"x".repeat(40), Some(tenant(number))).count();
        assert_eq!([count(1), count(2), count(3)], [1, 31, 0]);
    }

    #[test]
    fn x_11_our_own_form_is_nobody_elses() {
        let prefixes = Prefixes::default();
        let body = "0".repeat(BODY_LEN);
        for own in ["kwm", "kww", "kwi", "kws", "kwt", "kwf"] {
            assert!(is_own_form(&format!("{own}_{body}"), &prefixes), "{own}");
        }
        for other in [format!("acme_{body}"), "kwm_short".into(), format!("kwm_{body}0"), body.clone()] {
            assert!(!is_own_form(&other, &prefixes), "{other}");
        }
    }
}
