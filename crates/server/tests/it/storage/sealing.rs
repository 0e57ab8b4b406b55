//! Sealed values are bound to where they stand (STO-6).

use crate::process::refused_start;
use crate::support::{Place, Server, text};

/// A stopped instance with two peppers, and copies of the sealed tables.
fn stopped() -> (Place, String) {
    let place = Place::new();
    let secret = text(&place.bootstrap()["secret"]);
    assert!(place.run(&["pepper", "rotate"]).status.success());
    place.sql("CREATE TABLE kept AS SELECT id, sealed FROM peppers");
    place.sql("CREATE TABLE kept_keys AS SELECT scope, generation, wrapped FROM data_keys");
    place.sql("CREATE TABLE kept_instance AS SELECT name, value FROM instance");
    (place, secret)
}

fn restore(place: &Place) {
    place.sql("UPDATE peppers SET sealed = (SELECT kept.sealed FROM kept WHERE kept.id = peppers.id)");
    place.sql(
        "UPDATE data_keys SET wrapped = (SELECT kept_keys.wrapped FROM kept_keys \
         WHERE kept_keys.scope = data_keys.scope AND kept_keys.generation = data_keys.generation)",
    );
    place.sql("UPDATE instance SET value = (SELECT kept_instance.value FROM kept_instance WHERE kept_instance.name = instance.name)");
}

#[test]
fn sto_6_r18_a_sealed_value_in_another_place_stops_the_start() {
    let (place, secret) = stopped();
    let cases = [
        (
            "peppers exchanged",
            "UPDATE peppers SET sealed = (SELECT kept.sealed FROM kept WHERE kept.id = 3 - peppers.id)",
        ),
        (
            "one pepper copied over the other",
            "UPDATE peppers SET sealed = (SELECT kept.sealed FROM kept WHERE kept.id = 1)",
        ),
        (
            "a pepper in the place of the signing key",
            "UPDATE peppers SET sealed = (SELECT value FROM instance WHERE name = 'audit_signing_key') WHERE id = 1",
        ),
        (
            "a pepper cut short",
            "UPDATE peppers SET sealed = SUBSTR(sealed, 1, LENGTH(sealed) - 2) WHERE id = 2",
        ),
        ("a pepper emptied", "UPDATE peppers SET sealed = '' WHERE id = 1"),
        ("another generation named", "UPDATE peppers SET sealed = '2' || SUBSTR(sealed, 2) WHERE id = 1"),
        ("the data key cut short", "UPDATE data_keys SET wrapped = SUBSTR(wrapped, 1, LENGTH(wrapped) - 2)"),
        ("the data key of another scope", "UPDATE data_keys SET scope = 'tenant'"),
    ];
    for (name, statement) in cases {
        assert!(place.sql(statement) > 0, "{name}");
        let refused = refused_start(&place, "", &[]);
        assert_eq!((refused.code, refused.out.as_str()), (12, ""), "{name}: {}", refused.err);
        assert!(refused.err.contains("cannot be opened"), "{name}: {}", refused.err);
        place.sql("UPDATE data_keys SET scope = 'instance'");
        restore(&place);
    }
    let server = Server::serve(place, serde_json::json!({ "secret": secret, "tenant_id": "" }), "");
    assert_eq!(server.root().code(&secret), "ok", "put back, everything works");
}

#[test]
fn sto_6_each_sealing_is_counted_and_no_two_are_alike() {
    let (place, _) = stopped();
    assert_eq!(
        place.sql("UPDATE data_keys SET uses = uses WHERE uses = 5"),
        1,
        "two peppers, the keys of checkpoints, of tokens and of what is imported"
    );
    let statement =
        "DELETE FROM peppers WHERE id = 2 AND sealed <> (SELECT kept.sealed FROM kept WHERE kept.id = 1)";
    assert_eq!(place.sql(statement), 1);
}

#[test]
fn sto_6_a_data_key_is_replaced_long_before_its_end() {
    let (place, secret) = stopped();
    place.sql("UPDATE data_keys SET uses = 16777216");
    assert!(place.run(&["pepper", "retire", "1", "--force"]).status.success());
    assert!(place.run(&["pepper", "rotate"]).status.success());
    assert_eq!(place.sql("UPDATE data_keys SET uses = uses WHERE generation = 2 AND uses = 1"), 1);
    assert_eq!(place.sql("UPDATE peppers SET sealed = sealed WHERE id = 3 AND sealed LIKE '2.%'"), 1);
    let server = Server::serve(place, serde_json::json!({ "secret": secret, "tenant_id": "" }), "");
    assert_eq!(server.root().get("/v1/me").status, 401, "its pepper was ended by force");
}
