//! Sealing of what must be recoverable (STO-2, STO-6; `design.md` §3).
//!
//! The root key never touches the database. It wraps data keys, one chain per scope (a tenant or
//! the instance); data keys seal values with AES-256-GCM-SIV. The associated data names scope,
//! table, column and row, so that a ciphertext moved elsewhere does not open.

use std::fmt;

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, Mac};
use keyward_core::secret::Pepper;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::random;
use crate::store::{Conn, instance};

/// The scope of what belongs to no tenant.
pub(crate) const INSTANCE: &str = "instance";
/// A data key is replaced after so many sealings, far below the 2^32 of SP 800-38D.
const MAX_USES: i64 = 1 << 24;
const CHECK_NAME: &str = "root_key_check";

/// 32 bytes that exist outside the database only.
pub(crate) struct RootKey(Zeroizing<[u8; 32]>);

impl RootKey {
    /// Reads 64 hexadecimal digits, blanks around them ignored.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(random::from_hex(text.trim())?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    /// A fresh key.
    pub(crate) fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random::fill(&mut *bytes);
        Self(bytes)
    }

    /// Takes over what was put together elsewhere.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key itself, to be taken apart.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The text of its file.
    pub(crate) fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(random::to_hex(&*self.0))
    }

    /// This key, sealed under another one.
    pub(crate) fn sealed_under(&self, key: &[u8; 32], associated: &[u8]) -> Result<String> {
        encrypt(&Aes256GcmSiv::new(key.into()), &*self.0, associated)
    }

    /// The opposite; nothing when the other key is a wrong one.
    pub(crate) fn unseal(key: &[u8; 32], sealed: &str, associated: &[u8]) -> Option<Self> {
        let bytes = decrypt(&Aes256GcmSiv::new(key.into()), sealed, associated)?;
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    /// What only this key makes of a message.
    pub(crate) fn mac(&self, message: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes keys of any length");
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// Tells this key from any other without telling anything about it.
    fn check_value(&self) -> String {
        random::to_hex(&self.mac(b"keyward root key check v1"))
    }

    /// Refuses a root key that is not the one this database was sealed with (OPS-4, STO-2).
    pub(crate) async fn check(&self, conn: &mut Conn) -> Result<()> {
        match instance::value(conn, CHECK_NAME).await? {
            Some(stored) if bool::from(stored.as_bytes().ct_eq(self.check_value().as_bytes())) => Ok(()),
            Some(_) => Err(Error::Startup(
                "the root key does not belong to this database; nothing was changed. \
                 Give the root key that was in use when the database was written."
                    .into(),
            )),
            None => Ok(()),
        }
    }

    /// Notes the check value of the first start.
    pub(crate) async fn remember(&self, conn: &mut Conn) -> Result<()> {
        instance::set_once(conn, CHECK_NAME, &self.check_value()).await.map(drop)
    }

    fn cipher(&self) -> Aes256GcmSiv {
        Aes256GcmSiv::new((&*self.0).into())
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey")
    }
}

/// Where a sealed value stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Tenant id or [`INSTANCE`].
    pub(crate) scope: &'a str,
    /// Table and column.
    pub(crate) column: &'a str,
    /// Primary key of the row.
    pub(crate) row: &'a str,
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        format!("{}\0{}\0{}", self.scope, self.column, self.row).into_bytes()
    }
}

/// Seals a value under the newest data key of its scope, making one if needed.
pub(crate) async fn seal(
    root: &RootKey,
    conn: &mut Conn,
    place: Place<'_>,
    plain: &[u8],
    now: i64,
) -> Result<String> {
    let (generation, key) = match instance::data_keys(conn, place.scope).await?.into_iter().next() {
        Some(row) if row.uses < MAX_USES => (row.generation, unwrap_key(root, place.scope, &row)?),
        newest => {
            let generation = newest.map_or(1, |row| row.generation + 1);
            (generation, new_data_key(root, conn, place.scope, generation, now).await?)
        }
    };
    instance::count_use(conn, place.scope, generation).await?;
    let sealed = encrypt(&Aes256GcmSiv::new((&*key).into()), plain, &place.associated_data())?;
    Ok(format!("{generation}.{sealed}"))
}

