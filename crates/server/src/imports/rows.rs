//! One row after the other: checked as a new key is, and written.

use std::collections::{BTreeSet, HashMap};

use keyward_core::id::{GroupId, RoleId, UserId};
use keyward_core::secret::{Pepper, SecretHash};
use std::sync::Arc;

use super::formats::{Format, Known};
use super::wire::{ImportIn, RowIn};
use super::{UNPROVEN, place, ways};
use crate::app::{App, Tx};
use crate::error::{Error, Result};
use crate::failures;
use crate::keys::create::{self, Draft, Owners};
use crate::keys::wire::KeyIn;
use crate::names::{canonical, check_label};
use crate::random;
use crate::seal;
use crate::store::imports::{self, ImportedRow};
use crate::store::keys::{KeyRow, SecretRow};
use crate::store::{groups, roles, users};
use crate::verify::facts::TenantRecord;

/// Shorter ones are told of.
const WEAK: usize = 20;
/// Characters of a prefix by which a slow hash is found.
const PREFIX: std::ops::RangeInclusive<usize> = 4..=64;
/// Characters of a hint, at most.
const MAX_HINT: usize = 16;

/// Credentials of other tenants in one request, at most, and seconds to wait for whoever brings more.
const MOST_STRANGE: usize = 5;
const STRANGE_WAIT: u64 = 60;

/// What became of a row.
pub(super) enum Row {
    Imported { weak: bool },
    Known,
}

/// What the rows of one request share.
pub(super) struct Batch<'b> {
    app: &'b App,
    input: &'b ImportIn,
    tenant: String,
    directory: Arc<TenantRecord>,
    /// The key of look-ups, and the pepper of what comes in clear.
    lookup: Pepper,
    pepper: Pepper,
    owners: Owners,
    owner_ids: HashMap<String, String>,
    roles: HashMap<String, String>,
    groups: HashMap<String, String>,
    keys: Vec<(String, String)>,
    handles: Vec<String>,
    ways: BTreeSet<String>,
    /// Credentials that keys of other tenants have.
    strange: usize,
    /// How many of the keys wait for an approval.
    pub(super) waiting: usize,
}

/// How a credential will be found and proven.
struct Way {
    name: String,
    fingerprint: SecretHash,
    /// Handles by which the same credential may be known already.
    others: Vec<String>,
    pepper: u32,
    hash: String,
    hint: String,
    slow: bool,
    weak: bool,
}

impl<'b> Batch<'b> {
    pub(super) async fn new(app: &'b App, tx: &mut Tx<'_>, input: &'b ImportIn) -> Result<Self> {
        let tenant = tx.tenant().to_owned();
        let directory = tx.directory().await?;
        let roles = roles::all(tx.conn(), &tenant).await?;
        let groups = groups::all(tx.conn(), &tenant).await?;
        let pepper = app.verifier.peppers.load().first().cloned();
        Ok(Self {
            app,
            input,
            directory,
            lookup: app.verifier.import_ways.load().key().clone(),
            pepper: pepper.expect("start-up makes the first pepper"),
            owners: Owners::default(),
            owner_ids: HashMap::new(),
            roles: roles.into_iter().map(|role| (role.name_key, role.id)).collect(),
            groups: groups.into_iter().map(|group| (group.name_key, group.id)).collect(),
            keys: Vec::new(),
            handles: Vec::new(),
            ways: BTreeSet::new(),
            strange: 0,
            waiting: 0,
            tenant,
        })
    }

    /// Ids and access keys of what was made, the handles of their credentials, and the ways to those.
    pub(super) fn finish(self) -> (Vec<(String, String)>, Vec<String>, BTreeSet<String>) {
        (self.keys, self.handles, self.ways)
    }

