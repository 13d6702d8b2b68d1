//! The decision about a request, with what it takes from the network: its provider's key, or the call by which a
//! subscription is confirmed.

use crate::clock::Clock;
use crate::keys::{Keys, Wanted};
use doorbell_core::directory::{Directory, ReadySource};
use doorbell_core::intake::{self, Answer, Birth, Call, Intake, Needed, NoKey};
use doorbell_core::request::Request;

/// What a request is decided upon with.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) directory: &'a Directory,
    pub(super) ready: &'a ReadySource,
    pub(super) birth: Birth,
}

/// Decides; only a request that needs the network waits.
pub(super) async fn decide(
    keys: &Keys,
    clock: &Clock,
    asked: Asked<'_>,
    request: Request,
) -> Intake {
    let Asked { directory, ready, birth } = asked;
    let intake = match intake::decide(directory, ready, request, birth) {
        Intake::Need(needed) => Box::pin(with_key(keys, clock, asked, *needed)).await,
        decided @ (Intake::Accept(..)
        | Intake::Answer(_)
        | Intake::Call(_)
        | Intake::Refuse(..)) => decided,
    };
    match intake {
        Intake::Call(call) => Box::pin(confirm(keys, asked, *call)).await,
        decided @ (Intake::Accept(..)
        | Intake::Answer(_)
        | Intake::Need(_)
        | Intake::Refuse(..)) => decided,
    }
}

/// With the key that the request needs: the one that is known, and if it is not the one that is named, as it is fetched
/// anew.
async fn with_key(keys: &Keys, clock: &Clock, asked: Asked<'_>, mut needed: Needed) -> Intake {
    let Asked { directory, ready, birth } = asked;
    let (began, mut than) = (clock.monotonic(), None);
    loop {
        let Ok(verifier) = ready.verifier() else {
            return give_up(asked, needed.request, NoKey::Unavailable(String::new()));
        };
        let provider = verifier.provider();
        let wanted = Wanted { provider, key: &needed.key, source: ready.source().id };
        let held = match keys.get(wanted, than).await {
            Ok(held) => held,
            Err(why) => return give_up(asked, needed.request, NoKey::Unavailable(why)),
        };
        match intake::decide_with(directory, ready, needed.request, birth, held.key) {
            Intake::Need(still) if held.at >= began => {
                let Needed { request, key } = *still;
                return give_up(asked, request, NoKey::Unknown(key.url().to_owned()));
            }
            Intake::Need(still) => (needed, than) = (*still, Some(held.at)),
            decided @ (Intake::Accept(..)
            | Intake::Answer(_)
            | Intake::Call(_)
            | Intake::Refuse(..)) => return decided,
        }
    }
}

/// Confirms a subscription at its provider, and then to the caller.
async fn confirm(keys: &Keys, asked: Asked<'_>, call: Call) -> Intake {
    let source = asked.ready.source();
    match keys.call(&call.url, source.id).await {
        Ok(()) => {
            tracing::info!(source = %source.name, "a subscription was confirmed");
            Intake::Answer(Answer { secret: None, hub: None, reply: call.reply })
        }
        Err(why) => {
            let why = format!("the subscription is not confirmed: {why}");
            give_up(asked, call.request, NoKey::Unavailable(why))
        }
    }
}

fn give_up(asked: Asked<'_>, request: Request, why: NoKey) -> Intake {
    let (refused, reply) = intake::give_up(asked.ready, request, asked.birth, why);
    Intake::Refuse(refused, reply)
}
