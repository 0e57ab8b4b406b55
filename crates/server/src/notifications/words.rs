//! The texts of news, by language. A language is complete: the compiler asks for each kind.

use serde::{Deserialize, Serialize};

use super::News;
use super::kind::Kind;

/// A language that users are told things in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
}

/// What a user reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) title: String,
    pub(crate) text: String,
}

impl Language {
    /// As the API writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }

    /// Reads what [`Language::as_str`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::En, Self::De].into_iter().find(|language| language.as_str() == text)
    }

    /// Title and text of each kind; `{name}` is filled in.
    fn template(self, kind: Kind, action: &str) -> (&'static str, &'static str) {
        match (self, action) {
            (Self::En, "import.request_approval") => IMPORT_WAITS,
            (Self::De, "import.request_approval") => IMPORT_WARTET,
            (Self::En, _) => english(kind),
            (Self::De, _) => german(kind),
        }
    }
}

/// The words for some news.
pub(crate) fn of(news: &News, language: Language) -> Words {
    let (title, text) = language.template(news.kind, &news.action);
    Words { title: fill(title, news), text: fill(text, news) }
}

/// Fills in `{name}`: once, so that a label with braces stays as it is.
fn fill(template: &str, news: &News) -> String {
    let mut out = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').expect("a test fills every template");
        out.push_str(before);
        out.push_str(&value(name, news));
        rest = behind;
    }
    out + rest
}

fn value(name: &str, news: &News) -> String {
    match name {
        "label" => news.target.label.clone(),
        "id" => news.target.id.clone(),
        "actor" => news.actor.label.clone(),
        "at" => news.at.clone(),
        "action" => news.action.clone(),
        "address" => news.address.clone().unwrap_or_else(|| "–".into()),
        fact => match news.facts.get(fact) {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(value) if !value.is_null() => value.to_string(),
            _ => "–".into(),
        },
    }
}

/// An approval that is asked for many keys at once.
const IMPORT_WAITS: (&str, &str) = (
    "Keys of the import “{label}” wait for an approval",
    "{actor} imports keys as “{label}” ({at}). They work only when somebody else approves them: keyward approvals \
     list. You are told again when none of them waits any more and others come.",
);

/// The same in German.
const IMPORT_WARTET: (&str, &str) = (
    "Schlüssel des Imports „{label}“ warten auf eine Freigabe",
    "{actor} importiert Schlüssel als „{label}“ ({at}). Sie gelten erst, wenn jemand anders sie freigibt: keyward \
     approvals list. Sie hören erst wieder davon, wenn keiner mehr wartet und neue kommen.",
);

const ENGLISH_KEY_USED: (&str, &str) = (
    "The key “{label}” was used for the first time",
    "The key “{label}” ({id}) was used for the first time ({used_at}, from {address}). If that was too \
     early, or not from where it should be, revoke it: keyward keys revoke {id}.",
);

const ENGLISH_NEW_NETWORK: (&str, &str) = (
    "The key “{label}” is used from a new network",
    "The key “{label}” ({id}) was used from the network {network} ({address}, {used_at}), from which it was \
     not used before. If this was not you or agreed with you, give it a new secret (keyward keys rotate \
     start {id} --overlap 0s) or revoke it (keyward keys revoke {id}).",
);

const GERMAN_KEY_USED: (&str, &str) = (
    "Der Schlüssel „{label}“ wurde zum ersten Mal benutzt",
    "Der Schlüssel „{label}“ ({id}) wurde zum ersten Mal benutzt ({used_at}, von {address}). War das zu \
     früh oder nicht von dort, wo er hingehört, widerrufen Sie ihn: keyward keys revoke {id}.",
);

const GERMAN_NEW_NETWORK: (&str, &str) = (
    "Der Schlüssel „{label}“ wird aus einem neuen Netz benutzt",
    "Der Schlüssel „{label}“ ({id}) wurde aus dem Netz {network} benutzt ({address}, {used_at}), aus dem er \
     bisher nicht benutzt wurde. Waren Sie das nicht und wissen nichts davon, geben Sie ihm ein neues \
     Geheimnis (keyward keys rotate start {id} --overlap 0s) oder widerrufen Sie ihn (keyward keys revoke {id}).",
);

