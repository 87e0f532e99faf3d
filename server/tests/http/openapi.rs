//! The committed OpenAPI document equals the one that the program serves.

use crate::world::World;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../api-spec/openapi/v1.json");

#[test]
#[allow(clippy::disallowed_methods)] // a switch for developers, read only here
fn the_committed_document_is_fresh() {
    let fresh = seawall_server::openapi_json();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::create_dir_all(std::path::Path::new(COMMITTED).parent().unwrap()).unwrap();
        std::fs::write(COMMITTED, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == fresh,
        "api-spec/openapi/v1.json is stale: run `UPDATE_OPENAPI=1 cargo test -p seawall-server`"
    );
}

#[tokio::test]
async fn the_document_and_its_page_are_served_without_the_internet() {
    let world = World::open().await;
    let answer = world.get("/v1/openapi.json").await;
    assert_eq!(answer.text().await.unwrap(), seawall_server::openapi_json());
    let page = world.get("/docs").await.text().await.unwrap();
    assert!(page.contains("swagger-ui"), "{page}");
    for file in ["swagger-initializer.js", "swagger-ui-bundle.js", "swagger-ui.css"] {
        let answer = world.get(&format!("/docs/{file}")).await;
        assert!(answer.status().is_success(), "{file}");
        let text = answer.text().await.unwrap();
        assert!(file != "swagger-initializer.js" || text.contains("/v1/openapi.json"));
    }
    assert!(!page.contains("https://"), "the page loads nothing from elsewhere");
}

/// A client may rely on the errors of every operation: each code of the closed table that an
/// operation can return is described by some operation.
#[test]
fn every_code_is_described_somewhere() {
    let text = seawall_server::openapi_json();
    for code in seawall_api::problem::Code::ALL {
        if *code != seawall_api::problem::Code::MethodNotAllowed {
            assert!(text.contains(&format!("`{}`: ", code.as_str())), "{}", code.as_str());
        }
    }
}
