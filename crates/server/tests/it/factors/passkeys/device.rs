//! An authenticator in software: what a browser and a device make of the options of a server.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::text;

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const HOLDS_A_KEY: u8 = 0x40;

enum Key {
    Es256(Box<EcdsaKeyPair>),
    EdDsa(Box<Ed25519KeyPair>),
}

/// A device with one passkey, and the browser before it.
pub(crate) struct Device {
    key: Key,
    pub(crate) id: Vec<u8>,
    /// Whose passkey it is, as the server said.
    pub(crate) user: Option<String>,
    /// How often it signed; a device that does not count stays at 0.
    pub(crate) counter: u32,
    pub(crate) counts: bool,
    /// Whether it makes sure who holds it.
    pub(crate) verifies: bool,
    /// Whether somebody touched it.
    pub(crate) touched: bool,
    /// The page that asks.
    pub(crate) origin: String,
    /// Whether that page stands in a frame of another site.
    pub(crate) framed: bool,
    /// The site that it signs for, if not the one it is asked for.
    pub(crate) site: Option<String>,
}

impl Device {
    /// A device that counts, with a key for ES256.
    pub(crate) fn new(url: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        Self::with(url, Key::Es256(Box::new(key)), true)
    }

    /// One that does not count, as those that are synchronized, with a key for EdDSA.
    pub(crate) fn synchronized(url: &str) -> Self {
        Self::with(url, Key::EdDsa(Box::new(Ed25519KeyPair::generate().expect("a key"))), false)
    }

    fn with(url: &str, key: Key, counts: bool) -> Self {
        let mut id = vec![0; 32];
        aws_lc_rs::rand::fill(&mut id).expect("randomness");
        Self {
            key,
            id,
            user: None,
            counter: 0,
            counts,
            verifies: true,
            touched: true,
            origin: url.replace("127.0.0.1", "localhost"),
            framed: false,
            site: None,
        }
    }

    /// `navigator.credentials.create`
    pub(crate) fn create(&mut self, options: &Value) -> Value {
        self.user = Some(text(&options["user"]["id"]));
        let data = self.client_data("webauthn.create", &text(&options["challenge"]));
        let site = text(&options["rp"]["id"]);
        let attested = [vec![0; 16], vec![0, u8::try_from(self.id.len()).expect("short")], self.id.clone()];
        let signed = [self.head(&site, HOLDS_A_KEY), attested.concat(), self.cose()].concat();
        json!({
            "id": b64(&self.id), "rawId": b64(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": b64(&data), "attestationObject": b64(&attestation(&signed)),
                "transports": ["internal", "of-tomorrow"], "authenticatorData": b64(&signed),
                "publicKeyAlgorithm": -7,
            },
        })
    }

    /// `navigator.credentials.get`
    pub(crate) fn get(&mut self, options: &Value) -> Value {
        let data = self.client_data("webauthn.get", &text(&options["challenge"]));
        let signed = self.head(&text(&options["rpId"]), 0);
        let signature = self.sign(&[&signed, digest(&SHA256, &data).as_ref()].concat());
        json!({
            "id": b64(&self.id), "rawId": b64(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": b64(&data), "authenticatorData": b64(&signed),
                "signature": b64(&signature), "userHandle": self.user,
            },
        })
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        let (origin, framed) = (&self.origin, self.framed);
        json!({ "type": kind, "challenge": challenge, "origin": origin, "crossOrigin": framed })
            .to_string()
            .into_bytes()
    }

    /// The first 37 bytes of what is signed.
    fn head(&mut self, site: &str, flags: u8) -> Vec<u8> {
        self.counter += u32::from(self.counts);
        let site = self.site.as_deref().unwrap_or(site);
        let present = if self.touched { USER_PRESENT } else { 0 };
        let verified = if self.verifies { USER_VERIFIED } else { 0 };
        let mut head = digest(&SHA256, site.as_bytes()).as_ref().to_vec();
        head.push(flags | present | verified);
        head.extend(self.counter.to_be_bytes());
        head
    }

    /// The public key as a map of CBOR (RFC 9053).
    fn cose(&self) -> Vec<u8> {
        match &self.key {
            Key::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let head = [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
                [&head[..], &point[1..33], &[0x22, 0x58, 0x20], &point[33..]].concat()
            }
            Key::EdDsa(pair) => {
                let head = [0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20];
                [&head[..], pair.public_key().as_ref()].concat()
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.key {
            Key::Es256(pair) => {
                pair.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec()
            }
            Key::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// `{"fmt": "none", "attStmt": {}, "authData": …}` in CBOR.
pub(crate) fn attestation(signed: &[u8]) -> Vec<u8> {
    let length = u16::try_from(signed.len()).expect("short").to_be_bytes();
    [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59", &length[..], signed].concat()
}

/// Bytes as they stand in the JSON of WebAuthn.
pub(crate) fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The other way round.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text(value)).expect("base64url")
}