fn english(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::KeyExpiring => (
            "The key “{label}” ends on {expires_at}",
            "The key “{label}” ({id}) ends on {expires_at}. What uses it will be refused from then on.\n\n\
             If it is still needed, extend it (keyward keys extend {id}) or give it a new secret \
             (keyward keys rotate {id}).",
        ),
        Kind::KeyExpired => (
            "The key “{label}” has ended",
            "The key “{label}” ({id}) ended on {expires_at}. What uses it is refused.\n\n\
             It can still be extended: keyward keys extend {id}.",
        ),
        Kind::KeyGrants => (
            "Roles or groups of a key of yours changed",
            "{actor} changed the roles or groups of a key that you own, made or edited ({action}, {label}). \
             What it may do changed at once.",
        ),
        Kind::OwnGrants => (
            "Your roles or groups changed",
            "{actor} changed your roles or groups ({action}, {label}). What you and your keys may do \
             changed at once.",
        ),
        Kind::SecretUsed => (
            "A secret of the key “{label}” was used for the first time",
            "Secret {generation} of the key “{label}” ({id}) was used for the first time since secret \
             {newest_generation} was made, from {address}.",
        ),
        Kind::SecretWaits => (
            "The key “{label}” has a new secret",
            "The key “{label}” ({id}) rotated by its schedule. Its new secret waits to be handed over to whatever \
             uses it: keyward handovers link {id}. The old secret works until {grace_ends_at}.",
        ),
        Kind::KeyUsed => ENGLISH_KEY_USED,
        Kind::NewNetwork => ENGLISH_NEW_NETWORK,
        Kind::Leak => (
            "The secret of “{label}” may be in wrong hands",
            "A secret of “{label}” ({id}) was seen where it must not be ({action}, {at}, {url}). If it was \
             not ended for this, rotate or revoke it now.",
        ),
        Kind::RefusedCalls => (
            "Far more credentials than usual are refused",
            "Credentials are being refused faster than the limits allow ({action}, {at}, from {label}, \
             {attempts} attempts). Somebody may be guessing, or a program has an old key.",
        ),
        Kind::TrustedUse => (
            "The trusted secret “{label}” did something new",
            "The trusted secret “{label}” ({id}) did what it did not do before ({action}, {at}, from \
             {address}, network {network}, {tokens} tokens). If this was not you, disable it: keyward trusted disable {id}.",
        ),
        Kind::Webhook => (
            "The webhook to {label} takes no events",
            "The webhook to {label} ({id}) has taken no event lately ({action}, {at}): {cause}.\n\n\
             After webhook.failing it is tried for three days in all; after webhook.disabled nothing is sent until \
             somebody enables it: keyward webhooks edit {id} --enabled true. What was not taken can be sent \
             again: keyward webhooks deliveries {id}.",
        ),
        Kind::Approval => (
            "The key “{label}” and its approval: {action}",
            "{actor} ({action}, {at}): the key “{label}” ({id}). A requested key works only when somebody else \
             approves it: keyward approvals approve {id}. An approved one works now, a rejected one never will.",
        ),
        Kind::Policy => (
            "A scheduled policy was not applied",
            "A draft of the policy ({id}) that {actor} had scheduled could not be applied ({at}): {detail}. The \
             policy stays as it was. Rebase the draft and apply it again: keyward policies drafts show {id}.",
        ),
        Kind::Account => (
            "Your account was changed",
            "{actor} changed how you log in or where news of you go ({action}, {at}, from {address}). If \
             this was not you or agreed with you, tell your administrator now.",
        ),
    }
}

