use super::*;
use crate::args::Credentials;

struct World {
    folder: tempfile::TempDir,
    global: Global,
    reach: Reach,
    environment: Environment,
}

impl World {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, config).unwrap();
        fs::write(folder.path().join("token"), "from-file\n").unwrap();
        let config = Some(path);
        let global =
            Global { registry: None, config, state: None, json: false, quiet: false, verbose: 0 };
        Self { folder, global, reach: Reach::default(), environment: Environment::default() }
    }

    fn find(&self) -> Result<Settings, Failure> {
        Settings::find(&self.global, &self.reach, &self.environment)
    }

    fn url(&self) -> String {
        match self.find().unwrap().location {
            Location::Url(url) => url,
            Location::Directory(dir) => panic!("{}", dir.display()),
        }
    }
}

#[test]
fn a_flag_goes_before_a_reference_and_a_reference_before_the_file() {
    let mut world = World::new("registry = 'https://file.example'");
    assert_eq!(world.url(), "https://file.example");
    world.reach.host = Some(Named::Host("ref.example:8443".into()));
    assert_eq!(world.url(), "https://ref.example:8443");
    world.global.registry = Some("http://flag.example".into());
    assert_eq!(world.url(), "http://flag.example");
    world.global.registry = Some(String::new());
    assert_eq!(world.url(), "https://ref.example:8443", "an empty variable says nothing");
}

#[test]
fn only_loopback_hosts_are_spoken_to_in_the_clear() {
    let cases = [
        ("localhost:8080", "http://localhost:8080"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("[::1]:80", "http://[::1]:80"),
        ("10.0.0.1:80", "https://10.0.0.1:80"),
        ("registry.example", "https://registry.example"),
    ];
    for (host, url) in cases {
        assert_eq!(url_of_host(host), url);
    }
}

#[test]
fn the_files_token_goes_to_the_files_registry_alone() {
    let mut world = World::new("registry = 'https://file.example'\ntoken_file = 'token'");
    assert!(world.find().unwrap().token.is_some());
    world.reach.host = Some(Named::Host("evil.example".into()));
    assert!(world.find().unwrap().token.is_none());
    world.reach.host = Some(Named::Host("file.example".into()));
    assert!(world.find().unwrap().token.is_some(), "the same registry, named by reference");
    world.reach.host = Some(Named::Host("other.example".into()));
    world.environment.token = Some("given-for-this".into());
    assert!(world.find().unwrap().token.is_some());
}

#[test]
fn mistakes_name_what_to_look_at() {
    let world = World::new("registri = 'x'");
    let text = world.find().unwrap_err().to_string();
    assert!(text.contains("unknown field `registri`") && text.contains("config.toml"), "{text}");

    let mut world = World::new("");
    assert!(world.find().unwrap_err().to_string().contains("no registry is named"));
    world.global.registry = Some("registry.example".into());
    let text = world.find().unwrap_err().to_string();
    assert!(text.contains("https://registry.example"), "{text}");

    world.global.registry = Some("http://h".into());
    world.reach.credentials = Credentials { token_file: Some(world.folder.path().join("missing")) };
    let failure = world.find().unwrap_err();
    assert_eq!(failure.exit_code(), 3, "{failure}");
    world.reach.credentials.token_file = None;
    world.environment.token = Some("two words".into());
    let text = world.find().unwrap_err().to_string();
    assert!(!text.contains("two words") && text.contains("SEAWALL_TOKEN"), "{text}");
}

#[test]
fn a_directory_is_known_by_how_it_begins_or_by_being_there() {
    let world = World::new("");
    assert_eq!(location("./repo").unwrap(), Location::Directory("./repo".into()));
    let there = world.folder.path().to_str().unwrap();
    assert_eq!(location(there).unwrap(), Location::Directory(there.into()));
    assert_eq!(location("http://x/y").unwrap(), Location::Url("http://x/y".into()));
}
