//! What somebody is here, by what a provider says: the domain of the address, and the groups.

use super::SignInError;
use super::person::Person;
use super::provider::Provider;
use crate::identity::team::TEAMS_PER_USER_MAX;
use crate::tenancy::permission::Role;
use std::collections::BTreeSet;

/// The role that the person's groups give: the highest of those that have one, else the one that
/// everybody has; nothing where there is none.
pub(super) fn role(provider: &Provider, groups: &[String]) -> Option<Role> {
    let given = groups.iter().filter_map(|group| provider.roles.get(group).copied());
    given.max_by_key(|role| *role as u8).or(provider.default_role)
}

/// The ids of the teams that the person's groups give, in order, each once.
pub(super) fn teams<'p>(provider: &'p Provider, groups: &[String]) -> BTreeSet<&'p str> {
    groups.iter().filter_map(|group| provider.teams.get(group).map(String::as_str)).collect()
}

/// The teams, in order, of a user who was in `before` and whose groups give `mapped`: the provider
/// decides about those that it could give, and an administrator about the others. What is over the
/// bound of teams is left out of `mapped`, for nobody is kept out by a team.
pub(super) fn settled(provider: &Provider, before: &[String], mapped: Vec<String>) -> Vec<String> {
    let given = |team: &String| provider.teams.values().any(|given| given == team);
    let mut teams: Vec<String> = before.iter().filter(|team| !given(team)).cloned().collect();
    let room = TEAMS_PER_USER_MAX.saturating_sub(teams.len());
    if mapped.len() > room {
        tracing::warn!(provider = provider.id, "the groups of a person give too many teams");
    }
    teams.extend(mapped.into_iter().take(room));
    teams.sort();
    teams
}

/// Fails where only certain domains may sign in and the person's is none of them. An address that
/// the provider has not verified is anybody's, so it counts for nothing.
pub(super) fn check_domain(provider: &Provider, person: &Person) -> Result<(), SignInError> {
    if provider.domains.is_empty() {
        return Ok(());
    }
    let email = person.email.as_ref().ok_or(SignInError::NoEmail)?;
    if !person.email_verified {
        return Err(SignInError::UnverifiedEmail { email: email.to_string() });
    }
    let folded = email.folded();
    let domain = folded.rsplit_once('@').map_or("", |(_, domain)| domain);
    match provider.domains.iter().any(|allowed| allowed == domain) {
        true => Ok(()),
        false => Err(SignInError::Domain { email: email.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::email::Email;
    use crate::identity::sso::provider::tests::saml_provider;

    #[track_caller]
    fn check_role(groups: &[&str], default_role: Option<Role>, expected: Option<Role>) {
        let roles = [("dev", Role::Member), ("ops", Role::Admin), ("all", Role::Viewer)];
        let roles = roles.map(|(group, role)| (group.to_owned(), role)).into();
        let provider = Provider { roles, default_role, ..saml_provider() };
        let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
        assert_eq!(role(&provider, &groups), expected, "{groups:?}");
    }

    #[test]
    fn the_highest_role_wins_and_whoever_has_none_gets_that_of_everybody() {
        check_role(&["all", "ops", "dev"], None, Some(Role::Admin));
        check_role(&["dev", "all", "sales"], Some(Role::Owner), Some(Role::Member));
        check_role(&["sales"], Some(Role::Viewer), Some(Role::Viewer));
        check_role(&[], Some(Role::Viewer), Some(Role::Viewer));
        check_role(&["sales", "Dev", "dev "], None, None);
        check_role(&[], None, None);
    }

    #[test]
    fn the_provider_decides_about_the_teams_that_it_gives_and_about_no_other() {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let given = [("dev", "t2"), ("ops", "t1"), ("sre", "t1")];
        let given = given.map(|(group, team)| (group.to_owned(), team.to_owned())).into();
        let provider = Provider { teams: given, ..saml_provider() };
        let mapped = |groups: &[&str]| -> Vec<String> {
            teams(&provider, &texts(groups)).into_iter().map(str::to_owned).collect()
        };
        assert_eq!(mapped(&["sre", "dev", "ops", "Dev", "all"]), ["t1", "t2"]);
        assert_eq!(mapped(&[]), texts(&[]));
        let settled =
            |before: &[&str], groups: &[&str]| settled(&provider, &texts(before), mapped(groups));
        assert_eq!(settled(&["t1", "t9"], &["dev"]), ["t2", "t9"]);
        assert_eq!(settled(&["t1", "t2", "t9"], &[]), ["t9"]);
        assert_eq!(settled(&[], &["ops"]), ["t1"]);
        let full: Vec<String> = (0..TEAMS_PER_USER_MAX - 1).map(|n| format!("x{n:02}")).collect();
        let full: Vec<&str> = full.iter().map(String::as_str).collect();
        let teams = settled(&full, &["dev", "ops"]);
        assert_eq!((teams.len(), &*teams[0]), (TEAMS_PER_USER_MAX, "t1"));
    }

    #[track_caller]
    fn check(domains: &[&str], email: Option<&str>, email_verified: bool, expected: &str) {
        let domains = domains.iter().map(ToString::to_string).collect();
        let provider = Provider { domains, ..saml_provider() };
        let email = email.map(|email| Email::parse(email).unwrap());
        let person = Person { email, email_verified, ..Person::named("idp", "ada") };
        let outcome = check_domain(&provider, &person).map_err(|error| error.code());
        assert_eq!(outcome.err().unwrap_or_default(), expected);
    }

    #[test]
    fn only_verified_addresses_of_the_domains_may_sign_in() {
        let ours = ["example.org", "example.com"];
        check(&[], None, false, "");
        check(&[], Some("ada@evil.example"), false, "");
        check(&ours, Some("ada@example.org"), true, "");
        check(&ours, Some("Ada@EXAMPLE.com"), true, "");
        check(&ours, Some("ada@example.org"), false, "email_not_verified");
        check(&ours, None, true, "email_missing");
        for other in ["ada@sub.example.org", "ada@example.org.evil", "ada@xexample.org", "ada@org"]
        {
            check(&ours, Some(other), true, "domain_not_allowed");
        }
    }
}