fn german(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::KeyExpiring => (
            "Der Schlüssel „{label}“ endet am {expires_at}",
            "Der Schlüssel „{label}“ ({id}) endet am {expires_at}. Was ihn benutzt, wird ab dann abgewiesen.\n\n\
             Wird er noch gebraucht, kann er verlängert werden (keyward keys extend {id}) oder ein neues \
             Geheimnis erhalten (keyward keys rotate {id}).",
        ),
        Kind::KeyExpired => (
            "Der Schlüssel „{label}“ ist abgelaufen",
            "Der Schlüssel „{label}“ ({id}) ist am {expires_at} abgelaufen. Was ihn benutzt, wird abgewiesen.\n\n\
             Er kann noch verlängert werden: keyward keys extend {id}.",
        ),
        Kind::KeyGrants => (
            "Rollen oder Gruppen eines Ihrer Schlüssel wurden geändert",
            "{actor} hat Rollen oder Gruppen eines Schlüssels geändert, den Sie besitzen, erstellt oder \
             bearbeitet haben ({action}, {label}). Was er darf, hat sich sofort geändert.",
        ),
        Kind::OwnGrants => (
            "Ihre Rollen oder Gruppen wurden geändert",
            "{actor} hat Ihre Rollen oder Gruppen geändert ({action}, {label}). Was Sie und Ihre Schlüssel \
             dürfen, hat sich sofort geändert.",
        ),
        Kind::SecretUsed => (
            "Ein Geheimnis des Schlüssels „{label}“ wurde zum ersten Mal benutzt",
            "Geheimnis {generation} des Schlüssels „{label}“ ({id}) wurde zum ersten Mal benutzt, seit \
             Geheimnis {newest_generation} erstellt wurde, von {address}.",
        ),
        Kind::SecretWaits => (
            "Der Schlüssel „{label}“ hat ein neues Geheimnis",
            "Der Schlüssel „{label}“ ({id}) wurde planmäßig erneuert. Sein neues Geheimnis wartet darauf, dem \
             übergeben zu werden, der ihn benutzt: keyward handovers link {id}. Das alte Geheimnis gilt bis \
             {grace_ends_at}.",
        ),
        Kind::KeyUsed => GERMAN_KEY_USED,
        Kind::NewNetwork => GERMAN_NEW_NETWORK,
        Kind::Leak => (
            "Das Geheimnis von „{label}“ ist vielleicht in falschen Händen",
            "Ein Geheimnis von „{label}“ ({id}) wurde gesehen, wo es nicht sein darf ({action}, {at}, {url}). \
             Wurde es nicht deswegen beendet, erneuern oder widerrufen Sie es jetzt.",
        ),
        Kind::RefusedCalls => (
            "Weit mehr Anmeldungen als üblich werden abgewiesen",
            "Zugangsdaten werden schneller abgewiesen, als die Grenzen erlauben ({action}, {at}, von {label}, \
             {attempts} Versuche). Jemand rät vielleicht, oder ein Programm hat einen alten Schlüssel.",
        ),
        Kind::TrustedUse => (
            "Das Vertrauensgeheimnis „{label}“ hat etwas Neues getan",
            "Das Vertrauensgeheimnis „{label}“ ({id}) hat getan, was es zuvor nicht tat ({action}, {at}, von \
             {address}, Netz {network}, {tokens} Token). Waren Sie das nicht, schalten Sie es ab: keyward trusted disable {id}.",
        ),
        Kind::Webhook => (
            "Der Webhook zu {label} nimmt keine Ereignisse an",
            "Der Webhook zu {label} ({id}) hat zuletzt kein Ereignis angenommen ({action}, {at}): {cause}.\n\n\
             Nach webhook.failing wird es insgesamt drei Tage lang versucht; nach webhook.disabled wird nichts mehr \
             gesendet, bis ihn jemand einschaltet: keyward webhooks edit {id} --enabled true. Was nicht angenommen \
             wurde, kann erneut gesendet werden: keyward webhooks deliveries {id}.",
        ),
        Kind::Approval => (
            "Der Schlüssel „{label}“ und seine Freigabe: {action}",
            "{actor} ({action}, {at}): der Schlüssel „{label}“ ({id}). Ein beantragter Schlüssel gilt erst, wenn \
             jemand anders ihn freigibt: keyward approvals approve {id}. Ein freigegebener gilt jetzt, ein \
             abgelehnter nie.",
        ),
        Kind::Policy => (
            "Eine geplante Richtlinie wurde nicht angewandt",
            "Ein Entwurf der Richtlinie ({id}), den {actor} geplant hatte, konnte nicht angewandt werden ({at}): \
             {detail}. Die Richtlinie bleibt, wie sie war. Passen Sie den Entwurf an und wenden Sie ihn erneut \
             an: keyward policies drafts show {id}.",
        ),
        Kind::Account => (
            "Ihr Konto wurde geändert",
            "{actor} hat geändert, wie Sie sich anmelden oder wohin Nachrichten an Sie gehen ({action}, {at}, \
             von {address}). Waren Sie das nicht und war es nicht mit Ihnen abgesprochen, sagen Sie es jetzt \
             Ihrer Verwaltung.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::app::Principal;
    use crate::audit::Target;

    fn news(kind: Kind, label: &str) -> News {
        News {
            kind,
            event_id: "event_1".into(),
            action: "key.edit".into(),
            at: "2027-01-31T12:00:00.000Z".into(),
            actor: Principal { kind: "user".into(), id: "user_1".into(), label: "ada".into() },
            target: Target { kind: "key".into(), id: "key_1".into(), label: label.into() },
            address: None,
            facts: json!({ "days": 2 }),
        }
    }

    #[test]
    fn bm_8_bm_9_every_kind_has_words_in_every_language() {
        for language in [Language::En, Language::De] {
            let mut titles = std::collections::HashSet::new();
            for kind in Kind::ALL {
                let words = of(&news(kind, "nightly"), language);
                assert!(titles.insert(words.title.clone()), "two kinds are called {}", words.title);
                for text in [&words.title, &words.text] {
                    assert!(!text.contains(['{', '}']), "{text}");
                    assert!(!text.is_empty());
                }
                assert!(!words.title.contains('\n'), "a title is one line");
                assert_eq!(serde_json::to_value(kind).expect("plain"), kind.as_str());
            }
            let asked = News { action: "import.request_approval".into(), ..news(Kind::Approval, "unkey") };
            let words = of(&asked, language);
            assert!(titles.insert(words.title) && words.text.contains("unkey") && !words.text.contains('{'));
            assert_eq!(Language::parse(language.as_str()), Some(language));
        }
    }

    #[test]
    fn a_label_with_braces_is_not_filled_in() {
        let words = of(&news(Kind::KeyExpired, "{id} {actor}"), Language::En);
        assert_eq!(words.title, "The key “{id} {actor}” has ended");
    }
}