    /// Takes one row. Whatever refuses it does so before anything of it is written.
    pub(super) async fn take(&mut self, tx: &mut Tx<'_>, row: &RowIn) -> Result<Row> {
        check_label("/external_id", &row.external_id, 200)?;
        if imports::is_known(tx.conn(), &self.tenant, &self.input.source, &row.external_id).await? {
            return Ok(Row::Known);
        }
        let way = self.way(row)?;
        let input = self.key_of(tx, row).await?;
        let Draft { row: key, access_key, holder } =
            create::draft(tx, &self.directory, &input, &mut self.owners).await?;
        let key = KeyRow {
            imported_from: Some(self.input.source.clone()),
            imported_at: Some(tx.now),
            external_id: Some(row.external_id.clone()),
            ..key
        };
        let handle = ways::handle(&way.fingerprint).digits().to_owned();
        let sealed = match way.slow {
            true => {
                let at = place(&self.tenant, &key.id);
                let now = tx.now;
                Some(seal::seal(&self.app.root_key, tx.conn(), at, row.hash.as_bytes(), now).await?)
            }
            false => None,
        };
        let imported = ImportedRow {
            handle: handle.clone(),
            tenant_id: self.tenant.clone(),
            key_id: key.id.clone(),
            access_key: access_key.digits().to_owned(),
            generation: 1,
            sealed,
        };
        self.must_be_alone(tx, &way.others).await?;
        if !imports::insert(tx.conn(), &imported).await? {
            self.must_be_alone(tx, &[imported.handle]).await?;
            return Err(duplicate());
        }
        let secret = SecretRow {
            generation: 1,
            pepper_id: i64::from(way.pepper),
            hash: way.hash,
            hint: way.hint,
            created_at: tx.now,
            retires_at: None,
            seen_at: None,
        };
        create::insert(tx, &key, &holder, &secret).await?;
        if let Some(owner) = &key.owner_id {
            self.owners.count(owner);
        }
        self.ways.extend([way.name].into_iter().chain(way.slow.then(|| "text".to_owned())));
        self.waiting += usize::from(key.awaits_approval);
        self.keys.push((key.id, key.access_key));
        self.handles.push(handle);
        Ok(Row::Imported { weak: way.weak })
    }

    /// Refuses a credential that another key has, be it in whichever tenant. Whoever meets those of other
    /// tenants often looks for them.
    async fn must_be_alone(&mut self, tx: &mut Tx<'_>, handles: &[String]) -> Result<()> {
        for handle in handles {
            let Some(other) = imports::load(tx.conn(), handle).await? else { continue };
            if other.tenant_id != self.tenant {
                self.strange += 1;
                let tenant = self.tenant.parse().ok();
                let wait = failures::note(self.app, tenant, "import", tx.actor.call.address);
                let wait = wait.or((self.strange > MOST_STRANGE).then_some(STRANGE_WAIT));
                wait.map_or(Ok(()), |seconds| Err(Error::RateLimited(seconds)))?;
            }
            return Err(duplicate());
        }
        Ok(())
    }

    fn way(&self, row: &RowIn) -> Result<Way> {
        let hint = hint(row)?;
        let known = self.input.format.read(&row.hash)?;
        let unproven = |name: &str, fingerprint: SecretHash| Way {
            name: name.to_owned(),
            pepper: UNPROVEN,
            hash: fingerprint.to_hex(),
            others: Vec::new(),
            fingerprint,
            hint: hint.clone(),
            slow: false,
            weak: false,
        };
        Ok(match known {
            Known::Text(text) => {
                self.must_be_foreign(&text)?;
                if hint.len() * 2 > text.len() {
                    return Err(Error::invalid(
                        "/hint",
                        "bad_value",
                        "a hint is less than half of the credential",
                    ));
                }
                Way {
                    name: "text".into(),
                    fingerprint: ways::text_fingerprint(&self.lookup, &text),
                    others: self.hashed_before(&text),
                    pepper: self.pepper.id(),
                    hash: self.pepper.hash(&text).to_hex(),
                    hint,
                    slow: false,
                    weak: text.len() < WEAK,
                }
            }
            Known::Sha256(digits) => unproven("sha256", ways::fingerprint(&self.lookup, "sha256", &digits)),
            Known::Sha512(digits) => unproven("sha512", ways::fingerprint(&self.lookup, "sha512", &digits)),
            Known::HmacSha256(digits) => unproven("hmac", ways::fingerprint(&self.lookup, "hmac", &digits)),
            Known::Slow => {
                let prefix = self.prefix(row)?;
                let fingerprint = ways::prefix_fingerprint(&self.lookup, &self.tenant, prefix);
                // Nothing has this hash: it stands in for the one that the first use will make.
                let hash = random::hex::<32>();
                Way { slow: true, hash, ..unproven(&format!("prefix:{}", prefix.len()), fingerprint) }
            }
        })
    }

