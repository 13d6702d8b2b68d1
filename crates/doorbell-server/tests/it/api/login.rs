//! Signing in with a printed address, the cookie that comes of it, and the pages.

use super::world::{Answer, Call, World};
use doorbell_core::configuration::Scope;
use doorbell_core::limits;
use serde_json::{Value, json};
use std::time::Duration;

const SITE: &str = "sec-fetch-site";

impl World {
    async fn open(&self, code: &str) -> Answer {
        self.bare("GET", &format!("/login?code={code}")).answer().await
    }

    async fn exchange(&self, code: &str) -> Answer {
        self.bare("POST", "/v1/login").json(&json!({"code": code})).answer().await
    }

    async fn code(&self) -> String {
        let made = self.call("POST", "/v1/login-codes").answer().await.is(201);
        assert_eq!(made["path"], format!("/login?code={}", made["code"].as_str().unwrap()));
        made["code"].as_str().unwrap().to_owned()
    }

    /// The cookie of someone who signed in, as the browser sends it.
    async fn signed_in(&self) -> String {
        let answer = self.open(&self.code().await).await;
        answer.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    fn browser(&self, method: &str, path: &str, cookie: &str) -> Call<'_> {
        self.bare(method, path).header("cookie", cookie).header("host", "127.0.0.1:8081")
    }
}

#[tokio::test]
async fn the_printed_address_signs_a_browser_in_once() {
    let world = World::new().await;
    let answer = world.open(&world.first_login).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("doorbell-8081=db_live_"), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{cookie}");

    let cookie = cookie.split(';').next().unwrap();
    let tokens = world.browser("GET", "/v1/tokens", cookie).answer().await.is(200);
    assert_eq!(tokens["data"][0]["scopes"], json!(["admin"]));
    let second = world.open(&world.first_login).await;
    assert_eq!((second.status.as_u16(), second.header("set-cookie")), (401, ""));
    assert_eq!(second.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(second.header("cache-control"), "no-store");
    let text = String::from_utf8(second.body.to_vec()).unwrap();
    assert!(text.contains("<code>doorbell login</code>"), "{text}");
    assert!(!text.contains(&world.first_login) && !text.contains('{'), "{text}");
}

/// A chat program or a mail scanner that looks at an address before a person does asks with HEAD.
#[tokio::test]
async fn what_only_looks_uses_no_code_up() {
    let world = World::new().await;
    let path = format!("/login?code={}", world.first_login);
    let answer = world.bare("HEAD", &path).answer().await;
    assert_eq!((answer.status.as_u16(), answer.header("set-cookie")), (303, ""));
    assert!(!world.open(&world.first_login).await.header("set-cookie").is_empty());
    assert_eq!(world.bare("GET", "/login").answer().await.header("location"), "/");
}

#[tokio::test]
async fn machines_get_a_bearer_token_for_some_hours() {
    let world = World::new().await;
    let made = world.exchange(&world.code().await).await.is(201);
    let (token, end) = (made["token"].as_str().unwrap(), made["expires_at"].as_str().unwrap());
    assert_eq!(end, world.now().after(limits::SESSION_LIFE).to_string());
    world.bare("GET", "/v1/tenants").token(token).answer().await.is(200);
    world.hand.advance(limits::SESSION_LIFE);
    world.bare("GET", "/v1/tenants").token(token).answer().await.problem("unauthorized");

    let ids = |list: &Value| -> Vec<Value> {
        list["data"].as_array().unwrap().iter().map(|token| token["id"].clone()).collect()
    };
    let before = world.get("/v1/tokens").await.is(200);
    assert_eq!(ids(&before), [made["id"].clone()]);
    let next = world.exchange(&world.code().await).await.is(201);
    let after = world.get("/v1/tokens").await.is(200);
    assert_eq!(ids(&after), [next["id"].clone()], "what is over was swept away");
}

#[tokio::test]
async fn used_wrong_and_old_codes_get_the_same_answer_and_are_bounded() {
    let world = World::new().await;
    let (used, old) = (world.code().await, world.code().await);
    world.exchange(&used).await.is(201);
    let first = world.exchange(&used).await.problem("login_code");
    world.hand.advance(limits::LOGIN_CODE_LIFE);
    for code in [old.as_str(), &world.first_login, "wrong", "", "\u{0}", &"x".repeat(10_000)] {
        assert_eq!(world.exchange(code).await.problem("login_code"), first);
    }
    assert!(first["remedy"].as_str().unwrap().contains("doorbell login"), "{first}");
    for _ in 0..20 {
        world.exchange("wrong").await;
    }
    let answer = world.exchange("wrong").await;
    answer.problem("too_many");
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(world.open("wrong").await.status.as_u16(), 429);
    let good = world.code().await;
    world.exchange(&good).await.is(201);
}

#[tokio::test]
async fn only_the_operator_makes_codes() {
    let world = World::new().await;
    world.post("/v1/tenants", json!({"uid": "other"})).await.is(201);
    let token = world.token(&[Scope::Admin], Some("other")).await;
    world.bare("POST", "/v1/login-codes").token(&token).answer().await.problem("scope");
    let token = world.token(&[Scope::Read, Scope::Write], None).await;
    world.bare("POST", "/v1/login-codes").token(&token).answer().await.problem("scope");
}

#[tokio::test]
async fn the_cookie_counts_only_where_our_own_page_sent_it() {
    let world = World::new().await;
    let cookie = world.signed_in().await;
    let make = |name: &str| {
        let body = json!({"name": name, "provider": "none"});
        world.browser("POST", "/v1/sources", &cookie).json(&body)
    };
    make("a").header(SITE, "same-origin").answer().await.is(201);
    make("b").header("origin", "http://127.0.0.1:8081").answer().await.is(201);
    make("c").answer().await.problem("cross_site");
    make("c").header(SITE, "cross-site").answer().await.problem("cross_site");
    make("c").header("origin", "https://evil.test").answer().await.problem("cross_site");
    make("c").header("origin", "http://127.0.0.1:3000").answer().await.problem("cross_site");
    let listed = world.browser("GET", "/v1/sources", &cookie).header(SITE, "same-origin");
    assert_eq!(listed.answer().await.is(200)["data"].as_array().unwrap().len(), 2);
    let live = world.browser("GET", "/v1/live", &cookie).header(SITE, "same-site");
    live.answer().await.problem("cross_site");
    // Whoever shows a bearer token is no browser that was tricked.
    let bearer = make("c").header(SITE, "cross-site").token(&world.root);
    bearer.answer().await.is(201);
    let wrong = make("d").header(SITE, "same-origin").token("db_live_wrong");
    wrong.answer().await.problem("unauthorized");
}

#[tokio::test]
async fn signing_out_ends_the_session_and_nothing_else() {
    let world = World::new().await;
    let (cookie, other) = (world.signed_in().await, world.signed_in().await);
    let out = |cookie: &str| world.browser("POST", "/logout", cookie);
    out(&cookie).header(SITE, "cross-site").answer().await.problem("cross_site");
    let answer = out(&cookie).header(SITE, "same-origin").answer().await;
    assert_eq!(answer.status.as_u16(), 204);
    assert!(answer.header("set-cookie").starts_with("doorbell-8081=; Path=/; Max-Age=0"));
    let sources = |cookie| world.browser("GET", "/v1/sources", cookie).answer();
    sources(&cookie).await.problem("unauthorized");
    sources(&other).await.is(200);
    let made = world.token(&[Scope::Read], None).await;
    let by_hand = format!("doorbell-8081={made}");
    out(&by_hand).header(SITE, "same-origin").answer().await;
    sources(&by_hand).await.is(200);
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let world = World::new().await;
    let cookie = world.signed_in().await;
    world.hand.advance(limits::SESSION_LIFE - Duration::from_millis(1));
    world.browser("GET", "/v1/sources", &cookie).answer().await.is(200);
    world.hand.advance(Duration::from_millis(1));
    world.browser("GET", "/v1/sources", &cookie).answer().await.problem("unauthorized");
}

#[tokio::test]
async fn the_pages_may_load_nothing_from_elsewhere() {
    let world = World::new().await;
    for (path, media) in [
        ("/", "text/html; charset=utf-8"),
        ("/dashboard/app.js", "text/javascript; charset=utf-8"),
        ("/dashboard/style.css", "text/css; charset=utf-8"),
        ("/dashboard/bell.svg", "image/svg+xml"),
    ] {
        let answer = world.bare("GET", path).answer().await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, media));
        let policy = answer.header("content-security-policy");
        for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
    let status = world.get("/v1/status").await.is(200);
    assert_eq!(status["ingest_url"], "http://127.0.0.1:8080/in");
    assert_eq!(status["version"], "1.2.3");
}

