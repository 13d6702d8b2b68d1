//! The address in the `type` of a problem opens, for people and for programs, without a token.

use super::world::World;
use doorbell_wire::problem::{self, Code};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[tokio::test]
async fn every_type_is_a_page() {
    let world = World::new().await;
    for code in Code::ALL {
        let path = problem::Problem::new(*code, "").page;
        let page = world.bare("GET", &path).header("accept", BROWSER).answer().await;
        let text = str::from_utf8(&page.body).unwrap();
        assert_eq!(
            (page.status.as_u16(), page.header("content-type")),
            (200, "text/html; charset=utf-8")
        );
        assert!(text.contains(code.title()) && text.contains(code.word()), "{text}");
        assert_eq!((text.matches('`').count(), text.contains("<token>")), (0, false), "{text}");
        assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
        for accept in ["*/*", "text/markdown", "application/json"] {
            let page = world.bare("GET", &path).header("accept", accept).answer().await;
            assert_eq!(page.header("content-type"), "text/markdown; charset=utf-8");
            assert_eq!(page.body, problem::page(*code));
        }
    }
}

#[tokio::test]
async fn the_index_leads_to_each() {
    let world = World::new().await;
    for path in ["/docs/errors/", "/docs/errors"] {
        assert_eq!(world.bare("GET", path).answer().await.body, problem::index());
        let page = world.bare("GET", path).header("accept", BROWSER).answer().await;
        let text = str::from_utf8(&page.body).unwrap();
        for code in Code::ALL {
            assert!(text.contains(&format!("href=\"/docs/errors/{}\"", code.word())));
        }
    }
    let named = world.bare("GET", "/docs/errors/busy.md").answer().await;
    assert_eq!(named.body, problem::page(Code::Busy));
    world.bare("GET", "/docs/errors/nothing").answer().await.problem("not_found");
    world.bare("POST", "/docs/errors/busy").answer().await.problem("method");
}