    /// Where the text stands if it came along by its hash before.
    fn hashed_before(&self, text: &str) -> Vec<String> {
        let ways = self.app.verifier.import_ways.load();
        ways.fast_fingerprints(text).map(|hashed| ways::handle(&hashed).digits().to_owned()).collect()
    }

    fn must_be_foreign(&self, text: &str) -> Result<()> {
        if !ways::is_credential(text) {
            return Err(Error::invalid("/hash", "bad_length", "expected 8 to 512 visible ASCII characters"));
        }
        if ways::is_own_form(text, &self.app.verifier.prefixes) {
            return Err(Error::invalid("/hash", "own_credential", "this is a credential of a Keyward"));
        }
        Ok(())
    }

    /// The public part of a credential with a slow hash. Keys of djangorestframework-api-key have it in front
    /// of a dot.
    fn prefix<'r>(&self, row: &'r RowIn) -> Result<&'r str> {
        let bad = |detail: &str| Error::invalid("/lookup_prefix", "required", detail);
        let prefix = row.lookup_prefix.as_deref();
        let prefix =
            prefix.ok_or_else(|| bad("a slow hash is found by the first characters of its credential"))?;
        let good = PREFIX.contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_graphic());
        if !good {
            return Err(bad("expected 4 to 64 visible ASCII characters"));
        }
        debug_assert!(!matches!(self.input.format, Format::Plain | Format::Kong), "those are not slow");
        Ok(prefix)
    }

    /// The row as a wish for a new key, with ids for names.
    async fn key_of(&mut self, tx: &mut Tx<'_>, row: &RowIn) -> Result<KeyIn> {
        Ok(KeyIn {
            class: row.class,
            owner_id: match &row.owner {
                Some(owner) => Some(self.owner(tx, owner).await?),
                None => None,
            },
            label: row.label.clone().unwrap_or_else(|| row.external_id.chars().take(100).collect()),
            scopes: row.scopes.clone(),
            group_ids: ids::<GroupId>(&row.groups, &self.groups),
            role_ids: ids::<RoleId>(&row.roles, &self.roles),
            not_before: row.not_before.clone(),
            expires_at: row.expires_at.clone(),
            ttl_seconds: row.ttl_seconds,
            expires: row.expires.clone(),
            conditions: row.conditions.clone(),
            limits: row.limits.clone(),
            credits: row.credits,
            credit_refill: row.credit_refill,
            idle_seconds: row.idle_seconds,
            canary: false,
            // What was brought along is replaced by hand, when whoever uses it is ready.
            rotation: Some(None),
            handover: None,
        })
    }

    /// The id of a user that is told by name or id.
    async fn owner(&mut self, tx: &mut Tx<'_>, owner: &str) -> Result<String> {
        if owner.parse::<UserId>().is_ok() {
            return Ok(owner.to_owned());
        }
        if let Some(known) = self.owner_ids.get(owner) {
            return Ok(known.clone());
        }
        // Who may not issue for others may not learn who exists either.
        tx.must_hold("keys/others:create").map_err(|_| Error::NotFound)?;
        let found = users::find_by_name(tx.conn(), &self.tenant, &canonical(owner)).await?;
        let id = found.ok_or(Error::NotFound)?.id;
        self.owner_ids.insert(owner.to_owned(), id.clone());
        Ok(id)
    }
}

fn duplicate() -> Error {
    Error::conflict("duplicate_credential", "another key has this credential already")
}

/// Ids for names; what is neither stays as it is and is refused with its place.
fn ids<I: std::str::FromStr>(names: &[String], known: &HashMap<String, String>) -> Vec<String> {
    let id = |name: &String| match name.parse::<I>() {
        Ok(_) => name.clone(),
        Err(_) => known.get(&canonical(name)).unwrap_or(name).clone(),
    };
    names.iter().map(id).collect()
}

/// What lists show of the credential: what the row tells, or nothing of it.
fn hint(row: &RowIn) -> Result<String> {
    let Some(hint) = &row.hint else { return Ok("…".into()) };
    check_label("/hint", hint, MAX_HINT)?;
    let fits = |c: char| c == '…' || (c.is_ascii_graphic() && !['"', '\\'].contains(&c));
    if !hint.chars().all(fits) {
        let detail = "a hint has visible ASCII characters without quotes and backslashes, and …";
        return Err(Error::invalid("/hint", "bad_characters", detail));
    }
    Ok(hint.clone())
}
