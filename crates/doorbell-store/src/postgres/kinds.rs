//! The dictionary of what events have in common: tenant, source, type and fate get a number.

use super::line::Open;
use super::rows::{Id, get};
use crate::store::StoreError;
use doorbell_core::event::Event;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

/// Numbers that are remembered; past it they are looked up again.
const REMEMBERED: usize = 20_000;

/// Tenant, source, type, fate.
pub(super) type Kind = (Id, Option<Id>, Option<String>, i16);

/// The kind of this event with that fate.
pub(super) fn of(event: &Event, fate: i16) -> Kind {
    let source = event.origin.source().map(Into::into);
    (event.tenant.into(), source, event.event_type.as_ref().map(|t| t.as_str().to_owned()), fate)
}

/// The numbers that are known here.
#[derive(Debug, Default)]
pub(super) struct Kinds(Mutex<HashMap<Kind, i32>>);

impl Kinds {
    /// The number of each kind, which gets one if it has none.
    pub(super) async fn numbers(
        &self,
        wanted: &[Kind],
        line: &Open,
    ) -> Result<HashMap<Kind, i32>, StoreError> {
        let (mut found, missing) = self.known(wanted);
        if missing.is_empty() {
            return Ok(found);
        }
        let tenants: Vec<Id> = missing.iter().map(|kind| kind.0).collect();
        let sources: Vec<Option<Id>> = missing.iter().map(|kind| kind.1).collect();
        let types: Vec<Option<&str>> = missing.iter().map(|kind| kind.2.as_deref()).collect();
        let fates: Vec<i16> = missing.iter().map(|kind| kind.3).collect();
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&tenants, &sources, &types, &fates];
        line.query(ADD, &values).await?;
        let rows = line.query(FIND, &values).await?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + rows.len() > REMEMBERED {
            known.clear();
        }
        for row in rows {
            let kind = (get(&row, 1)?, get(&row, 2)?, get(&row, 3)?, get(&row, 4)?);
            let number = get(&row, 0)?;
            known.insert(kind.clone(), number);
            found.insert(kind, number);
        }
        Ok(found)
    }

    fn known(&self, wanted: &[Kind]) -> (HashMap<Kind, i32>, BTreeSet<Kind>) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = HashMap::new();
        let mut missing = BTreeSet::new();
        for kind in wanted {
            match known.get(kind) {
                Some(number) => drop(found.insert(kind.clone(), *number)),
                None => drop(missing.insert(kind.clone())),
            }
        }
        (found, missing)
    }
}

const ADD: &str = "INSERT INTO kinds (tenant, source, event_type, fate)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::int2[]) ON CONFLICT DO NOTHING";

const FIND: &str = "SELECT k.id, k.tenant, k.source, k.event_type, k.fate FROM kinds k
JOIN unnest($1::uuid[], $2::uuid[], $3::text[], $4::int2[]) AS u (tenant, source, event_type, fate)
ON k.tenant = u.tenant AND k.fate = u.fate AND k.source IS NOT DISTINCT FROM u.source
AND k.event_type IS NOT DISTINCT FROM u.event_type";

pub(super) const FITTING: &str = "SELECT id, event_type FROM kinds WHERE tenant = $1
AND ($2::uuid IS NULL OR source = $2) AND (cardinality($3::int2[]) = 0 OR fate = ANY($3))";
