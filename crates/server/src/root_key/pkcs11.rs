//! A token (PKCS #11) as what opens the root key. A secret key that never leaves the token makes the
//! key that seals: HMAC-SHA-256 over a salt, which nearly every token can do.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as TokenError, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use crate::config::Pkcs11Settings;
use crate::error::{Error, Result};

const PURPOSE: &[u8] = b"keyward root key v1";

/// What to do when the token has no key of this name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Refuse,
    Make,
}

/// The key that the token makes of this salt.
pub(super) fn key(settings: &Pkcs11Settings, salt: &[u8], missing: Missing) -> Result<Zeroizing<[u8; 32]>> {
    let fail = |why: TokenError| told(settings, &why);
    let module = settings.module.as_ref().ok_or_else(|| {
        Error::Startup("the root key is sealed by a token: name its library in root_key.pkcs11.module".into())
    })?;
    let library = Pkcs11::new(module).map_err(fail)?;
    library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(fail)?;
    let slot = slot(&library, settings)?;
    let session = match missing {
        Missing::Refuse => library.open_ro_session(slot),
        Missing::Make => library.open_rw_session(slot),
    };
    let session = session.map_err(fail)?;
    let has_pad = library.get_token_info(slot).map_err(fail)?.protected_authentication_path();
    log_in(&session, settings, has_pad)?;
    let handle = secret_key(&session, settings, missing)?;
    let mac = session.sign(&Mechanism::Sha256Hmac, handle, &[PURPOSE, salt].concat()).map_err(fail)?;
    let mac = Zeroizing::new(mac);
    let key = <[u8; 32]>::try_from(mac.as_slice()).map_err(|_| told(settings, &TokenError::InvalidValue))?;
    Ok(Zeroizing::new(key))
}

fn slot(library: &Pkcs11, settings: &Pkcs11Settings) -> Result<Slot> {
    let fail = |why: TokenError| told(settings, &why);
    for slot in library.get_slots_with_initialized_token().map_err(fail)? {
        if library.get_token_info(slot).map_err(fail)?.label() == settings.token {
            return Ok(slot);
        }
    }
    Err(Error::Startup(format!("no token is called {:?} (root_key.pkcs11.token)", settings.token)))
}

/// With the PIN, unless the token has keys of its own to type it on.
fn log_in(session: &Session, settings: &Pkcs11Settings, has_pad: bool) -> Result<()> {
    let pin = match &settings.pin_file {
        None if has_pad => None,
        file => {
            let what = format!("the PIN of the token {}", settings.token);
            let pin = super::ask(file.as_ref(), "keyward-pin", "root_key.pkcs11.pin_file", &what)?;
            Some(AuthPin::from(pin.as_str()))
        }
    };
    session.login(UserType::User, pin.as_ref()).map_err(|why| match why {
        TokenError::Pkcs11(
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinLocked,
            _,
        ) => Error::Locked(format!("the token {} refuses this PIN: {why}", settings.token)),
        other => told(settings, &other),
    })
}

fn secret_key(session: &Session, settings: &Pkcs11Settings, missing: Missing) -> Result<ObjectHandle> {
    let fail = |why: TokenError| told(settings, &why);
    let class = Attribute::Class(ObjectClass::SECRET_KEY);
    let label = Attribute::Label(settings.key.clone().into_bytes());
    let found = session.find_objects(&[class, label.clone()]).map_err(fail)?;
    match (found.as_slice(), missing) {
        ([only], _) => Ok(*only),
        ([], Missing::Make) => {
            session.generate_key(&Mechanism::GenericSecretKeyGen, &template(label)).map_err(fail)
        }
        ([], Missing::Refuse) => Err(Error::Startup(format!(
            "the token {} has no secret key {:?} (root_key.pkcs11.key)",
            settings.token, settings.key
        ))),
        _ => Err(Error::Startup(format!(
            "the token {} has several secret keys {:?}: give the right one a label of its own",
            settings.token, settings.key
        ))),
    }
}

/// A key that stays in the token and does nothing but HMAC.
fn template(label: Attribute) -> Vec<Attribute> {
    vec![
        label,
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::ValueLen(32.into()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ]
}

fn told(settings: &Pkcs11Settings, why: &TokenError) -> Error {
    Error::Startup(format!("root_key.pkcs11, token {:?}: {why}", settings.token))
}
