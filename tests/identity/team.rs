//! Teams and who is in them.

use crate::world::{NOW_MS, World};
use emx::identity::account::{AccountError, NewUser};
use emx::identity::administration::AccountChange;
use emx::identity::email::Email;
use emx::identity::team::{Team, TeamChange, TeamError};
use emx::tenancy::by::By;
use emx::tenancy::permission::Role;

fn create(world: &World, name: &str) -> Team {
    let names = ["plat".to_owned(), "platform".to_owned()];
    world.identity.create_team(&world.acme.id, name, &names, &By::operator(), NOW_MS).unwrap()
}

fn set_member(world: &World, team: &Team, user: &str, is_member: bool) -> Result<(), TeamError> {
    let identity = &world.identity;
    let set =
        identity.set_member(&world.acme.id, &team.id, user, is_member, &By::operator(), NOW_MS);
    set.map(|_| ())
}

fn members(world: &World, team: &Team) -> Vec<String> {
    let members = world.identity.members(&world.acme.id, &team.id).unwrap();
    members.into_iter().map(|user| user.email.to_string()).collect()
}

#[test]
fn a_name_is_taken_once_in_a_tenant_and_can_be_changed() {
    let world = World::new();
    let identity = &world.identity;
    let acme = &world.acme.id;
    let team = create(&world, "Platform");
    assert_eq!(team.reported_as, ["plat", "platform"]);
    let taken = identity.create_team(acme, "PLATFORM", &[], &By::operator(), NOW_MS);
    assert!(matches!(taken, Err(TeamError::NameTaken { .. })));
    identity.create_team(&world.other.id, "platform", &[], &By::operator(), NOW_MS).unwrap();
    for bad in ["", "  ", "a\nb", &"x".repeat(129)] {
        let refused = identity.create_team(acme, bad, &[], &By::operator(), NOW_MS);
        assert!(matches!(refused, Err(TeamError::Name)), "{bad}");
    }
    create(&world, "Apps");
    let rename = |name: &str| {
        let change = TeamChange { name: Some(name.into()), ..TeamChange::default() };
        identity.change_team(acme, &team.id, &change, &By::operator(), |_| true, NOW_MS)
    };
    assert!(matches!(rename("apps"), Err(TeamError::NameTaken { .. })));
    rename("PLATFORM").unwrap();
    let renamed = rename("Core").unwrap();
    assert_eq!((&renamed.id, &renamed.reported_as), (&team.id, &team.reported_as));
    let names: Vec<String> =
        identity.teams(acme).unwrap().into_iter().map(|team| team.name).collect();
    assert_eq!(names, ["Apps", "Core"]);
    assert_eq!(identity.team_by_name(acme, "core").unwrap(), renamed);
    create(&world, "Platform");
    let foreign = identity.team(&world.other.id, &team.id);
    assert!(matches!(foreign, Err(TeamError::NotFound { .. })));
    let stale = identity.change_team(
        acme,
        &team.id,
        &TeamChange::default(),
        &By::operator(),
        |_| false,
        NOW_MS,
    );
    assert!(matches!(stale, Err(TeamError::Stale)));
}

#[test]
fn members_come_and_go_with_their_team_and_themselves() {
    let world = World::new();
    let (acme, other) = (&world.acme.id.clone(), &world.other.id.clone());
    let (team, apps) = (create(&world, "Platform"), create(&world, "Apps"));
    let (a, b) =
        (world.user("a@example.org", Role::Member), world.user("b@example.org", Role::Viewer));
    for user in [&b, &a, &a] {
        set_member(&world, &team, &user.id, true).unwrap();
    }
    set_member(&world, &apps, &a.id, true).unwrap();
    assert_eq!(members(&world, &team), ["a@example.org", "b@example.org"]);
    set_member(&world, &team, &b.id, false).unwrap();
    set_member(&world, &team, &b.id, false).unwrap();
    assert_eq!(members(&world, &team), ["a@example.org"]);

    let foreign = world.identity.list_of(other).unwrap().remove(0);
    let nobody = set_member(&world, &team, &foreign.id, true);
    assert_eq!(nobody.unwrap_err().code(), "user_not_found");
    let elsewhere =
        world.identity.set_member(other, &team.id, &foreign.id, true, &By::operator(), NOW_MS);
    assert!(matches!(elsewhere, Err(TeamError::NotFound { .. })));

    let world = world.restarted();
    assert_eq!(world.identity.user(acme, &a.id).unwrap().teams.len(), 2);
    let refused = world.identity.remove_team(acme, &team.id, &By::operator(), |_| false, NOW_MS);
    assert!(matches!(refused, Err(TeamError::Stale)));
    world.identity.remove_team(acme, &team.id, &By::operator(), |_| true, NOW_MS).unwrap();
    assert_eq!(world.identity.user(acme, &a.id).unwrap().teams, [apps.id.as_str()]);
    let gone = world.identity.remove_team(acme, &team.id, &By::operator(), |_| true, NOW_MS);
    assert_eq!(gone.unwrap_err().code(), "team_not_found");
    world.identity.remove_user(acme, &a.id, &By::operator(), |_| true, NOW_MS).unwrap();
    assert!(members(&world, &apps).is_empty());
}

#[test]
fn users_are_put_only_into_teams_that_are_there() {
    let world = World::new();
    let team = create(&world, "Platform");
    let foreign = world
        .identity
        .create_team(&world.other.id, "Theirs", &[], &By::operator(), NOW_MS)
        .unwrap();
    let new = |teams: &[&str]| NewUser {
        teams: teams.iter().map(ToString::to_string).collect(),
        ..NewUser::plain(Email::parse("new@example.org").unwrap(), Role::Member)
    };
    let make = |teams: &[&str]| {
        world.identity.create_account(&world.acme.id, &new(teams), &By::operator(), NOW_MS)
    };
    for teams in [&["nowhere"][..], &[&foreign.id], &[&team.id, &foreign.id]] {
        assert!(matches!(make(teams), Err(AccountError::NoTeam { .. })), "{teams:?}");
    }
    let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(make(&many), Err(AccountError::TooManyTeams)));
    let made = make(&[&team.id, &team.id]).unwrap();
    assert_eq!(made.teams, [team.id.as_str()]);
    let into_theirs =
        AccountChange { teams: Some(vec![foreign.id.clone()]), ..AccountChange::default() };
    let changed = world.identity.change_account(
        &world.acme.id,
        &made.id,
        &into_theirs,
        &By::operator(),
        |_| true,
        NOW_MS,
    );
    assert_eq!(changed.unwrap_err().code(), "team_not_found");
}
