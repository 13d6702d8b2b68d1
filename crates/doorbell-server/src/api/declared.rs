//! Reading what is declared. A part that cannot be read does not hide what is wrong with the others: it is noted, taken out
//! or made a plain one, and the rest is read and checked all the same. With anything noted nothing is changed.

use super::input::{config_body, from_json, is_json};
use super::refused::Refused;
use super::state::ApiState;
use axum::extract::{FromRequest, Request};
use doorbell_wire::api::v1::apply::ApplyIn;
use doorbell_wire::problem::{Code, FieldError};
use serde_json::{Value, json};

/// Parts that cannot be read and are told at once, at most.
const TOLD: usize = 20;

/// What is declared, as far as it could be read, and the parts that could not.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) body: ApplyIn,
    pub(super) misread: Vec<FieldError>,
}

impl FromRequest<ApiState> for Declared {
    type Rejection = Refused;
    async fn from_request(request: Request, _: &ApiState) -> Result<Self, Refused> {
        let (headers, body) = config_body(request).await?;
        is_json(&headers)?;
        match from_json(&body) {
            Ok(body) => Ok(Self { body, misread: Vec::new() }),
            Err(refused) => mended(&body, refused),
        }
    }
}

/// Reads it with one faulty part less each time, until the rest can be read.
fn mended(body: &[u8], first: Refused) -> Result<Declared, Refused> {
    let Ok(mut whole) = serde_json::from_slice::<Value>(body) else { return Err(first) };
    let mut misread: Vec<FieldError> = Vec::new();
    while misread.len() < TOLD {
        let text = serde_json::to_vec(&whole).unwrap_or_default();
        let refused = match from_json(&text) {
            Ok(body) => {
                if misread.is_empty() {
                    // A name that stands twice: reading it as a value took the last.
                    misread.extend(first.problem().errors.iter().cloned());
                }
                return Ok(Declared { body, misread });
            }
            Err(refused) => refused,
        };
        let Some(fault) = refused.problem().errors.first() else { return Err(first) };
        if !misread.iter().any(|known| known.pointer == fault.pointer) {
            misread.push(fault.clone());
        }
        if !take_out(&mut whole, &fault.pointer) {
            break;
        }
    }
    Err(Refused::parts(Code::Malformed, misread))
}

/// Takes out the part at this place, or the field of a source or endpoint around it; where one of these lacks what it must
/// have, a plain one of its name stands in, so that all others keep their places. Whether anything was changed.
fn take_out(whole: &mut Value, pointer: &str) -> bool {
    let Some((outer, last)) = pointer.rsplit_once('/') else { return false };
    let member = last.replace("~1", "/").replace("~0", "~");
    let around = whole.pointer_mut(outer).and_then(Value::as_object_mut);
    if around.is_some_and(|around| around.remove(&member).is_some()) {
        return true;
    }
    let parts: Vec<&str> = pointer.split('/').skip(1).collect();
    match parts.as_slice() {
        [list, at] | [list, at, _] => stand_in(whole, list, at),
        [list, at, field, _, ..] => {
            let one = whole.pointer_mut(&format!("/{list}/{at}")).and_then(Value::as_object_mut);
            one.is_some_and(|one| one.remove(*field).is_some())
        }
        [] | [_] => false,
    }
}

fn stand_in(whole: &mut Value, list: &str, at: &str) -> bool {
    let Some(one) = whole.pointer_mut(&format!("/{list}/{at}")) else { return false };
    let name = one.get("name").and_then(Value::as_str);
    let name = name.map_or_else(|| format!("unnamed-{at}"), str::to_owned);
    let plain = match list {
        "sources" => json!({"name": name, "provider": "none"}),
        _ => json!({"name": name, "url": "https://example.com/"}),
    };
    let changed = *one != plain;
    *one = plain;
    changed
}