/// Opens a sealed value; fails when it stands elsewhere than it was sealed for.
pub(crate) async fn open(
    root: &RootKey,
    conn: &mut Conn,
    place: Place<'_>,
    sealed: &str,
) -> Result<Zeroizing<Vec<u8>>> {
    let broken = || Error::Damaged(format!("{} of {} cannot be opened", place.column, place.row));
    let (generation, text) = sealed.split_once('.').ok_or_else(broken)?;
    let rows = instance::data_keys(conn, place.scope).await?;
    let row = rows.iter().find(|row| row.generation.to_string() == generation).ok_or_else(broken)?;
    let key = unwrap_key(root, place.scope, row)?;
    decrypt(&Aes256GcmSiv::new((&*key).into()), text, &place.associated_data()).ok_or_else(broken)
}

async fn new_data_key(
    root: &RootKey,
    conn: &mut Conn,
    scope: &str,
    generation: i64,
    now: i64,
) -> Result<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    random::fill(&mut *key);
    let wrapped = encrypt(&root.cipher(), &*key, &wrap_data(scope, generation))?;
    instance::insert_data_key(conn, scope, generation, &wrapped, now).await?;
    Ok(key)
}

fn unwrap_key(root: &RootKey, scope: &str, row: &instance::DataKeyRow) -> Result<Zeroizing<[u8; 32]>> {
    let broken = || Error::Damaged(format!("data key {} of {scope} cannot be opened", row.generation));
    let bytes =
        decrypt(&root.cipher(), &row.wrapped, &wrap_data(scope, row.generation)).ok_or_else(broken)?;
    Ok(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| broken())?))
}

fn wrap_data(scope: &str, generation: i64) -> Vec<u8> {
    format!("data_keys\0{scope}\0{generation}").into_bytes()
}

fn encrypt(cipher: &Aes256GcmSiv, plain: &[u8], associated: &[u8]) -> Result<String> {
    let mut nonce = [0; 12];
    random::fill(&mut nonce);
    let payload = Payload { msg: plain, aad: associated };
    let sealed =
        cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| Error::internal("sealing failed"))?;
    Ok(STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
}

fn decrypt(cipher: &Aes256GcmSiv, text: &str, associated: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = STANDARD_NO_PAD.decode(text).ok()?;
    let (nonce, sealed) = bytes.split_first_chunk::<12>()?;
    let payload = Payload { msg: sealed, aad: associated };
    cipher.decrypt(&Nonce::from(*nonce), payload).ok().map(Zeroizing::new)
}

/// The peppers in use, newest first: at most three (STO-3). Makes the first one on first start.
pub(crate) async fn load_peppers(root: &RootKey, conn: &mut Conn) -> Result<Vec<Pepper>> {
    let mut peppers = Vec::new();
    for row in instance::peppers(conn).await?.into_iter().filter(|row| row.retired_at.is_none()) {
        let id = row.id.to_string();
        let bytes = open(root, conn, pepper_place(&id), &row.sealed).await?;
        let bytes = <&[u8; 32]>::try_from(bytes.as_slice())
            .map_err(|_| Error::Damaged("a pepper has not 32 bytes".into()))?;
        peppers.push(Pepper::new(u32::try_from(row.id).map_err(Error::internal)?, bytes));
    }
    Ok(peppers)
}

/// Makes a pepper with this id.
pub(crate) async fn add_pepper(root: &RootKey, conn: &mut Conn, id: i64, now: i64) -> Result<()> {
    let mut bytes = Zeroizing::new([0; 32]);
    random::fill(&mut *bytes);
    let sealed = seal(root, conn, pepper_place(&id.to_string()), &*bytes, now).await?;
    instance::insert_pepper(conn, id, &sealed, now).await
}

fn pepper_place(id: &str) -> Place<'_> {
    Place { scope: INSTANCE, column: "peppers.sealed", row: id }
}
