//! Tokens that only this instance can have made: a few of their random digits are a keyed hash of the
//! public id before them. A made-up token dies by that without any look-up (KEY-3, R10), where a
//! checksum alone can be computed by anybody. The other digits, and the stored hash, still decide.

use keyward_core::secret::Secret;
use keyward_core::token::{self, AccessKey, MARK_LEN};

use crate::random;
use crate::seal::RootKey;

/// Makes a token of this kind, and tells its public id.
pub(crate) fn generate(root_key: &RootKey, prefix: &str) -> (Secret, AccessKey) {
    let id = AccessKey::generate(&mut random::fill);
    let mark = mark(root_key, prefix, id);
    (token::generate_marked(prefix, id, mark, &mut random::fill), id)
}

/// Whether a token of this kind and id can be one of ours.
pub(crate) fn is_ours(root_key: &RootKey, prefix: &str, id: AccessKey, text: &str) -> bool {
    token::mark_of(text) == Some(&mark(root_key, prefix, id)[..])
}

fn mark(root_key: &RootKey, prefix: &str, id: AccessKey) -> [u8; MARK_LEN] {
    let hash = root_key.mac(format!("token mark v1\0{prefix}\0{}", id.digits()).as_bytes());
    token::digits_of(u64::from_be_bytes(hash[..8].try_into().expect("eight of 32 bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_3_a_token_is_marked_by_its_instance_for_its_kind_and_id() {
        let (one, two) = (RootKey::generate(), RootKey::generate());
        let (token, id) = generate(&one, "kws");
        let text = token.expose();
        assert_eq!(token::parse_other(text, "kws"), Some(id));
        assert!(is_ours(&one, "kws", id, text));
        assert!(!is_ours(&two, "kws", id, text));
        assert!(!is_ours(&one, "kwl", id, text));
        let (_, other) = generate(&one, "kws");
        assert!(!is_ours(&one, "kws", other, text));
        assert!(!is_ours(&one, "kws", id, "kws_"));
    }
}
