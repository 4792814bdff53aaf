//! `atoll gate`, `damping`, `home`: what people hold back, forgive and move.

use model::GateScope;
use plane_client::Because;

use super::{
    overrides::{say, short},
    reach::{explain_error, login, reach, region_name, subject},
};
use crate::{
    cli::{DampingArgs, DampingWhat, GateArgs, GateWhat, HomeArgs, HomeWhat, SignArgs, WorldArgs},
    exit::Exit,
};

/// Who and why, with the login name where no name is given.
struct Signed {
    who: String,
    reason: String,
}

impl Signed {
    fn of(sign: SignArgs) -> Self {
        Self { who: sign.who.unwrap_or_else(login), reason: sign.reason }
    }

    fn because(&self) -> Because<'_> {
        Because { who: &self.who, reason: &self.reason }
    }
}

fn scope(pool: Option<String>) -> (GateScope, String) {
    match pool {
        Some(pool) => (GateScope::Pool(pool.clone()), format!("the gate of pool {pool}")),
        None => (GateScope::World, "the world's gate".into()),
    }
}

pub(crate) async fn gate(args: GateArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let client = reach(&world).await?.client;
    match args.what {
        GateWhat::Close { pool, people, sign, life } => {
            let ((scope, name), signed) = (scope(pool), Signed::of(sign));
            let applied = client.close_gate(&scope, people, signed.because(), life).await.map_err(explain_error)?;
            let whom = if people { "automation and people" } else { "automation" };
            say(&world, applied, || format!("{name} is closed to {whom} for {} min", life.as_secs() / 60))
        }
        GateWhat::Open { pool, sign } => {
            let ((scope, name), signed) = (scope(pool), Signed::of(sign));
            let applied = client.open_gate(&scope, signed.because()).await.map_err(explain_error)?;
            say(&world, applied, || format!("{name} is open"))
        }
    }
}

pub(crate) async fn damping(args: DampingArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let DampingWhat::Clear { subject: text, sign } = args.what;
    let (subject, signed) = (subject(&text)?, Signed::of(sign));
    let client = reach(&world).await?.client;
    let applied = client.clear_damping(&subject, signed.because()).await.map_err(explain_error)?;
    say(&world, applied, || format!("{}: its flaps are forgotten", short(&subject)))
}

pub(crate) async fn home(args: HomeArgs, world: WorldArgs) -> anyhow::Result<Exit> {
    let HomeWhat::Move { pool, region, epoch, sign } = args.what;
    let (region, signed) = (region_name(&region)?, Signed::of(sign));
    let client = reach(&world).await?.client;
    let applied = client.move_home(&pool, &region, epoch, signed.because()).await.map_err(explain_error)?;
    say(&world, applied, || format!("the home of pool {pool} is {region}, under epoch {}", applied.plan.version))
}
