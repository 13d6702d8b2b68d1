//! Replays: many deliveries made again on purpose, with the original bytes.

use super::text::Moment;
use doorbell_core::configuration::{Replay, ReplayChoice, ReplayState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which events are delivered again: those that fit all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChoiceIn {
    /// Only these events (by their ids or those of their requests), at most 1000. Empty: all that fit the rest. A replay of
    /// which nothing would be made is refused then, with the reason for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// With a delivery to this endpoint (name or id); only to it they go again, unless `to` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Received by this source (name or id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Of a type that fits, with `*` for any run of characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// With a delivery in this state: `delivered`, `failed` or `discarded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Received at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// Received before; now unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

/// A replay to be planned or made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayIn {
    /// Which events.
    #[serde(default)]
    pub choice: ChoiceIn,
    /// The endpoint to which they go (name or id); the endpoints of the first time unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Deliveries made per second, 1 to 10,000; 100 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u32>,
}

/// Deliveries made per second, at most and unless said.
pub const RATE_MAX: u32 = 10_000;
/// See [`RATE_MAX`].
pub const RATE_DEFAULT: u32 = 100;
/// The most events that can be named one by one.
pub const EVENTS_NAMED: usize = 1_000;

/// What a replay would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanOut {
    /// How many deliveries it would make.
    pub deliveries: u64,
    /// How many events were looked at.
    pub events: u64,
    /// Whether everything was looked at; if not, there are more.
    pub complete: bool,
    /// The events that were named one by one and of which nothing would be made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// An event that was named, and of which a replay makes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Its id.
    pub event: String,
    /// Why, and what to do.
    pub why: String,
}

/// Where a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayStatus {
    /// Deliveries are being counted or made.
    Running,
    /// All are made.
    Done,
    /// Someone stopped it; what was made stays.
    Cancelled,
}

/// A replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayOut {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: ReplayStatus,
    /// Which events.
    pub choice: ChoiceIn,
    /// The id of the endpoint to which they go; `null`: those of the first time.
    pub to: Option<String>,
    /// Deliveries made per second.
    pub rate_per_second: u32,
    /// How many deliveries are planned; `null` while they are being counted.
    pub planned: Option<u64>,
    /// How many have been made.
    pub made: u64,
    /// When it was asked for.
    pub created_at: Moment,
    /// When it was last changed.
    pub updated_at: Moment,
}

impl From<ReplayState> for ReplayStatus {
    fn from(state: ReplayState) -> Self {
        match state {
            ReplayState::Running => Self::Running,
            ReplayState::Done => Self::Done,
            ReplayState::Cancelled => Self::Cancelled,
        }
    }
}

impl From<&ReplayChoice> for ChoiceIn {
    fn from(choice: &ReplayChoice) -> Self {
        Self {
            events: choice.events.iter().map(ToString::to_string).collect(),
            endpoint: choice.endpoint.map(|id| id.to_string()),
            source: choice.source.map(|id| id.to_string()),
            event_type: choice.event_type.clone(),
            state: choice.state.clone(),
            since: choice.since.map(Moment),
            until: choice.until.map(Moment),
        }
    }
}

impl From<&Replay> for ReplayOut {
    fn from(replay: &Replay) -> Self {
        let counting = replay.cursor.is_none() && replay.state == ReplayState::Running;
        Self {
            id: replay.id.to_string(),
            state: ReplayStatus::from(replay.state),
            choice: ChoiceIn::from(&replay.choice),
            to: replay.to.map(|id| id.to_string()),
            rate_per_second: replay.rate_per_second,
            planned: (!counting).then_some(replay.planned),
            made: replay.made,
            created_at: Moment(replay.created),
            updated_at: Moment(replay.updated),
        }
    }
}
