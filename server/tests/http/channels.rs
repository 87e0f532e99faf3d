//! Channels move by compare-and-set.

use reqwest::{Method, Response, StatusCode};
use seawall_api::digest::ReleaseDigest;
use seawall_api::problem::Code;
use seawall_api::v1;
use serde_json::json;

use crate::fixture::TinyRelease;
use crate::world::{World, assert_problem};

const CHANNEL: &str = "/v1/applications/webshop/channels/stable";

async fn two_releases() -> (World, [ReleaseDigest; 2]) {
    let world = World::open().await;
    let one = TinyRelease::new("webshop", "1.0", "ab", "cd");
    let two = TinyRelease::new("webshop", "2.0", "ab", "ce");
    world.push(&one).await;
    world.push(&two).await;
    let digests = [one.release.digest(), two.release.digest()];
    (world, digests)
}

async fn move_to(world: &World, to: ReleaseDigest, header: Option<(&str, &str)>) -> Response {
    let request = world.request(Method::PUT, CHANNEL).json(&json!({ "release": to }));
    let request = match header {
        Some((name, value)) => request.header(name, value),
        None => request,
    };
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_channel_is_made_moved_and_remembers() {
    let (world, [one, two]) = two_releases().await;
    assert_problem(world.get(CHANNEL).await, Code::NotFound).await;
    let made = move_to(&world, one, Some(("if-none-match", "*"))).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    assert_eq!(made.headers()["etag"], "\"1\"");
    let moved = move_to(&world, two, Some(("if-match", "\"1\""))).await;
    assert_eq!(moved.status(), StatusCode::OK);
    let answer = world.get(CHANNEL).await;
    assert_eq!(answer.headers()["cache-control"], "private, no-cache");
    for (etag, want) in [("\"2\"", StatusCode::NOT_MODIFIED), ("\"1\"", StatusCode::OK)] {
        let again = world.request(Method::GET, CHANNEL).header("if-none-match", etag);
        assert_eq!(again.send().await.unwrap().status(), want, "{etag}");
    }
    let channel: v1::Channel = answer.json().await.unwrap();
    assert_eq!((channel.sequence, channel.version.as_str()), (2, "2.0"));

    let history: v1::ChannelHistory =
        world.get(&format!("{CHANNEL}/history")).await.json().await.unwrap();
    let moves: Vec<_> = history.moves.iter().map(|m| (m.sequence, m.release)).collect();
    assert_eq!(moves, [(2, two), (1, one)]);
    let page: v1::ChannelPage =
        world.get("/v1/applications/webshop/channels").await.json().await.unwrap();
    assert_eq!(page.channels, [channel]);

    let resolved = world.get("/v1/applications/webshop/releases/stable").await;
    assert_eq!(resolved.headers()["seawall-release"], two.to_string());
    let listed: v1::ReleasePage =
        world.get("/v1/applications/webshop/releases").await.json().await.unwrap();
    assert_eq!(listed.releases[0].channels[0].as_str(), "stable");
    assert!(listed.releases[1].channels.is_empty());
    let world = world.restarted().await;
    let answer = world.get("/v1/applications/webshop/releases/stable").await;
    assert_eq!(answer.headers()["seawall-release"], two.to_string());
}

#[tokio::test]
async fn a_move_that_does_not_say_what_it_replaces_is_refused() {
    let (world, [one, two]) = two_releases().await;
    assert_problem(move_to(&world, one, None).await, Code::PreconditionRequired).await;
    let stale = Some(("if-match", "\"1\""));
    let problem = assert_problem(move_to(&world, one, stale).await, Code::PreconditionFailed).await;
    assert!(problem.detail.contains("does not exist"), "{}", problem.detail);
    let new = Some(("if-none-match", "*"));
    assert_eq!(move_to(&world, one, new).await.status(), StatusCode::CREATED);
    assert_problem(move_to(&world, two, new).await, Code::PreconditionFailed).await;
    for bad in [("if-match", "1"), ("if-match", "*"), ("if-none-match", "\"1\"")] {
        assert_problem(move_to(&world, two, Some(bad)).await, Code::InvalidInput).await;
    }
    let foreign = ReleaseDigest::of(b"none");
    assert_problem(move_to(&world, foreign, stale).await, Code::NotFound).await;
    let channel: v1::Channel = world.get(CHANNEL).await.json().await.unwrap();
    assert_eq!((channel.sequence, channel.release), (1, one), "nothing moved it");
    let body = world.request(Method::PUT, CHANNEL).body("{}").send().await.unwrap();
    assert_problem(body, Code::InvalidInput).await;
    assert_problem(world.get("/v1/applications/none/channels").await, Code::NotFound).await;
    let path = "/v1/applications/webshop/channels/none/history";
    assert_problem(world.get(path).await, Code::NotFound).await;
}

#[tokio::test]
async fn of_moves_at_the_same_time_exactly_one_wins() {
    let (world, [one, two]) = two_releases().await;
    move_to(&world, one, Some(("if-none-match", "*"))).await;
    for round in 1..=5 {
        let expected = format!("\"{round}\"");
        let moves = (0..8).map(|i| {
            let to = if i % 2 == 0 { one } else { two };
            move_to(&world, to, Some(("if-match", &expected)))
        });
        let answers = futures::future::join_all(moves).await;
        let won = answers.iter().filter(|answer| answer.status() == StatusCode::OK).count();
        let lost = answers.iter().filter(|a| a.status() == StatusCode::PRECONDITION_FAILED).count();
        assert_eq!((won, lost), (1, 7), "round {round}");
    }
    let history: v1::ChannelHistory =
        world.get(&format!("{CHANNEL}/history")).await.json().await.unwrap();
    assert_eq!(history.moves.len(), 6);
}
