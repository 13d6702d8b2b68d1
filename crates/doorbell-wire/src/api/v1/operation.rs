//! The table of the API's operations: method, path, what goes in and comes out, and which scope may do it. The server's
//! routes, the check of scopes, the OpenAPI document and the test of tenant isolation are all read from it, so none of
//! them can forget an operation.

use super::apply::{ApplyIn, ApplyOut};
use super::common::{Page, PageQuery};
use super::delivery::{AttemptList, DeliveryOut, DeliveryQuery};
use super::endpoint::{EndpointIn, EndpointOut, EndpointSecretIn, TestOut};
use super::event::{
    EventLine, EventOut, EventQuery, Publish, PublishOut, PublishQuery, RequestLine, RequestOut,
};
use super::explain::{ExplainIn, ExplainOut};
use super::live::{LiveLine, LiveQuery};
use super::login::{LoginCodeOut, LoginIn};
use super::moving::{MoveIn, MoveOut};
use super::replay::{PlanOut, ReplayIn, ReplayOut};
use super::search::{SearchLine, SearchQuery};
use super::source::{SourceIn, SourceOut, SourceSecretIn, SourceSecretOut};
use super::status::StatusOut;
use super::tenant::{TenantIn, TenantOut};
use super::token::{Scope, TokenIn, TokenOut};
use crate::problem::Code;
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// The methods that operations use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Looks.
    Get,
    /// Makes or does.
    Post,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// The method as HTTP writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// The schema of a type.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// What goes in.
#[derive(Debug, Clone, Copy)]
pub enum Input {
    /// No body.
    Nothing,
    /// A JSON body of that schema.
    Json(Shape),
    /// A JSON body of that schema, which may be missing.
    OptionalJson(Shape),
    /// Any part of that schema (JSON Merge Patch).
    Patch(Shape),
    /// A JSON body of that schema, or any other body with its type elsewhere.
    JsonOrRaw(Shape),
}

/// What comes out.
#[derive(Debug, Clone, Copy)]
pub enum Output {
    /// JSON of that schema.
    Json(Shape),
    /// Lines of JSON of that schema.
    Lines(Shape),
    /// Server-Sent Events with JSON of that schema.
    Events(Shape),
    /// Bytes.
    Bytes,
    /// Text of that media type.
    Text(&'static str),
    /// No body.
    Nothing,
}

/// One row of the table.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its name in the document.
    pub id: &'static str,
    /// Its method.
    pub method: Method,
    /// Its path, with `{…}` for what varies.
    pub path: &'static str,
    /// Which scope may do it; `admin` may do all. `None`: it needs no token.
    pub scope: Option<Scope>,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// More about it.
    pub note: &'static str,
    /// Parameters of the query.
    pub query: Option<Shape>,
    /// What goes in.
    pub input: Input,
    /// Statuses of success.
    pub statuses: &'static [u16],
    /// What comes out.
    pub output: Output,
    /// Problems of its own, beside those that every operation has.
    pub problems: &'static [Code],
}

const fn spec(method: Method, path: &'static str, scope: Scope, summary: &'static str) -> Spec {
    Spec {
        id: "",
        method,
        path,
        scope: Some(scope),
        summary,
        note: "",
        query: None,
        input: Input::Nothing,
        statuses: &[200],
        output: Output::Nothing,
        problems: &[],
    }
}

impl Spec {
    const fn without_token(mut self) -> Self {
        self.scope = None;
        self
    }