impl World {
    /// An admin token of the default tenant: its id and its text.
    async fn admin(&self, expires_in: Option<&str>) -> (String, String) {
        let body = json!({"name": "ci", "scopes": ["admin"], "expires_in": expires_in});
        let made = self.post("/v1/tokens", body).await.is(201);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("id"), text("token"))
    }

    /// Someone whom the holder of this token let in.
    async fn let_in_by(&self, token: &str) -> Value {
        let code = self.bare("POST", "/v1/login-codes").token(token).answer().await.is(201);
        self.exchange(code["code"].as_str().unwrap()).await.is(201)
    }
}

#[tokio::test]
async fn a_session_ends_no_later_than_the_token_that_let_it_in() {
    let world = World::new().await;
    let (_, short) = world.admin(Some("1h")).await;
    let session = world.let_in_by(&short).await;
    let end = world.now().after(Duration::from_secs(3600)).to_string();
    assert_eq!(session["expires_at"], end);
    let next = world.let_in_by(session["token"].as_str().unwrap()).await;
    assert_eq!(next["expires_at"], end);
    let code = world.bare("POST", "/v1/login-codes").token(&short).answer().await.is(201);
    let path = code["path"].as_str().unwrap().to_owned();
    world.hand.advance(Duration::from_secs(600));
    let cookie = world.bare("GET", &path).answer().await;
    assert!(cookie.header("set-cookie").contains("Max-Age=3000;"));
}

#[tokio::test]
async fn a_session_ends_with_the_token_that_let_it_in() {
    let world = World::new().await;
    let (id, token) = world.admin(None).await;
    let session = world.let_in_by(&token).await;
    let next = world.let_in_by(session["token"].as_str().unwrap()).await;
    let other = world.exchange(&world.code().await).await.is(201);
    let code = world.bare("POST", "/v1/login-codes").token(&token).answer().await.is(201);
    world.call("DELETE", &format!("/v1/tokens/{id}")).answer().await.is(204);
    for gone in [&session, &next] {
        let call = world.bare("GET", "/v1/sources").token(gone["token"].as_str().unwrap());
        call.answer().await.problem("unauthorized");
    }
    world.exchange(code["code"].as_str().unwrap()).await.problem("login_code");
    let call = world.bare("GET", "/v1/sources").token(other["token"].as_str().unwrap());
    call.answer().await.is(200);
}

#[tokio::test]
async fn a_code_that_came_to_nothing_is_good_again() {
    let world = World::new().await;
    let code = world.code().await;
    world.home.fail_with(Some(doorbell_store::StoreError::Full));
    world.exchange(&code).await.problem("full");
    world.home.fail_with(None);
    world.exchange(&code).await.is(201);
    world.exchange(&code).await.problem("login_code");
}
