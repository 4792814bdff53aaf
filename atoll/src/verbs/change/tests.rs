//! Changes against a plane that answers as it is told.

use std::sync::Mutex;

use super::*;

/// A plane that holds one Plan, and whose Plan may move on at the moment of the next change.
struct Fake {
    plan: Mutex<Plan>,
    /// What happens at each change before it arrives.
    meanwhile: Mutex<Vec<fn(&mut Plan)>>,
}

impl Fake {
    fn new(meanwhile: &[fn(&mut Plan)]) -> Self {
        let plan = Plan::new(PlanId { lineage: 7, version: 3 }, 0, "founded", world(&[]));
        Self { plan: Mutex::new(plan), meanwhile: Mutex::new(meanwhile.to_vec()) }
    }
}

impl Plane for Fake {
    async fn plan(&self) -> Result<Plan, ClientError> {
        Ok(self.plan.lock().unwrap().clone())
    }

    async fn set_world(&self, world: &World, based_on: PlanId, because: Because<'_>) -> Result<Applied, ClientError> {
        assert_eq!((because.who, because.reason), ("ana", "a test"));
        let mut plan = self.plan.lock().unwrap();
        if let Some(happens) = self.meanwhile.lock().unwrap().pop() {
            plan.id.version += 1;
            happens(&mut plan);
        }
        if plan.id != based_on {
            return Err(ClientError::Refused { rule: Some("stale".into()), message: "fence".into(), hint: None });
        }
        plan.id.version += 1;
        plan.world = world.clone().into();
        Ok(Applied { plan: plan.id, changed: true })
    }
}

/// Somebody who is told, and says what he always says.
#[derive(Default)]
struct Person {
    says: Option<bool>,
    told: usize,
}

impl Face for Person {
    fn show(&mut self, _proposal: &Proposal) {
        self.told += 1;
    }

    fn agrees(&mut self, world: &str) -> Option<bool> {
        assert_eq!(world, "shop");
        self.says
    }
}

fn world(changes: &[(&str, &str)]) -> World {
    let mut text = World::default_toml(3, 0);
    for (from, to) in changes {
        assert!(text.contains(from), "there is no `{from}`");
        text = text.replacen(from, to, 1);
    }
    World::parse(&text, "world.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

const TTL: (&str, &str) = ("max = 30", "max = 60");
const YES: ConsentArgs = ConsentArgs { dry_run: false, yes: true };
const ASK: ConsentArgs = ConsentArgs { dry_run: false, yes: false };
const LOOK: ConsentArgs = ConsentArgs { dry_run: true, yes: false };

/// How a change ends, and the version of the Plan afterwards.
async fn ends(
    plane: &Fake,
    wanted: &World,
    consent: &ConsentArgs,
    says: Option<bool>,
) -> (Result<Ending, String>, u64) {
    let because = Because { who: "ana", reason: "a test" };
    let mut person = Person { says, told: 0 };
    let ending = change(plane, wanted, consent, because, &mut person).await;
    let told = usize::from(!matches!(ending, Ok((_, Ending::Nothing))));
    assert!(person.told == told || ending.is_err(), "who agrees was told once what to");
    let version = plane.plan.lock().unwrap().id.version;
    (ending.map(|(_, ending)| ending).map_err(|error| error.to_string()), version)
}

fn applied(version: u64) -> Result<Ending, String> {
    Ok(Ending::Applied(Applied { plan: PlanId { lineage: 7, version }, changed: true }))
}

#[tokio::test]
async fn a_world_is_changed_only_if_somebody_agrees() {
    let wanted = world(&[TTL]);
    let cases = [
        (&YES, None, applied(4), 4),
        (&ASK, Some(true), applied(4), 4),
        (&ASK, Some(false), Ok(Ending::Declined), 3),
        (&LOOK, None, Ok(Ending::Pending), 3),
    ];
    for (consent, says, ending, version) in cases {
        assert_eq!(ends(&Fake::new(&[]), &wanted, consent, says).await, (ending, version), "{consent:?} {says:?}");
    }
    let (nobody, version) = ends(&Fake::new(&[]), &wanted, &ASK, None).await;
    assert!(nobody.unwrap_err().contains("--yes") && version == 3);
}

#[tokio::test]
async fn a_world_that_is_so_already_is_left_alone() {
    assert_eq!(ends(&Fake::new(&[]), &world(&[]), &ASK, None).await, (Ok(Ending::Nothing), 3));
}

#[tokio::test]
async fn a_verdict_in_between_does_not_stop_a_change_that_still_is_what_was_agreed_to() {
    let verdict: fn(&mut Plan) = |plan| plan.made_by = "decided: region/eu-west Down".into();
    assert_eq!(ends(&Fake::new(&[verdict]), &world(&[TTL]), &YES, None).await, (applied(5), 5));
    let (restless, _) = ends(&Fake::new(&[verdict; 4]), &world(&[TTL]), &YES, None).await;
    assert!(restless.unwrap_err().contains("nothing was changed"));
}

#[tokio::test]
async fn a_world_that_somebody_else_changed_is_not_overwritten_and_the_change_is_told() {
    let other: fn(&mut Plan) = |plan| {
        plan.world = world(&[("place = \"Dublin\"", "place = \"Cork\"")]).into();
        plan.made_by = "world changed by bob: a move".into();
    };
    let (conflict, version) = ends(&Fake::new(&[other]), &world(&[TTL]), &YES, None).await;
    let words = conflict.unwrap_err();
    for part in ["from plan 3 to 4", "bob: a move", "place Dublin → Cork", "nothing was changed by you"] {
        assert!(words.contains(part), "`{part}` is not in: {words}");
    }
    assert_eq!(version, 4);
}

#[tokio::test]
async fn a_change_that_would_now_leave_names_empty_is_looked_at_again() {
    let drained: fn(&mut Plan) = |plan| {
        let subject = model::Subject::Region("eu-west".parse().unwrap());
        plan.overrides.push(model::Override::new(subject, model::OverrideAction::Down, ("x", "bob"), 0, 1000));
    };
    let alone = world(&[
        ("members = [\"us-east\", \"eu-west\", \"ap-south\"]", "members = [\"eu-west\"]"),
        ("all_down = \"fail_open\"", "all_down = \"fail_closed\""),
        ("order = [\"us-east\", \"eu-west\", \"ap-south\"]", "order = []"),
    ]);
    let (stopped, version) = ends(&Fake::new(&[drained]), &alone, &YES, None).await;
    assert!(stopped.unwrap_err().contains("3 names without an address"));
    assert_eq!(version, 4);
}