    const fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(shape::<T>);
        self
    }

    fn takes<T: JsonSchema>(mut self) -> Self {
        self.input = Input::Json(shape::<T>);
        self
    }

    fn may_take<T: JsonSchema>(mut self) -> Self {
        self.input = Input::OptionalJson(shape::<T>);
        self
    }

    fn patches<T: JsonSchema>(mut self) -> Self {
        self.input = Input::Patch(shape::<T>);
        self
    }

    fn takes_anything_or<T: JsonSchema>(mut self) -> Self {
        self.input = Input::JsonOrRaw(shape::<T>);
        self
    }

    fn gives<T: JsonSchema>(mut self, statuses: &'static [u16]) -> Self {
        self.output = Output::Json(shape::<T>);
        self.statuses = statuses;
        self
    }

    fn streams<T: JsonSchema>(mut self, of: fn(Shape) -> Output) -> Self {
        self.output = of(shape::<T>);
        self
    }

    const fn gives_raw(mut self, output: Output, statuses: &'static [u16]) -> Self {
        self.output = output;
        self.statuses = statuses;
        self
    }

    const fn problems(mut self, problems: &'static [Code]) -> Self {
        self.problems = problems;
        self
    }

    /// The names that stand in braces in the path.
    pub fn path_names(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

macro_rules! operations {
    ($($name:ident $id:literal => $spec:expr;)*) => {
        /// Every operation of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation {
            $(#[doc = concat!("`", $id, "`")] $name,)*
        }

        impl Operation {
            /// All of them, in the order of the document.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its row.
            #[must_use]
            pub fn spec(self) -> Spec {
                match self {
                    $(Self::$name => Spec { id: $id, ..$spec },)*
                }
            }
        }
    };
}

use Method::{Delete, Get, Patch, Post};
use Scope::{Admin, Read, Replay, Write};

operations! {
    ListSources "listSources" => spec(Get, "/v1/sources", Read, "Lists the sources")
        .query::<PageQuery>().gives::<Page<SourceOut>>(&[200]);
    CreateSource "createSource" => spec(Post, "/v1/sources", Write, "Makes a source")
        .takes::<SourceIn>().gives::<SourceOut>(&[201]).problems(&[Code::Conflict]);
    GetSource "getSource" => spec(Get, "/v1/sources/{source}", Read, "Shows a source")
        .gives::<SourceOut>(&[200]);
    UpdateSource "updateSource" => spec(Patch, "/v1/sources/{source}", Write, "Changes parts of a source")
        .patches::<SourceIn>().gives::<SourceOut>(&[200]).problems(&[Code::Conflict]);
    DeleteSource "deleteSource" => spec(Delete, "/v1/sources/{source}", Write, "Removes a source")
        .note("Its requests and events stay. A source that an endpoint names cannot be removed.")
        .gives_raw(Output::Nothing, &[204]).problems(&[Code::Conflict]);
    RotateSourceSecret "rotateSourceSecret" =>
        spec(Post, "/v1/sources/{source}/rotate-secret", Write, "Puts a new secret before those of a source")
        .takes::<SourceSecretIn>().gives::<SourceOut>(&[200]);
    RevealSourceSecret "revealSourceSecret" =>
        spec(Post, "/v1/sources/{source}/reveal-secret", Admin, "Shows the secret that a provider handed out")
        .note("Only for providers that hand theirs out in a handshake: Notion wants its own pasted into its page.")
        .gives::<SourceSecretOut>(&[200]).problems(&[Code::State]);
    ExplainForSource "explainForSource" =>
        spec(Post, "/v1/sources/{source}/explain", Read, "Tells whether a source would believe a request, and if not, why")
        .note("A request that was received, by its id, or one that was captured elsewhere. The usual mistakes are undone one at a time and the check is run again; nothing is stored, and no right signature is ever told.")
        .takes::<ExplainIn>().gives::<ExplainOut>(&[200]).problems(&[Code::State]);

    ListEndpoints "listEndpoints" => spec(Get, "/v1/endpoints", Read, "Lists the endpoints")
        .query::<PageQuery>().gives::<Page<EndpointOut>>(&[200]);
    CreateEndpoint "createEndpoint" => spec(Post, "/v1/endpoints", Write, "Makes an endpoint")
        .note("The answer holds its secret, whole, this one time.")
        .takes::<EndpointIn>().gives::<EndpointOut>(&[201]).problems(&[Code::Conflict, Code::State]);
    GetEndpoint "getEndpoint" => spec(Get, "/v1/endpoints/{endpoint}", Read, "Shows an endpoint")
        .gives::<EndpointOut>(&[200]);
    UpdateEndpoint "updateEndpoint" =>
        spec(Patch, "/v1/endpoints/{endpoint}", Write, "Changes parts of an endpoint")
        .note("A header whose value is `***` keeps the value that it has.")
        .patches::<EndpointIn>().gives::<EndpointOut>(&[200]).problems(&[Code::Conflict]);
    DeleteEndpoint "deleteEndpoint" => spec(Delete, "/v1/endpoints/{endpoint}", Write, "Removes an endpoint")
        .note("What waits for it is recorded as discarded; what it got stays listed.")
        .gives_raw(Output::Nothing, &[204]);
    PauseEndpoint "pauseEndpoint" =>
        spec(Post, "/v1/endpoints/{endpoint}/pause", Write, "Lets an endpoint's deliveries wait")
        .gives::<EndpointOut>(&[200]);
    EnableEndpoint "enableEndpoint" =>
        spec(Post, "/v1/endpoints/{endpoint}/enable", Write, "Lets an endpoint's deliveries go")
        .gives::<EndpointOut>(&[200]);
    DisableEndpoint "disableEndpoint" =>
        spec(Post, "/v1/endpoints/{endpoint}/disable", Write, "Lets an endpoint's deliveries be discarded")
        .gives::<EndpointOut>(&[200]);
    RotateEndpointSecret "rotateEndpointSecret" =>
        spec(Post, "/v1/endpoints/{endpoint}/rotate-secret", Write, "Gives an endpoint a new secret")
        .note("The answer holds it, whole, this one time. The secrets so far sign beside it for a while.")
        .may_take::<EndpointSecretIn>().gives::<EndpointOut>(&[200]);
    TestEndpoint "testEndpoint" =>
        spec(Post, "/v1/endpoints/{endpoint}/test", Write, "Sends an event of type doorbell.ping to one endpoint")
        .note("Whatever its subscription says. The delivery's attempts tell how it went.")
        .gives::<TestOut>(&[202]).problems(&[Code::State]);

    Apply "apply" =>
        spec(Post, "/v1/apply", Write, "Makes the sources and endpoints as they are declared, all or nothing")
        .note("Things are compared by name; what is as declared is not touched, so that a repetition changes nothing. With `prune` what is not declared is removed; with `dry_run` nothing is changed. The secrets of new endpoints are in the answer, whole, this one time.")
        .takes::<ApplyIn>().gives::<ApplyOut>(&[200]).problems(&[Code::Conflict, Code::State]);

    ListRequests "listRequests" =>
        spec(Get, "/v1/requests", Read, "Lists requests, rejected ones and duplicates too, newest first")
        .query::<EventQuery>().gives::<Page<RequestLine>>(&[200]);
    GetRequest "getRequest" => spec(Get, "/v1/requests/{request}", Read, "Shows a request")
        .gives::<RequestOut>(&[200]);
    ExplainRequest "explainRequest" =>
        spec(Get, "/v1/requests/{request}/explain", Read, "Tells whether a request verifies as its source is set up now, and if not, why")
        .note("As of the moment when it was received.")
        .gives::<ExplainOut>(&[200]).problems(&[Code::State]);
    GetRequestBody "getRequestBody" =>
        spec(Get, "/v1/requests/{request}/body", Read, "Gives the body of a request, byte for byte")
        .note("Always as an attachment of type text/plain or application/octet-stream, so that no browser runs it. Of a rejected request at most 64 KiB are kept.")
        .gives_raw(Output::Bytes, &[200]);

    ListEvents "listEvents" => spec(Get, "/v1/events", Read, "Lists events, newest first")
        .query::<EventQuery>().gives::<Page<EventLine>>(&[200]);
    PublishEvent "publishEvent" => spec(Post, "/v1/events", Scope::Publish, "Publishes an event")
        .note("As JSON with its type, or any other body with its type in the header `doorbell-event-type` or the parameter `type`. With the header `Idempotency-Key` a repetition makes no second event: it gets 200 and the first one's answer.")
        .query::<PublishQuery>().takes_anything_or::<Publish>().gives::<PublishOut>(&[202, 200])
        .problems(&[Code::KeyReused, Code::Fanout]);
    GetEvent "getEvent" => spec(Get, "/v1/events/{event}", Read, "Shows an event")
        .gives::<EventOut>(&[200]);
    GetEventBody "getEventBody" =>
        spec(Get, "/v1/events/{event}/body", Read, "Gives the body of an event, byte for byte")
        .note("Always as an attachment of type text/plain or application/octet-stream, so that no browser runs it.")
        .gives_raw(Output::Bytes, &[200]);

    ListDeliveries "listDeliveries" => spec(Get, "/v1/deliveries", Read, "Lists deliveries, newest first")
        .query::<DeliveryQuery>().gives::<Page<DeliveryOut>>(&[200]);
    GetDelivery "getDelivery" => spec(Get, "/v1/deliveries/{delivery}", Read, "Shows a delivery")
        .gives::<DeliveryOut>(&[200]);
    RetryDelivery "retryDelivery" =>
        spec(Post, "/v1/deliveries/{delivery}/retry", Replay, "Tries a delivery again, now")
        .note("One that waits, failed or was discarded. The retry schedule does not count the try: should it fail, one that waited waits again for as long as before it, and a dead letter whose schedule is used up is one again. What is delivered is refused (`state`): a replay of its event delivers that once more.")
        .gives::<DeliveryOut>(&[202]).problems(&[Code::InFlight, Code::State]);
    CancelDelivery "cancelDelivery" =>
        spec(Post, "/v1/deliveries/{delivery}/cancel", Replay, "Discards a delivery that waits or failed")
        .gives::<DeliveryOut>(&[200]).problems(&[Code::InFlight, Code::State]);
    ListAttempts "listAttempts" =>
        spec(Get, "/v1/deliveries/{delivery}/attempts", Read, "Lists the attempts of a delivery, oldest first")
        .gives::<AttemptList>(&[200]);

    ListReplays "listReplays" => spec(Get, "/v1/replays", Read, "Lists replays, newest first")
        .query::<PageQuery>().gives::<Page<ReplayOut>>(&[200]);
    PlanReplay "planReplay" =>
        spec(Post, "/v1/replays/plan", Replay, "Counts what a replay would deliver, and delivers nothing")
        .takes::<ReplayIn>().gives::<PlanOut>(&[200]);
    CreateReplay "createReplay" =>
        spec(Post, "/v1/replays", Replay, "Delivers events again: the original bytes, newly signed, oldest first")
        .takes::<ReplayIn>().gives::<ReplayOut>(&[202]);
    GetReplay "getReplay" => spec(Get, "/v1/replays/{replay}", Read, "Shows how far a replay is")
        .gives::<ReplayOut>(&[200]);
    CancelReplay "cancelReplay" =>
        spec(Post, "/v1/replays/{replay}/cancel", Replay, "Stops a replay; what it made stays")
        .gives::<ReplayOut>(&[200]).problems(&[Code::State]);

    Search "search" => spec(Get, "/v1/search", Read, "Looks for text or a JSON value in payloads, newest first")
        .note("The answer is a stream of lines; the last one is `done` (or `problem`).")
        .query::<SearchQuery>().streams::<SearchLine>(Output::Lines);
    Live "live" => spec(Get, "/v1/live", Read, "Tells what happens as it happens")
        .query::<LiveQuery>().streams::<LiveLine>(Output::Events);

    ListTenants "listTenants" => spec(Get, "/v1/tenants", Admin, "Lists the tenants")
        .note("The operator sees all, any other token its own.")
        .query::<PageQuery>().gives::<Page<TenantOut>>(&[200]);
    CreateTenant "createTenant" => spec(Post, "/v1/tenants", Admin, "Makes a tenant")
        .note("Only for the operator. Operations for a tenant name it in the header `doorbell-tenant`.")
        .takes::<TenantIn>().gives::<TenantOut>(&[201]).problems(&[Code::Conflict]);
    GetTenant "getTenant" => spec(Get, "/v1/tenants/{tenant}", Admin, "Shows a tenant")
        .gives::<TenantOut>(&[200]);

    Login "login" => spec(Post, "/v1/login", Admin, "Turns a login code into a token")
        .note("The code is used up by it. The token is the operator's, good for some hours; the answer holds its text, whole, this one time.")
        .without_token().takes::<LoginIn>().gives::<TokenOut>(&[201]).problems(&[Code::Login]);
    CreateLoginCode "createLoginCode" => spec(Post, "/v1/login-codes", Admin, "Makes a login code")
        .note("Only for the operator. It is good once, for 15 minutes; of more than a few the oldest is forgotten.")
        .gives::<LoginCodeOut>(&[201]);

    ListTokens "listTokens" => spec(Get, "/v1/tokens", Admin, "Lists the tokens")
        .query::<PageQuery>().gives::<Page<TokenOut>>(&[200]);
    CreateToken "createToken" => spec(Post, "/v1/tokens", Admin, "Makes a token")
        .note("The answer holds its text, whole, this one time.")
        .takes::<TokenIn>().gives::<TokenOut>(&[201]);
    DeleteToken "deleteToken" => spec(Delete, "/v1/tokens/{token}", Admin, "Removes a token")
        .gives_raw(Output::Nothing, &[204]);

    MoveStore "moveStore" => spec(Post, "/v1/move", Admin, "Moves everything to a PostgreSQL database, while the server serves")
        .note("Only for the operator. `doorbell migrate` must have been run for the database, and no Doorbell may ever have worked on it. What there is is copied; then the server stops for a moment, in which callers wait, and goes on on the database.")
        .takes::<MoveIn>().gives::<MoveOut>(&[202]).problems(&[Code::State]);
    ShowMove "showMove" => spec(Get, "/v1/move", Admin, "Shows how far a move is")
        .note("Only for the operator.")
        .gives::<MoveOut>(&[200]);
    CancelMove "cancelMove" => spec(Post, "/v1/move/cancel", Admin, "Stops a move before the server changes over")
        .note("Only for the operator. What was copied stays in the database; another move goes on from a fresh look.")
        .gives::<MoveOut>(&[200]).problems(&[Code::State]);

    Status "status" => spec(Get, "/v1/status", Read, "Tells how the server is")
        .gives::<StatusOut>(&[200]);
    Backup "backup" => spec(Get, "/v1/backup", Admin, "Gives a copy of the embedded store, while it works")
        .note("Only for the operator. A tar archive, its length known before; `doorbell restore` makes a data folder from it. It holds secrets and payloads. A store in a database is backed up with the database's own tools.")
        .gives_raw(Output::Bytes, &[200]).problems(&[Code::State]);
    Metrics "metrics" => spec(Get, "/metrics", Read, "Gives the metrics for Prometheus")
        .note("Those of single endpoints only to tokens of the default tenant.")
        .gives_raw(Output::Text("text/plain; version=0.0.4"), &[200]);
}
