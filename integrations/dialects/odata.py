"""The OData feed, read by python-odata (MIT), which knows nothing of Keyward but the address."""

import secrets
import time
from datetime import datetime, timedelta, timezone

PACKAGES = ["python-odata==0.8.1"]


def connect(world, key, headers=None):
    """The feed as a client with Basic sees it: everything it knows comes out of $metadata."""
    from odata import ODataService

    return ODataService(f"{world.url}/odata/v1", auth=(key["access_key"], key["secret"]), extra_headers=headers,
                        reflect_entities=True, quiet_progress=True)


def refused(action):
    """Status and code of a refusal, as the client reads them."""
    from odata import ODataError

    try:
        action()
    except ODataError as error:
        return getattr(error, "status_code", ""), getattr(error, "code", "")
    return "", ""


def worker(world, name, rights):
    """A workspace key with exactly these rights."""
    role = world.api("POST", "/v1/roles", {"name": name, "rights": rights})["id"]
    return world.api("POST", "/v1/keys", {"class": "workspace", "label": name, "role_ids": [role]})


def eventually(action):
    """What is written some seconds after it happened."""
    for _ in range(60):
        found = action()
        if found:
            return found
        time.sleep(0.5)
    return action()


def check(world):
    """Every set, with filters, order, counts and pages."""
    mark = secrets.token_hex(4)
    made = [world.api("POST", "/v1/keys", {"class": "ingest", "label": f"odata {mark} {number}"})
            for number in range(5)]
    user = world.api("POST", "/v1/users", {"username": f"o'data-{mark}", "email": f"{mark}@example.org"})
    reader = worker(world, f"odata {mark} reader", ["keys:read", "users:read", "audit:read"])
    feed = connect(world, reader)
    world.ok("$metadata describes every set",
             set(feed.entities) == {"Keys", "Users", "KeyUsage", "AuditEvents"})
    keys(world, feed, mark, made)
    users(world, feed, user)
    events(world, feed, made)
    usage(world, feed, made)
    rights(world, mark, made)
    pages(world, reader, mark)


def keys(world, feed, mark, made):
    """Filters, order, selection and counts."""
    entity = feed.entities["Keys"]
    ours = feed.query(entity).filter(entity.Label.startswith(f"odata {mark}"))
    ingest = ours.filter(entity.Class == "ingest")
    world.ok("startswith and eq", {key.Id for key in ingest.all()} == {key["id"] for key in made})
    labels = [key.Label for key in ingest.order_by(entity.Label.desc())]
    world.ok("$orderby desc", labels == sorted(labels, reverse=True) and len(labels) == 5)
    world.ok("$top and $skip", [key.Label for key in ingest.order_by(entity.Label.asc()).offset(1).limit(2)]
             == [f"odata {mark} 1", f"odata {mark} 2"])
    world.ok("$count", ingest.count() == 5)
    world.ok("$select", ingest.select(entity.Label).first().keys() == {"Label"})
    world.ok("contains, and, or, not", ingest.filter(
        (entity.Label.contains(f"{mark} 1")) | (entity.Label.endswith(" 2"))).filter(
        entity.Label.lacks("nothing")).count() == 2)
    since = datetime.now(timezone.utc) - timedelta(hours=1)
    world.ok("times with an offset", ingest.filter(entity.CreatedAt >= since).count() == 5
             and ingest.filter(entity.CreatedAt < since).count() == 0)
    one = ingest.filter(entity.Label == f"odata {mark} 3").one()
    world.ok("properties have their types", isinstance(one.CreatedAt, datetime) and one.NeverExpires is False
             and one.Version == 1 and one.OwnerId is None)
    world.ok("null", ingest.filter(entity.OwnerId.is_null()).count() == 5
             and ingest.filter(entity.OwnerId.not_null()).count() == 0)
    world.ok("an entity by its key", feed.query(entity).get(one.Id).Label == one.Label)
    everything = str([row.__odata__ for row in ours.all()])
    world.ok("no secret stands in it", not any(key["secret"] in everything for key in made))


def users(world, feed, user):
    """A name that has to be quoted."""
    entity = feed.entities["Users"]
    found = feed.query(entity).filter(entity.Username == user["username"]).all()
    world.ok("a name with a quote in it", [row.Id for row in found] == [user["id"]])


def events(world, feed, made):
    """The audit log, newest first."""
    entity = feed.entities["AuditEvents"]
    query = feed.query(entity).filter(entity.Action == "key.create").filter(entity.TargetId == made[0]["id"])
    found = query.all()
    world.ok("the audit log by action and target", len(found) == 1 and found[0].Outcome == "success")
    newest = feed.query(entity).order_by(entity.Seq.desc()).limit(5).all()
    seqs = [event.Seq for event in newest]
    world.ok("the newest come first", seqs == sorted(seqs, reverse=True) and len(seqs) == 5)


def usage(world, feed, made):
    """Uses by hour."""
    for _ in range(3):
        world.api("POST", "/v1/verify", {"credential": made[0]["secret"]})
    entity = feed.entities["KeyUsage"]
    query = feed.query(entity).filter(entity.KeyId == made[0]["id"]).filter(entity.Outcome == "ok")
    found = eventually(lambda: sum(hour.Uses for hour in query.all()) == 3)
    world.ok("uses by hour and outcome", found)


def rights(world, mark, made):
    """What others may not read, and what is no key."""
    few = connect(world, worker(world, f"odata {mark} few", ["audit:read"]))
    keys_of_few = few.entities["Keys"]
    world.ok("403 with a code where a right is missing",
             refused(few.query(keys_of_few).all) == ("HTTP 403", "insufficient_rights"))
    wrong = {"access_key": made[0]["access_key"], "secret": "wrong"}
    entity = few.entities["AuditEvents"]
    context = few.create_context(auth=(wrong["access_key"], wrong["secret"]))
    world.ok("401 for a wrong secret", refused(context.query(entity).all) == ("HTTP 401", "invalid_key"))
    world.ok("400 with the place for a wrong filter", refused(
        lambda: few.query(entity).raw({"$filter": "Nothing eq 1"})) == ("HTTP 400", "bad_filter"))


def pages(world, reader, mark):
    """Pages of two rows, which the client follows by itself. Its headers are those of all connections, so this
    comes last."""
    feed = connect(world, reader, {"Prefer": "odata.maxpagesize=2"})
    for name, filtered in (("Keys", "Label"), ("Users", "Username")):
        entity = feed.entities[name]
        query = feed.query(entity).filter(getattr(entity, filtered).contains(mark))
        rows = query.all()
        world.ok(f"{name} page by page", len({row.Id for row in rows}) == len(rows) == query.count())
    entity = feed.entities["AuditEvents"]
    query = feed.query(entity).filter(entity.Action == "key.create").filter(entity.TargetLabel.contains(mark))
    world.ok("AuditEvents page by page", len(query.all()) == 7)
    entity = feed.entities["KeyUsage"]
    hours = feed.query(entity).all()
    places = {(hour.KeyId, hour.Hour, hour.Outcome) for hour in hours}
    world.ok("KeyUsage page by page", len(places) == len(hours) > 0)
