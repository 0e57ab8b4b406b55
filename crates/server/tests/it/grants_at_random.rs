//! Random administrators make random grants; nobody ends up with more than the givers held (AZ-5).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::api::{all, person, tenant};
use crate::support::{Answer, Caller, Server, text};

/// Rights that roles are made of.
const RIGHTS: [&str; 8] =
    ["a:read", "a:*", "*:read", "b/c:read", "b/*:write", "b/**:read", "b/**:*", "**:read"];
/// What is told apart: concrete rights, of which those above hold some.
const ATOMS: [&str; 12] = [
    "a:read",
    "a:write",
    "b:read",
    "b:write",
    "b/c:read",
    "b/c:write",
    "b/d:read",
    "b/d:write",
    "b/c/e:read",
    "b/c/e:write",
    "users:read",
    "policies:read",
];
/// Every administrator may use every door.
const VERBS: [&str; 7] = [
    "users:write",
    "roles:write",
    "groups:write",
    "keys:create",
    "keys:edit",
    "keys/others:create",
    "keys:read",
];

/// Whether a right holds an atom: written apart from the server's, on purpose.
fn holds(right: &str, atom: &str) -> bool {
    let ((resource, action), (place, verb)) = (split(right), split(atom));
    let mut places = place.split('/');
    let fits = resource.split('/').all(|segment| match segment {
        "**" => places.by_ref().count() < usize::MAX,
        "*" => places.next().is_some(),
        name => places.next() == Some(name),
    });
    fits && places.next().is_none() && (action == "*" || action == verb)
}

fn split(right: &str) -> (&str, &str) {
    right.split_once(':').expect("a right")
}

fn atoms(rights: &Value) -> BTreeSet<&'static str> {
    let rights: Vec<&str> = rights.as_array().expect("rights").iter().filter_map(Value::as_str).collect();
    ATOMS.into_iter().filter(|atom| rights.iter().any(|right| holds(right, atom))).collect()
}

/// splitmix64: the same steps for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % sides as u64).expect("small")
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }

    fn rights(&mut self) -> Vec<&'static str> {
        let count = 1 + self.roll(2);
        (0..count).map(|_| *self.pick(&RIGHTS)).collect()
    }
}

struct World {
    admin: Caller,
    actors: Vec<(String, Caller)>,
}

impl World {
    /// Three limited administrators, two users without anything, some roles and groups.
    fn new(server: &Server, slug: &str, dice: &mut Dice) -> Self {
        let (_, admin) = tenant(server, slug);
        let actors = (0..3)
            .map(|number| {
                let rights = [&VERBS[..], &dice.rights()].concat();
                let (user, _, caller) = person(server, &admin, &format!("actor{number}"), &rights);
                (user, caller)
            })
            .collect();
        for number in 0..4 {
            let role = admin.role(&format!("role {number}"), &dice.rights());
            admin
                .post("/v1/groups", json!({ "name": format!("Group {number}"), "role_ids": [role] }))
                .expect(201);
        }
        admin.user("mia", &[]);
        admin.user("otto", &[]);
        Self { admin, actors }
    }

    fn ids(&self, kind: &str) -> Vec<String> {
        all(&self.admin, &format!("/v1/{kind}?")).iter().map(|item| text(&item["id"])).collect()
    }

    /// What everybody may do, by id; keys without owner and keys of users alike.
    fn effective(&self) -> BTreeMap<String, BTreeSet<&'static str>> {
        let users = all(&self.admin, "/v1/users?")
            .into_iter()
            .map(|user| (text(&user["id"]), atoms(&user["rights"])));
        let keys = self.ids("keys").into_iter().map(|id| {
            let key = self.admin.get(&format!("/v1/keys/{id}")).ok();
            (id, atoms(&key["effective_rights"]))
        });
        users.chain(keys).collect()
    }

    /// One random step of one random actor.
    fn step(&self, dice: &mut Dice, number: usize) -> (String, Answer) {
        let (actor, caller) = dice.pick(&self.actors).clone();
        let (users, groups, roles) = (self.ids("users"), self.ids("groups"), self.ids("roles"));
        let (user, group, role) = (dice.pick(&users), dice.pick(&groups), dice.pick(&roles));
        let keys = self.ids("keys");
        let key = dice.pick(&keys);
        let (method, path, body) = match dice.roll(9) {
            0 => (
                "POST",
                "/v1/roles".into(),
                json!({ "name": format!("new {number}"), "rights": dice.rights() }),
            ),
            1 => ("PATCH", format!("/v1/roles/{role}"), json!({ "rights": dice.rights() })),
            2 => ("PATCH", format!("/v1/users/{user}"), json!({ "role_ids": [role] })),
            3 => ("PATCH", format!("/v1/users/{user}"), json!({ "group_ids": [group] })),
            4 => ("PATCH", format!("/v1/groups/{group}"), json!({ "role_ids": [role] })),
            5 => ("PUT", format!("/v1/groups/{group}/members/{user}"), Value::Null),
            6 => {
                ("POST", "/v1/keys".into(), json!({ "class": "workspace", "label": "x", "role_ids": [role] }))
            }
            7 => ("PATCH", format!("/v1/keys/{key}"), json!({ "scopes": null })),
            _ => (
                "POST",
                "/v1/keys".into(),
                json!({ "class": "member", "label": "x", "owner_id": user, "scopes": dice.rights() }),
            ),
        };
        let request = caller.request(method, &path);
        let request = if body.is_null() { request } else { request.json(&body) };
        (actor, Answer::read(request.send().expect("an answer")))
    }
}

#[test]
fn az_5_no_random_walk_raises_anybody_above_the_givers() {
    let server = Server::start();
    let (mut done, mut refused) = (0, 0);
    for seed in [1, 7, 2026] {
        let mut dice = Dice(seed);
        let world = World::new(&server, &format!("walk-{seed}"), &mut dice);
        let mut before = world.effective();
        for number in 0..40 {
            let (actor, answer) = world.step(&mut dice, number);
            assert!(answer.status < 500, "seed {seed} step {number}: {}", answer.text);
            let after = world.effective();
            if answer.status >= 400 {
                refused += 1;
                assert_eq!(after, before, "seed {seed} step {number}: a refusal changed something");
                continue;
            }
            done += 1;
            let nothing = BTreeSet::new();
            for (who, now) in &after {
                let allowed: BTreeSet<_> =
                    before.get(who).unwrap_or(&nothing).union(&before[&actor]).copied().collect();
                assert!(
                    now.is_subset(&allowed),
                    "seed {seed} step {number}: {who} got {now:?} from {actor}: {allowed:?}"
                );
            }
            before = after;
        }
    }
    assert!(done >= 15 && refused >= 30, "{done} done, {refused} refused: the walk shows little");
}
